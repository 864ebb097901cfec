"""COCO run lengths from a network's 28x28 mask and its box, without a frame-sized mask.

Pixels belong to a mask as in Detectron2's sub-pixel paste: the value at a pixel's centre, by bilinear interpolation of
the probabilities laid over the box with zeros around them, is at least the threshold. The arithmetic follows
``torch.nn.functional.grid_sample`` rounding by rounding, so that the counts equal those of pasting and encoding.
"""

from typing import NamedTuple

import numpy as np

from backend.masks.rle import write_counts
from backend.project.kernels import kernel

SURE = (
    1e-5  # corners that all lie farther from the threshold decide for all pixels between them; rounding is below 1e-6
)
BYTES_A_COUNT = 14
OUT, IN, MIXED = 0, 1, 2


class EncodedMasks(NamedTuple):
    """Masks as COCO counts: mask ``k`` is ``data[offsets[k]:offsets[k + 1]]``.

    ``data`` (B,) uint8, ``offsets`` (D + 1,) int32, ``area_px2`` (D,) int32 pixels.
    """

    data: np.ndarray
    offsets: np.ndarray
    area_px2: np.ndarray

    def counts(self, k: int) -> bytes:
        """Return the counts of one mask."""
        return self.data[self.offsets[k] : self.offsets[k + 1]].tobytes()


def encode_masks(masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int], threshold: float = 0.5) -> EncodedMasks:
    """Encode masks as they would lie in a frame. Releases the GIL.

    Parameters
    ----------
    masks
        (D, S, S) float32, probability that a cell of the box belongs to the animal.
    boxes
        (D, 4) float32 ``x1 y1 x2 y2``, px of the frame. They may reach out of the frame. A box without width or height,
        or with a corner that is not a number, has an empty mask.
    size
        Width and height of the frame.
    threshold
        Least probability inside.
    """
    masks, boxes = np.ascontiguousarray(masks, np.float32), np.ascontiguousarray(boxes, np.float32)
    if masks.shape[1:] != (masks.shape[-1],) * 2 or boxes.shape != (len(masks), 4):
        raise ValueError(f"masks {masks.shape} and boxes {boxes.shape} are not (D, S, S) and (D, 4)")
    return EncodedMasks(*_encode_all(masks, boxes, size[1], size[0], np.float32(threshold)))


@kernel(nogil=True)
def _encode_all(masks, boxes, height, width, threshold):  # pragma: no cover - compiled
    n_masks, side = masks.shape[0], masks.shape[1]
    offsets = np.zeros(n_masks + 1, np.int32)
    areas = np.zeros(n_masks, np.int32)
    data = np.empty(256 * n_masks + 64, np.uint8)
    runs = np.empty((2, 1024), np.int64)
    kinds = np.empty((side + 1, side + 1), np.uint8)
    for k in range(n_masks):
        n_runs = 0
        if _is_area(boxes[k]):
            _corner_kinds(masks[k], threshold, kinds)
            runs, n_runs = _runs(masks[k], boxes[k], kinds, height, width, threshold, runs)
        starts, lengths = runs[0, :n_runs], runs[1, :n_runs]
        needed = offsets[k] + BYTES_A_COUNT * (2 * n_runs + 2)
        if needed > len(data):
            data = np.concatenate((data, np.empty(needed, np.uint8)))
        offsets[k + 1] = offsets[k] + write_counts(starts, lengths, height * width, data[offsets[k] :])
        areas[k] = lengths.sum()
    return data[: offsets[n_masks]].copy(), offsets, areas


@kernel(nogil=True)
def _is_area(box):  # pragma: no cover - compiled
    return np.isfinite(box).all() and box[2] > box[0] and box[3] > box[1]


@kernel(nogil=True)
def _corner_kinds(mask, threshold, kinds):  # pragma: no cover - compiled
    """Tell for every cell between four probabilities whether its pixels are all in, all out, or must be looked at.

    Cell (r, c) lies between rows r - 1 and r, columns c - 1 and c; probabilities outside the mask are 0.
    """
    side = mask.shape[0]
    low, high = np.zeros((side, side + 1), np.float32), np.zeros((side, side + 1), np.float32)
    for row in range(side):
        before = np.float32(0)
        for column in range(side + 1):
            after = mask[row, column] if column < side else np.float32(0)
            low[row, column], high[row, column] = min(before, after), max(before, after)
            before = after
    for row in range(side + 1):
        north, south = max(row - 1, 0), min(row, side - 1)
        border = row == 0 or row == side
        for column in range(side + 1):
            if max(high[north, column], high[south, column]) < threshold - SURE:
                kinds[row, column] = OUT
            elif not border and min(low[north, column], low[south, column]) >= threshold + SURE:
                kinds[row, column] = IN
            else:
                kinds[row, column] = MIXED


