"""Crops of the detected birds, from which embeddings are computed."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from backend.pipeline.detections import ChunkDetections
from backend.project.kernels import kernel
from backend.tracking.online.overlap import column_runs, rle_buffers
from backend.video import VideoReader

MIN_SIDE_PX = 4  # of a box; smaller birds get no embedding
MAX_RUNS = 1 << 14  # of a mask
MEAN_STEP = 8  # the mean colour of a frame is that of every so many pixels


@dataclass(frozen=True)
class Crop:
    """One bird: the pixels of its box ``rgb`` (h, w, 3) uint8, its ``mask`` (h, w) bool, its ``row`` in the chunk."""

    row: int
    rgb: np.ndarray
    mask: np.ndarray


def frame_crops(
    reader: VideoReader, part: ChunkDetections, frames: np.ndarray
) -> Iterator[tuple[np.ndarray, list[Crop]]]:
    """Yield the mean colour (3,) RGB and the crops of each of ``frames`` (ascending, of the chunk).

    The mask of a detection without one is the ellipse in its box. One frame is in memory at a time.
    """
    offsets, codes = rle_buffers(part.detections.rle)
    runs = np.empty((MAX_RUNS, 3), np.int32)
    index_of = {int(frame): k for k, frame in enumerate(part.seen.frame)}
    for frame in frames.tolist():
        picture = reader.read([frame])[0]
        height, width = picture.shape[:2]
        first, last = part.starts[index_of[frame]], part.starts[index_of[frame] + 1]
        crops = []
        for row in range(first, last):
            x1, y1 = np.maximum(0, np.floor(part.detections.boxes[row, :2])).astype(int)
            x2, y2 = np.minimum([width, height], np.ceil(part.detections.boxes[row, 2:])).astype(int)
            if min(x2 - x1, y2 - y1) < MIN_SIDE_PX:
                continue
            mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
            if offsets[row + 1] > offsets[row]:
                n_runs, _ = column_runs(codes, offsets[row], offsets[row + 1], height, 1, runs)
                _paint(runs, n_runs, x1, y1, mask)
            else:
                centre = ((x2 - x1 - 1) // 2, (y2 - y1 - 1) // 2)
                cv2.ellipse(mask, centre, (max(1, centre[0]), max(1, centre[1])), 0, 0, 360, 1, -1)
            if mask.any():
                crops.append(Crop(row, picture[y1:y2, x1:x2], mask.astype(bool)))
        yield picture[::MEAN_STEP, ::MEAN_STEP].reshape(-1, 3).mean(axis=0), crops


@kernel
def _paint(runs, n_runs, x1, y1, out):
    """Set the pixels of runs in ``out`` (h, w) uint8, whose upper left corner lies at ``x1, y1`` of the frame."""
    h, w = out.shape
    for k in range(n_runs):
        column = runs[k, 0] - x1
        if 0 <= column < w:
            out[max(0, runs[k, 1] - y1) : max(0, min(h, runs[k, 2] - y1)), column] = 1
