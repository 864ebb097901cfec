"""Visible part of each bird (area, box, mask), measured on a map of pixel owners; for rendering and outlines."""

from collections.abc import Callable

import numpy as np

from backend.masks.rle import write_counts
from backend.project.kernels import kernel

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
BYTES_A_COUNT = 14


class RunLengths:
    """Compressed run lengths of a chunk, bird after bird and frame after frame, in a buffer that grows as needed."""

    def __init__(self) -> None:
        self._data = np.empty(1 << 22, np.uint8)
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


@kernel
def measure(owner, regions, views, runs, out, at):
    """Measure every bird of one frame.

    Parameters
    ----------
    owner
        (H, W) uint8: bird id (index + 1) of each pixel, 0 for none.
    regions
        (n, 4) int64: columns [x1, x2) and rows [y1, y2) inside the picture that hold all pixels of a bird.
    views
        (n,) VIEW to fill; feet, ``whole`` and ``inside`` are set already.
    runs, out, at
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
            if runs.shape[1]:
                if at + (2 * area + 1) * BYTES_A_COUNT > len(out):
                    return FULL
                part = owner[top : bottom + 1, left : right + 1]
                n = _runs(part, i + 1, left * height + top, height, runs)
                at += write_counts(runs[0, :n], runs[1, :n], height * width, out[at:])
        view.code_end = at
    return at


@kernel
def _runs(part, value, first, height, runs):
    """Fill ``runs`` (2, N) with starts and lengths, column after column, of ``value`` in a part of a picture."""
    n, end = 0, -1
    for column in range(part.shape[1]):
        for row in range(part.shape[0]):
            if part[row, column] == value:
                place = first + column * height + row
                if place == end:
                    runs[1, n - 1] += 1
                else:
                    runs[0, n], runs[1, n] = place, 1
                    n += 1
                end = place + 1
    return n


def scratch(size: tuple[int, int], masks: bool) -> np.ndarray:
    """Return the scratch for run lengths of a width x height picture; an empty one where no masks are wanted."""
    return np.empty((2, size[0] * size[1] if masks else 0), np.int64)
