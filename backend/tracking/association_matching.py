"""Which detection is which bird in one frame: evidence of every pair, and the best assignment. Compiled."""

import math

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.assignment import NOBODY, assign
from backend.tracking.association_state import CONFIRMED, JUMP_TO_SCALE
from backend.tracking.overlap import box_iou, common_pixels
from backend.tracking.pairs import SHAPES_FROM_S, WORST, evidence


@kernel(nogil=True)
def likeness(chunk, row, d, flock, slot, rules, scratch, runs, areas, gap_s, distance2):
    """Return the evidence that a detection is a bird, ``distance2`` (body sizes, squared) from where it should be."""
    bird = flock.birds[slot]
    box = chunk.boxes[row]
    overlap, other = shape_features(flock, slot, box, scratch[d], runs[d], areas[d], rules.column_step, gap_s)
    nats = evidence(gap_s, flock.jump[0] / JUMP_TO_SCALE, distance2, overlap, other, bird.runs > 0 and runs[d] > 0)
    if rules.look > 0.0:
        cosine = 0.0
        for k in range(chunk.looks.shape[1]):
            cosine += chunk.looks[row, k] * flock.looks[slot, k]
        if cosine == cosine:  # NaN: not described
            nats += rules.look * (2.0 * cosine - 1.0)
    return max(WORST, nats)


@kernel(nogil=True)
def shape_features(flock, slot, box, runs, n_runs, area, step, gap_s):
    """Return how much a bird's last mask, moved to where it is thought to be, overlaps another, and how alike they are.

    The latter is their IoU with their boxes' centres laid on each other, 0 for gaps below `SHAPES_FROM_S`. Where a
    mask is missing: overlap of boxes, log ratio of their areas.
    """
    bird = flock.birds[slot]
    if bird.runs == 0 or n_runs == 0:
        x1, y1, x2, y2 = bird.x - bird.w / 2, bird.y - bird.h / 2, bird.x + bird.w / 2, bird.y + bird.h / 2
        overlap = box_iou(x1, y1, x2, y2, box[0], box[1], box[2], box[3])
        return overlap, math.log(box_area(box) / (bird.w * bird.h))
    overlap = alike = 0.0
    if overlaps(box, bird):
        overlap = iou_of(bird.area, area, shared_with(flock, slot, step, runs, n_runs))
    if gap_s > SHAPES_FROM_S:
        dx = column_shift(0.5 * (box[0] + box[2] - bird.x1 - bird.x2), step)
        dy = int(round(0.5 * (box[1] + box[3] - bird.y1 - bird.y2)))
        alike = iou_of(bird.area, area, common_pixels(flock.runs[slot], bird.runs, dx, dy, runs, n_runs))
    return overlap, alike


@kernel(nogil=True)
def iou_of(area, other, common):
    """Return the IoU of two masks from their areas and the pixels that they share."""
    return common / max(1, area + other - common)


@kernel(nogil=True)
def column_shift(shift, step):
    """Return a shift in columns, rounded to whole steps."""
    return int(round(shift / step)) * step


@kernel(nogil=True)
def shared_with(flock, slot, step, runs, n_runs):
    """Return the pixels that a bird's last mask, moved to where it is thought to be, shares with a mask."""
    bird = flock.birds[slot]
    dx = column_shift(bird.x - 0.5 * (bird.x1 + bird.x2), step)
    dy = int(round(bird.y - 0.5 * (bird.y1 + bird.y2)))
    return common_pixels(flock.runs[slot], bird.runs, dx, dy, runs, n_runs)


@kernel(nogil=True)
def match_in_two_rounds(similarity, scores, birds, slots, rules):
    """Match confident detections first, the others with the birds that are left (Zhang et al. 2022)."""
    n, m = similarity.shape
    high, rest = np.zeros((n, m)), np.zeros((n, m))
    for i in range(n):
        for d in range(m):
            value = max(0.0, similarity[i, d] - rules.least)
            if scores[d] >= rules.high:
                high[i, d] = value
            elif birds[slots[i]].hits >= CONFIRMED:
                rest[i, d] = value
    match = assign(high, 1e-6)
    some = False
    for i in range(n):
        if match[i] != NOBODY:
            rest[i] = 0.0
        some = some or rest[i].any()
    if some:
        second = assign(rest, 1e-6)
        for i in range(n):
            if match[i] == NOBODY:
                match[i] = second[i]
    return match


@kernel(nogil=True)
def overlaps(box, bird):
    """Tell whether a box meets the predicted box of a bird."""
    wide = box[0] < bird.x + bird.w / 2 and box[2] > bird.x - bird.w / 2
    return wide and box[1] < bird.y + bird.h / 2 and box[3] > bird.y - bird.h / 2


@kernel(nogil=True)
def box_area(box):
    """Return the area of a box, px^2."""
    return max(1.0, (box[2] - box[0]) * (box[3] - box[1]))


@kernel(nogil=True)
def extent(box, area):
    """Return how large a detection is: pixels of its mask, without one those of its box."""
    return float(area) if area > 0 else box_area(box)
