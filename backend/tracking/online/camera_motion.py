"""Motion of the camera between frames (global motion compensation), estimated from the background.

Shi-Tomasi corners outside of the detected birds, Lucas-Kanade optical flow, and the similarity transform (translation,
rotation, scale) with the most inliers (RANSAC). Swaying grass and birds that were not detected are outliers.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backend.pipeline.detections import DetectionsRun
from backend.project.atomic import atomic_file
from backend.tracking.tracks.schemas import CAMERA_COLUMNS
from backend.video import VideoReader

MAX_SIDE_PX = 960  # frames are scaled down to this longer side
MAX_CORNERS, MIN_DISTANCE_PX = 300, 8  # of a frame; distance between corners, px of the scaled frame
MIN_CORNERS = 12  # fewer inliers: the camera is taken to stand still
INLIER_PX = 1.0  # residual of an inlier, px of the scaled frame
BIRD_MARGIN = 0.15  # of a box's sides, left out around it
BATCH_FRAMES = 16
STILL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # identity transform


def camera_motion(
    run: DetectionsRun, reader: VideoReader, report: Callable[[int], None] = lambda done: None
) -> np.ndarray:
    """Estimate the motion of the camera since the frame before, for every processed frame of a run.

    ``report`` is called with the number of frames done.

    Returns
    -------
    np.ndarray
        (F, 6) float64 ``a b c d e f``, px of the original frame: a background point at x, y is now at
        x' = a x + b y + c, y' = d x + e y + f. `STILL` for the first frame, and where there are too few inliers.
    """
    scale = min(1.0, MAX_SIDE_PX / max(reader.size))
    size = round(reader.size[0] * scale), round(reader.size[1] * scale)
    factor = np.array([size[0] / reader.size[0], size[1] / reader.size[1]])
    rows: list[tuple[float, ...]] = []
    previous: tuple[np.ndarray, np.ndarray] | None = None
    for part in run.without_masks():
        for first in range(0, len(part.seen), BATCH_FRAMES):
            last = min(first + BATCH_FRAMES, len(part.seen))
            scaled = reader.read(part.seen.frame[first:last], size=size)
            for k, image in enumerate(scaled, first):
                grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
                rows.append(STILL if previous is None else _estimate(*previous, grey, factor))
                boxes = part.detections.boxes[part.starts[k] : part.starts[k + 1]]
                previous = grey, _corners(grey, boxes * np.tile(factor, 2))
            report(len(rows))
    return np.array(rows).reshape(-1, 6)


def write_camera_motion(path: Path, frames: np.ndarray, motion: np.ndarray) -> None:
    """Write the table `CAMERA_COLUMNS` atomically; ``frames`` (F,) are frame numbers, ``motion`` is (F, 6)."""
    columns = [pa.array(frames.astype(np.int32)), *(pa.array(column) for column in motion.T)]
    with atomic_file(path) as file:
        pq.write_table(pa.Table.from_arrays(columns, schema=CAMERA_COLUMNS), file, compression="zstd")


def _corners(grey: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return (n, 1, 2) float32 corners of a frame (h, w) uint8 outside of the boxes (N, 4), px."""
    background = np.full(grey.shape, 255, np.uint8)
    margin = BIRD_MARGIN * (boxes[:, 2:] - boxes[:, :2])
    low, high = np.maximum(0, boxes[:, :2] - margin).astype(int), np.ceil(boxes[:, 2:] + margin).astype(int)
    for (x1, y1), (x2, y2) in zip(low.tolist(), high.tolist(), strict=True):
        background[y1:y2, x1:x2] = 0
    corners = cv2.goodFeaturesToTrack(grey, MAX_CORNERS, 0.01, MIN_DISTANCE_PX, mask=background)
    return np.zeros((0, 1, 2), np.float32) if corners is None else corners


def _estimate(old: np.ndarray, corners: np.ndarray, new: np.ndarray, factor: np.ndarray) -> tuple[float, ...]:
    """Return the transform, px of the original frame, between two frames that are scaled by ``factor`` (2,)."""
    if len(corners) < MIN_CORNERS:
        return STILL
    moved, status, _ = cv2.calcOpticalFlowPyrLK(old, new, corners, None)
    tracked = status.ravel() == 1
    if tracked.sum() < MIN_CORNERS:
        return STILL
    cv2.setRNGSeed(0)  # the same video gives the same tracks
    a, b = corners[tracked].reshape(-1, 2) / factor, moved[tracked].reshape(-1, 2) / factor
    transform, inliers = cv2.estimateAffinePartial2D(a, b, ransacReprojThreshold=INLIER_PX / factor.min())
    if transform is None or inliers.sum() < MIN_CORNERS:
        return STILL
    return tuple(transform.ravel().tolist())
