"""What the camera did from frame to frame, seen in the background: corners that are followed, birds left out.

Shi-Tomasi corners, Lucas-Kanade flow, and the similarity (shift, turn, zoom) that most of them agree on (RANSAC). Grass
that sways and birds that were not detected disagree with the rest and are not counted.
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

LONGEST_PX = 960  # side of the pictures that are looked at
CORNERS, APART_PX = 300, 8  # at most so many, no nearer to each other
LEAST_CORNERS = 12  # fewer that agree say nothing: the camera is taken to stand still
WITHIN_PX = 1.0  # corners agree up to this distance
AROUND_BIRDS = 0.15  # of a bird's sides, left out around it
BATCH = 16
STILL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def camera_motion(
    run: DetectionsRun, reader: VideoReader, report: Callable[[int], None] = lambda done: None
) -> np.ndarray:
    """Return what the camera did since the frame before, for every frame of a run that was looked at.

    ``report`` is told the frames that are done.

    Returns
    -------
    np.ndarray
        (F, 6) float64 ``a b c d e f``, px of the original frame: a still point at x, y is now at
        x' = a x + b y + c, y' = d x + e y + f. `STILL` for the first frame, and where too few corners agree.
    """
    scale = min(1.0, LONGEST_PX / max(reader.size))
    size = round(reader.size[0] * scale), round(reader.size[1] * scale)
    factor = np.array([size[0] / reader.size[0], size[1] / reader.size[1]])
    rows: list[tuple[float, ...]] = []
    before: tuple[np.ndarray, np.ndarray] | None = None
    for part in run.without_masks():
        for first in range(0, len(part.seen), BATCH):
            last = min(first + BATCH, len(part.seen))
            pictures = reader.read(part.seen.frame[first:last], size=size)
            for k, picture in enumerate(pictures, first):
                grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
                rows.append(STILL if before is None else _between(*before, grey, factor))
                boxes = part.found.boxes[part.starts[k] : part.starts[k + 1]]
                before = grey, _corners(grey, boxes * np.tile(factor, 2))
            report(len(rows))
    return np.array(rows).reshape(-1, 6)


def write_camera_motion(path: Path, frames: np.ndarray, motion: np.ndarray) -> None:
    """Write `CAMERA_COLUMNS` in one step; ``frames`` (F,) and ``motion`` (F, 6)."""
    columns = [pa.array(frames.astype(np.int32)), *(pa.array(column) for column in motion.T)]
    with atomic_file(path) as file:
        pq.write_table(pa.Table.from_arrays(columns, schema=CAMERA_COLUMNS), file, compression="zstd")


def _corners(grey: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return (n, 1, 2) float32 corners outside of the boxes."""
    still = np.full(grey.shape, 255, np.uint8)
    around = AROUND_BIRDS * (boxes[:, 2:] - boxes[:, :2])
    low, high = np.maximum(0, boxes[:, :2] - around).astype(int), np.ceil(boxes[:, 2:] + around).astype(int)
    for (x1, y1), (x2, y2) in zip(low.tolist(), high.tolist(), strict=True):
        still[y1:y2, x1:x2] = 0
    found = cv2.goodFeaturesToTrack(grey, CORNERS, 0.01, APART_PX, mask=still)
    return np.zeros((0, 1, 2), np.float32) if found is None else found


def _between(old: np.ndarray, corners: np.ndarray, new: np.ndarray, factor: np.ndarray) -> tuple[float, ...]:
    if len(corners) < LEAST_CORNERS:
        return STILL
    moved, followed, _ = cv2.calcOpticalFlowPyrLK(old, new, corners, None)
    kept = followed.ravel() == 1
    if kept.sum() < LEAST_CORNERS:
        return STILL
    cv2.setRNGSeed(0)  # the same video gives the same tracks
    a, b = corners[kept].reshape(-1, 2) / factor, moved[kept].reshape(-1, 2) / factor
    found, agree = cv2.estimateAffinePartial2D(a, b, ransacReprojThreshold=WITHIN_PX / factor.min())
    if found is None or agree.sum() < LEAST_CORNERS:
        return STILL
    return tuple(found.ravel().tolist())
