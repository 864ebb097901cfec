"""Birds cut out of the video: what both kinds of descriptors are made from."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from backend.pipeline.detections import ChunkDetections
from backend.project.kernels import kernel
from backend.tracking.online.overlap import column_runs, rle_buffers
from backend.video import VideoReader

LEAST_SIDE = 4  # px; smaller birds are not described
MOST_RUNS = 1 << 14


@dataclass(frozen=True)
class Cutout:
    """One bird: its pixels (h, w, 3) uint8 RGB, and which of them are its own, (h, w) bool. ``row`` is in the chunk."""

    row: int
    rgb: np.ndarray
    own: np.ndarray


def cutouts(
    reader: VideoReader, part: ChunkDetections, frames: np.ndarray
) -> Iterator[tuple[np.ndarray, list[Cutout]]]:
    """Yield the mean colour (3,) and the birds of each of ``frames`` (ascending, of the chunk).

    Memory: one picture. A bird without a mask is taken for the ellipse in its box.
    """
    offsets, codes = rle_buffers(part.found.rle)
    runs = np.empty((MOST_RUNS, 3), np.int32)
    place = {int(frame): k for k, frame in enumerate(part.seen.frame)}
    for frame in frames.tolist():
        picture = reader.read([frame])[0]
        height, width = picture.shape[:2]
        first, last = part.starts[place[frame]], part.starts[place[frame] + 1]
        found = []
        for row in range(first, last):
            x1, y1 = np.maximum(0, np.floor(part.found.boxes[row, :2])).astype(int)
            x2, y2 = np.minimum([width, height], np.ceil(part.found.boxes[row, 2:])).astype(int)
            if min(x2 - x1, y2 - y1) < LEAST_SIDE:
                continue
            own = np.zeros((y2 - y1, x2 - x1), np.uint8)
            if offsets[row + 1] > offsets[row]:
                n, _ = column_runs(codes, offsets[row], offsets[row + 1], height, 1, runs)
                _paint(runs, n, x1, y1, own)
            else:
                centre = ((x2 - x1 - 1) // 2, (y2 - y1 - 1) // 2)
                cv2.ellipse(own, centre, (max(1, centre[0]), max(1, centre[1])), 0, 0, 360, 1, -1)
            if own.any():
                found.append(Cutout(row, picture[y1:y2, x1:x2], own.astype(bool)))
        yield picture[::8, ::8].reshape(-1, 3).mean(axis=0), found


@kernel
def _paint(runs, n, x1, y1, out):
    """Draw runs into ``out`` (h, w) uint8, whose corner lies at ``x1, y1``."""
    h, w = out.shape
    for k in range(n):
        column = runs[k, 0] - x1
        if 0 <= column < w:
            out[max(0, runs[k, 1] - y1) : max(0, min(h, runs[k, 2] - y1)), column] = 1
