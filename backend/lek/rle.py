"""COCO run-length encoding of masks: columns from the left, each from the top, background first. Compiled."""

import numpy as np
from numba import njit

MAX_CODE = 7  # bytes a count can take


@njit(cache=True)
def compress(counts, n, out, at):
    """Write ``n`` run lengths into ``out`` (uint8) from ``at`` as COCO's compressed counts; return where they end."""
    for i in range(n):
        value = counts[i] - (counts[i - 2] if i > 2 else 0)
        more = True
        while more:
            code = value & 0x1F
            value >>= 5
            more = value != -1 if code & 0x10 else value != 0
            out[at] = (code | 0x20 if more else code) + 48
            at += 1
    return at


@njit(cache=True)
def add_run(counts, n, end, start, stop):
    """Append the pixels [start, stop) to ``counts`` of ``n`` runs that end at ``end``; return the new (n, end).

    A COCO run list alternates background and mask, so a run that touches the last one makes it longer.
    """
    if n > 0 and start == end:
        counts[n - 1] += stop - start
    else:
        counts[n] = start - end
        counts[n + 1] = stop - start
        n += 2
    return n, stop


@njit(cache=True)
def encode_region(owner, value, top, left, height, width, counts, out):
    """Encode where ``owner`` equals ``value`` as a mask of a height x width picture, into ``out``.

    ``owner`` is (h, w) uint8, the part of the picture whose first pixel is (row ``top``, column ``left``); ``counts``
    is scratch, (>= 2 h w + 3,) int64. Returns the number of bytes written, 0 for an empty mask.
    """
    n, end = 0, 0
    for column in range(owner.shape[1]):
        first = (left + column) * height + top
        for row in range(owner.shape[0]):
            if owner[row, column] == value:
                n, end = add_run(counts, n, end, first + row, first + row + 1)
    if n == 0:
        return 0
    if end < height * width:
        counts[n] = height * width - end
        n += 1
    return compress(counts, n, out, 0)


@njit(cache=True)
def _decode(code, mask):
    previous = np.zeros(3, np.int64)
    at, position, run = 0, 0, 0
    while at < len(code):
        value, shift, more = 0, 0, True
        while more:
            symbol = code[at] - 48
            value |= (symbol & 0x1F) << shift
            shift += 5
            more = (symbol & 0x20) != 0
            if not more and symbol & 0x10:
                value |= -1 << shift
            at += 1
        if run > 2:
            value += previous[run % 2]
        previous[run % 2] = value
        if run % 2:
            mask[position : position + value] = True
        position += value
        run += 1


def decode(code: bytes, size: tuple[int, int]) -> np.ndarray:
    """Return the (height, width) bool mask of compressed counts; ``size`` is width x height. No bytes, no mask."""
    width, height = size
    mask = np.zeros(width * height, bool)
    if code:
        _decode(np.frombuffer(code, np.uint8), mask)
    return mask.reshape(width, height).T