@kernel(nogil=True)
def _place(pixel, low, high, side):  # pragma: no cover - compiled
    """Return where a pixel's centre lies: the cell between the source samples, and the share of the second of them.

    Rounds where torch's operators do; ``(in + 1) * side / 2 - 0.5`` is one fused operation there.
    """
    relative = ((np.float32(pixel) + np.float32(0.5)) - low) / (high - low)
    normal = relative * np.float32(2) - np.float32(1)
    source = np.float32(np.float64(normal + np.float32(1)) * (side / 2) - 0.5)
    first = np.floor(source)
    return np.int64(first) + 1, source - first


@kernel(nogil=True)
def _runs(mask, box, kinds, height, width, threshold, runs):  # pragma: no cover - compiled
    """Find the runs of a mask, column by column. Returns the room for runs, which may have grown, and their number."""
    side = mask.shape[0]
    top, bottom = max(np.int64(np.floor(box[1])) - 1, 0), min(np.int64(np.ceil(box[3])) + 1, height)
    left, right = max(np.int64(np.floor(box[0])) - 1, 0), min(np.int64(np.ceil(box[2])) + 1, width)
    n_rows = max(bottom - top, 0)
    shares = np.empty(n_rows, np.float32)
    ends = np.zeros(side + 2, np.int64)  # rows before the end of each cell; those before the first cell come first
    for row in range(n_rows):
        cell, shares[row] = _place(top + row, box[1], box[3], side)
        if cell <= side:
            ends[max(cell + 1, 0)] = row + 1
    for cell in range(1, side + 2):
        ends[cell] = max(ends[cell], ends[cell - 1])
    n_runs = 0
    for x in range(left, right):
        column, share = _place(x, box[0], box[2], side)
        if column < 0 or column > side:
            continue
        if n_runs + n_rows // 2 + 1 > runs.shape[1]:
            grown = np.empty((2, 2 * runs.shape[1] + n_rows), np.int64)
            grown[:, :n_runs] = runs[:, :n_runs]
            runs = grown
        n_runs = _column_runs(mask, column, share, ends, shares, kinds, threshold, x * height + top, runs, n_runs)
    return runs, n_runs


@kernel(nogil=True)
def _column_runs(mask, column, share, ends, shares, kinds, threshold, origin, runs, n_runs):  # pragma: no cover
    """Append the runs of one column, whose first row has the position ``origin``, and return the number of runs."""
    one = np.float32(1)
    for cell in range(mask.shape[0] + 1):
        first, last = ends[cell], ends[cell + 1]
        kind = kinds[cell, column]
        if kind == OUT or first == last:
            continue
        if kind == IN:
            n_runs = _add(runs, n_runs, origin + first, origin + last)
            continue
        west, east = one - share, share
        nw, ne = _sample(mask, cell - 1, column - 1), _sample(mask, cell - 1, column)
        sw, se = _sample(mask, cell, column - 1), _sample(mask, cell, column)
        above, below = nw * west + ne * east, sw * west + se * east  # what the cell's column goes from and to, nearly
        if max(above, below) < threshold - SURE:
            continue
        if min(above, below) >= threshold + SURE:
            n_runs = _add(runs, n_runs, origin + first, origin + last)
            continue
        for row in range(first, last):
            south = shares[row]
            value = above + south * (below - above)
            if abs(value - threshold) < SURE:
                north = one - south
                value = _fused(ne, north * east, nw * (north * west))
                value = _fused(se, south * east, _fused(sw, south * west, value))
            if value >= threshold:
                n_runs = _add(runs, n_runs, origin + row, origin + row + 1)
    return n_runs


@kernel(nogil=True)
def _add(runs, n_runs, start, end):  # pragma: no cover - compiled
    """Append ``[start, end)``; a run that begins where the last one ended makes that one longer."""
    if n_runs > 0 and runs[0, n_runs - 1] + runs[1, n_runs - 1] == start:
        runs[1, n_runs - 1] += end - start
        return n_runs
    runs[0, n_runs], runs[1, n_runs] = start, end - start
    return n_runs + 1


@kernel(nogil=True)
def _sample(mask, row, column):  # pragma: no cover - compiled
    inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
    return mask[row, column] if inside else np.float32(0)


@kernel(nogil=True)
def _fused(a, b, c):  # pragma: no cover - compiled
    """Return ``a * b + c`` rounded once: the product of two float32 is exact in float64."""
    return np.float32(np.float64(a) * np.float64(b) + np.float64(c))
