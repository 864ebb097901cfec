"""Overlap of masks and boxes. Masks are compared as runs of pixels, never as pictures. Compiled."""

import numpy as np
import pyarrow as pa

from backend.project.kernels import kernel

MAX_RUNS = 1024  # runs kept of a mask; one with more is compared by its box


def rle_buffers(rle: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the buffers of a column of compressed COCO counts: (N + 1,) int64 offsets into (bytes,) uint8.

    Null is empty.
    """
    if rle.null_count == len(rle):
        return np.zeros(len(rle) + 1, np.int64), np.zeros(1, np.uint8)
    if rle.null_count:
        rle = rle.fill_null(b"")
    _, buffer, data = rle.buffers()
    dtype = np.int64 if pa.types.is_large_binary(rle.type) else np.int32
    offsets = np.frombuffer(buffer, dtype)[rle.offset : rle.offset + len(rle) + 1].astype(np.int64)
    codes = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    return offsets, codes


@kernel(nogil=True)
def column_runs(codes, first, last, height, step, out):
    """Decode the compressed counts ``codes[first:last]`` (uint8) into vertical runs.

    Parameters
    ----------
    codes, first, last, height
        Buffer of COCO counts, the range in it, and the height of the frame, px.
    step
        Only every ``step``-th column is decoded: large birds need no more.
    out
        (most, 3) int32 to fill with column, first row, last row + 1; sorted by column, then row.

    Returns
    -------
    int, int
        Number of runs in ``out`` (0 if they do not fit) and pixels in them.
    """
    before, last_value = 0, 0
    at, position, number, n, area = first, 0, 0, 0, 0
    column, top = 0, 0  # of the last run, and the position of its column's first pixel
    while at < last:
        symbol = np.int64(codes[np.uint64(at)]) - 48  # unsigned: numba checks for negative indices otherwise
        at += 1
        value = (symbol & 0x1F) - ((symbol & 0x10) << 1)
        if symbol & 0x20:  # most counts have one symbol
            value, at = _long_count(codes, at, last, symbol & 0x1F)
        if number > 2:
            value += before
        before, last_value = last_value, value
        if number % 2:
            end = position + value
            while position < end:
                if position >= top + height:
                    column, top = column + 1, top + height
                if position < top or position >= top + height:  # a division takes longer than all the rest
                    column = position // height
                    top = column * height
                stop = min(end, top + height)
                if step == 1 or column % step == 0:
                    if n == len(out):
                        return 0, 0
                    run = out[np.uint64(n)]
                    run[0], run[1], run[2] = column, position - top, stop - top
                    area += stop - position
                    n += 1
                position = stop
        else:
            position += value
        number += 1
    return n, area


@kernel(nogil=True)
def _long_count(codes, at, last, value):
    """Return a count whose first five bits are ``value``, the others from ``codes[at]`` on, and the index behind it."""
    shift, more = 5, True
    while more and at < last:
        symbol = np.int64(codes[at]) - 48
        value |= (symbol & 0x1F) << shift
        shift += 5
        more = (symbol & 0x20) != 0
        if not more and symbol & 0x10:
            value |= np.int64(-1) << shift
        at += 1
    return value, at


@kernel(nogil=True)
def common_pixels(a, n_a, dx, dy, b, n_b):
    """Return how many pixels two masks share, the first one moved by ``dx`` columns and ``dy`` rows.

    ``a`` and ``b`` are runs of `column_runs`, ``n_a`` and ``n_b`` their numbers; ``dx`` is a multiple of their step.
    """
    i = j = common = 0
    while i < n_a and j < n_b:
        here_a, here_b = np.uint64(i), np.uint64(j)  # as in `column_runs`
        column_a, column_b = a[here_a, 0] + dx, b[here_b, 0]
        if column_a < column_b:
            i += 1
        elif column_b < column_a:
            j += 1
        else:
            end_a, end_b = a[here_a, 2] + dy, b[here_b, 2]
            common += max(0, min(end_a, end_b) - max(a[here_a, 1] + dy, b[here_b, 1]))
            last_a = i + 1 == n_a or a[here_a + np.uint64(1), 0] != a[here_a, 0]
            last_b = j + 1 == n_b or b[here_b + np.uint64(1), 0] != column_b
            if last_a and last_b:  # of their column, as most are
                i, j = i + 1, j + 1
            elif end_a < end_b:
                i += 1
            else:
                j += 1
    return common


@kernel(nogil=True)
def join_runs(a, n_a, b, n_b, out):
    """Merge the sorted runs of two masks into ``out``; return their number, 0 if a mask is empty or they do not fit."""
    if n_a == 0 or n_b == 0 or n_a + n_b > MAX_RUNS:
        return 0
    i = j = 0
    for k in range(n_a + n_b):
        first = j == n_b or (i < n_a and (a[i, 0] < b[j, 0] or (a[i, 0] == b[j, 0] and a[i, 1] <= b[j, 1])))
        if first:
            out[k] = a[i]
            i += 1
        else:
            out[k] = b[j]
            j += 1
    return n_a + n_b


@kernel(nogil=True)
def box_iou(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2):
    """Return the intersection over union (IoU) of two boxes ``x1 y1 x2 y2``."""
    width = min(ax2, bx2) - max(ax1, bx1)
    height = min(ay2, by2) - max(ay1, by1)
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - common)
