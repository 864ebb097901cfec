"""What the camera sees of each bird, measured on a map of who owns which pixel. Both ways to film use it."""

from collections.abc import Callable

import numpy as np
from numba import njit

from backend.lek.rle import MAX_CODE, encode_region

# Of one bird in one frame. Boxes and points in px of the frame, NaN where nothing of the bird is seen.
VIEW = np.dtype(
    [
        ("x1", "f4"),
        ("y1", "f4"),
        ("x2", "f4"),
        ("y2", "f4"),
        ("cx", "f4"),  # mean of the visible pixels
        ("cy", "f4"),
        ("foot_x", "f4"),  # the ground point below the bird, also where it is hidden or outside
        ("foot_y", "f4"),
        ("area", "i4"),  # visible pixels
        ("whole", "i4"),  # pixels of the silhouette if nothing hid it and the picture had no border
        ("inside", "i4"),  # those of them inside the picture
        ("code_end", "i8"),  # where its run lengths end in the buffer; they start where those of the bird before end
    ],
    align=True,
)
FULL = -1


class RunLengths:
    """Compressed run lengths of a chunk, bird after bird and frame after frame, in a buffer that grows as needed."""

    def __init__(self) -> None:
        self._data = np.empty(1 << 18, np.uint8)
        self._end = 0

    def append(self, write: Callable[[np.ndarray, int], int]) -> None:
        """Let ``write(buffer, at)`` write a frame; it returns the new end, or `FULL` to get more room."""
        while (end := write(self._data, self._end)) == FULL:
            self._data = np.concatenate([self._data, np.empty_like(self._data)])
        self._end = end

    def take(self) -> np.ndarray:
        """Return what was written, (bytes,) uint8, and start anew."""
        data, self._end = self._data[: self._end].copy(), 0
        return data


@njit(cache=True)
def measure(owner, regions, views, counts, out, at):
    """Measure every bird of one frame.

    Parameters
    ----------
    owner
        (H, W) uint8: bird id (index + 1) of each pixel, 0 for none.
    regions
        (n, 4) int64: columns [x1, x2) and rows [y1, y2) inside the picture that hold all pixels of a bird.
    views
        (n,) VIEW to fill; feet, ``whole`` and ``inside`` are set already.
    counts, out, at
        Scratch for run lengths, the buffer for their bytes, and where to write in it. No run lengths without scratch.

    Returns
    -------
    int
        Where the bytes of the frame end in ``out``, `FULL` if it is too small.
    """
    height, width = owner.shape
    for i in range(len(views)):
        x1, y1, x2, y2 = regions[i]
        left, top, right, bottom = width, height, -1, -1
        area, sum_x, sum_y = 0, 0, 0
        for row in range(y1, y2):
            for column in range(x1, x2):
                if owner[row, column] == i + 1:
                    area += 1
                    sum_x += column
                    sum_y += row
                    left, right = min(left, column), max(right, column)
                    top, bottom = min(top, row), max(bottom, row)
        view = views[i]
        view.area = area
        if area == 0:
            view.x1 = view.y1 = view.x2 = view.y2 = view.cx = view.cy = np.nan
        else:
            view.x1, view.y1, view.x2, view.y2 = left, top, right + 1, bottom + 1
            view.cx, view.cy = sum_x / area + 0.5, sum_y / area + 0.5
            if len(counts):
                if at + (2 * area + 3) * MAX_CODE > len(out):
                    return FULL
                part = owner[top : bottom + 1, left : right + 1]
                at += encode_region(part, i + 1, top, left, height, width, counts, out[at:])
        view.code_end = at
    return at


def scratch(size: tuple[int, int]) -> np.ndarray:
    """Return the scratch for run lengths of a width x height picture."""
    return np.empty(size[0] * size[1] + 3, np.int64)
