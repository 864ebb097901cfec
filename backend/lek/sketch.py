"""Imperfect masks of a simulated detector: true masks merged, split, cropped, shifted and stretched. Compiled."""

import math

import numpy as np

from backend.masks.rle import write_counts
from backend.project.kernels import kernel

BYTES_A_COUNT = 14
MARGIN = 0.25  # of a box's sides, room for what shifting and stretching adds
WHOLE, FRONT, BACK, CUT_SHORT = range(4)


@kernel
def draw_all(members, parts, cut, warp, offsets, codes, boxes, height, width):
    """Draw detections.

    Parameters
    ----------
    members
        (N, 2) int64, rows of truth whose silhouettes make the mask; -1: none.
    parts
        (N,) int64, which part of it is drawn.
    cut
        (N,) float64, where it is cut, in standard deviations along its long axis.
    warp
        (N, 4) float64: shift x and y as shares of the box's sides, factors on width and height.
    offsets, codes
        (rows + 1,) int64 and (bytes,) uint8: compressed counts of the rows of truth.
    boxes
        (rows, 4) float64 ``x1 y1 x2 y2``, px.
    height, width
        Of the picture.

    Returns
    -------
    drawn boxes
        (N, 4) float32 ``x1 y1 x2 y2``, px; an empty mask has zeros.
    areas
        (N,) int32.
    offsets, codes
        (N + 1,) int64 and (bytes,) uint8 of what was drawn.
    """
    n = len(members)
    out_boxes = np.zeros((n, 4), np.float32)
    areas = np.zeros(n, np.int32)
    ends = np.zeros(n + 1, np.int64)
    out = np.empty(max(1 << 16, 200 * n), np.uint8)
    for i in range(n):
        x1, y1, x2, y2 = room(members[i], boxes, height, width)
        source = np.zeros((y2 - y1, x2 - x1), np.uint8)
        for row in members[i]:
            if row >= 0:
                paint(codes[offsets[row] : offsets[row + 1]], source, x1, y1, height)
        if parts[i] != WHOLE:
            keep_part(source, parts[i], cut[i])
        mask = stretch(source, warp[i])
        at = ends[i]
        need = (2 * mask.size + 1) * BYTES_A_COUNT
        if at + need > len(out):
            out = np.concatenate((out, np.empty(len(out) + need, np.uint8)))
        ends[i + 1] = at + encode(mask, x1, y1, height, width, out[at:])
        areas[i] = measure_box(mask, x1, y1, out_boxes[i])
    return out_boxes, areas, ends, out[: ends[n]].copy()


@kernel
def room(rows, boxes, height, width):
    """Return x1, y1, x2, y2 (int) of the part of the picture that a mask of these rows may take."""
    x1, y1, x2, y2 = float(width), float(height), 0.0, 0.0
    for row in rows:
        if row >= 0:
            x1, y1 = min(x1, boxes[row, 0]), min(y1, boxes[row, 1])
            x2, y2 = max(x2, boxes[row, 2]), max(y2, boxes[row, 3])
    dx, dy = MARGIN * (x2 - x1) + 2, MARGIN * (y2 - y1) + 2
    return (
        max(0, int(x1 - dx)),
        max(0, int(y1 - dy)),
        min(width, int(math.ceil(x2 + dx))),
        min(height, int(math.ceil(y2 + dy))),
    )


@kernel
def paint(code, mask, left, top, height):
    """Add the mask of compressed counts to ``mask`` (h, w) uint8, whose first pixel is (row top, column left)."""
    before = np.zeros(3, np.int64)
    at, position, run = 0, 0, 0
    while at < len(code):
        value, shift, more = 0, 0, True
        while more:
            symbol = np.int64(code[at]) - 48
            value |= (symbol & 0x1F) << shift
            shift += 5
            more = (symbol & 0x20) != 0
            if not more and symbol & 0x10:
                value |= -1 << shift
            at += 1
        if run > 2:
            value += before[run % 2]
        before[run % 2] = value
        if run % 2:
            for pixel in range(position, position + value):
                column, row = pixel // height - left, pixel % height - top
                if 0 <= column < mask.shape[1] and 0 <= row < mask.shape[0]:
                    mask[row, column] = 1
        position += value
        run += 1


@kernel
def keep_part(mask, part, cut):
    """Erase from ``mask`` what lies on the other side of a cut across its long axis."""
    n, sx, sy = 0, 0.0, 0.0
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            if mask[row, column]:
                n += 1
                sx += column
                sy += row
    if n == 0:
        return
    cx, cy = sx / n, sy / n
    xx = xy = yy = 1e-9
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            if mask[row, column]:
                xx += (column - cx) ** 2
                xy += (column - cx) * (row - cy)
                yy += (row - cy) ** 2
    angle = 0.5 * math.atan2(2 * xy, xx - yy)
    ax, ay = math.cos(angle), math.sin(angle)
    spread = math.sqrt((ax * ax * xx + 2 * ax * ay * xy + ay * ay * yy) / n)
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            along = (ax * (column - cx) + ay * (row - cy)) / spread
            if (along > cut) == (part != BACK):
                mask[row, column] = 0


@kernel
def stretch(source, warp):
    """Return ``source`` shifted and stretched about the middle of its box."""
    box = np.zeros(4, np.float32)
    if measure_box(source, 0, 0, box) == 0:
        return source
    w, h = box[2] - box[0], box[3] - box[1]
    cx, cy = 0.5 * (box[0] + box[2]), 0.5 * (box[1] + box[3])
    result = np.zeros_like(source)
    for row in range(source.shape[0]):
        from_row = int(math.floor(cy + (row + 0.5 - cy - warp[1] * h) / warp[3]))
        if from_row < 0 or from_row >= source.shape[0]:
            continue
        for column in range(source.shape[1]):
            from_column = int(math.floor(cx + (column + 0.5 - cx - warp[0] * w) / warp[2]))
            if 0 <= from_column < source.shape[1]:
                result[row, column] = source[from_row, from_column]
    return result


@kernel
def ellipse(box, width, height):
    """Return compressed counts, (bytes,) uint8, and area of an upright ellipse that fills ``box`` (4,) int64."""
    x1, y1, x2, y2 = box
    mask = np.zeros((max(1, y2 - y1), max(1, x2 - x1)), np.uint8)
    area = 0
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            u, v = (2 * column + 1) / mask.shape[1] - 1, (2 * row + 1) / mask.shape[0] - 1
            if u * u + v * v <= 1:
                mask[row, column] = 1
                area += 1
    out = np.empty((2 * mask.size + 1) * BYTES_A_COUNT, np.uint8)
    return out[: encode(mask, x1, y1, height, width, out)].copy(), area


@kernel
def encode(mask, left, top, height, width, out):
    """Write the compressed counts of ``mask`` (h, w), a part of a height x width picture; return how many bytes."""
    starts, lengths = np.empty(mask.size, np.int64), np.empty(mask.size, np.int64)
    n, end = 0, -1
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if mask[row, column]:
                place = (left + column) * height + top + row
                if place == end:
                    lengths[n - 1] += 1
                else:
                    starts[n], lengths[n] = place, 1
                    n += 1
                end = place + 1
    return write_counts(starts[:n], lengths[:n], height * width, out)


@kernel
def measure_box(mask, left, top, box):
    """Write the box of ``mask`` into ``box`` (4,) and return its area."""
    area = 0
    x1, y1, x2, y2 = mask.shape[1], mask.shape[0], -1, -1
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            if mask[row, column]:
                area += 1
                x1, x2 = min(x1, column), max(x2, column)
                y1, y2 = min(y1, row), max(y2, row)
    if area:
        box[0], box[1], box[2], box[3] = left + x1, top + y1, left + x2 + 1, top + y2 + 1
    return area
