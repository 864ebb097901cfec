"""Which detection is which bird in one frame: evidence of every pair, and the best assignment. Compiled."""

import math

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.online.affinity import SHAPES_FROM_S, WORST, evidence, spread_after, weigh
from backend.tracking.online.assignment import NOBODY, assign
from backend.tracking.online.overlap import box_iou, common_pixels
from backend.tracking.online.track_state import CONFIRMED, JUMP_TO_SCALE

REACH2 = 2.25  # squared body sizes; what is farther away is compared only where birds move that fast


@kernel(nogil=True)
def compare_all(chunk, first, n, flock, slots, rules, scratch, runs, areas, time):
    """Return (birds, detections) evidence that a detection is a bird, `WORST` for pairs that are not compared."""
    similarity = np.full((len(slots), n), WORST)
    centres, weights = np.empty((3, n)), np.empty((2, 4))
    boxes, birds = chunk.boxes[first : first + n], flock.birds
    for d in range(n):
        box = boxes[d]
        centres[0, d], centres[1, d] = 0.5 * (box[0] + box[2]), 0.5 * (box[1] + box[3])
        centres[2, d] = box_area(box) if chunk.scores[first + d] >= rules.low else 0.0
    scale, gap_s, spread, reach2 = flock.jump[0] / JUMP_TO_SCALE, -1.0, 0.0, 0.0
    for i in range(len(slots)):
        slot = slots[i]
        bird = birds[slot]
        if time - bird.seen_time != gap_s:  # mostly all birds were seen in the frame before
            gap_s = time - bird.seen_time
            weigh(gap_s, weights)
            spread = spread_after(gap_s, scale)
            reach2 = max(REACH2, 400.0 * spread**2)
        x, y, sides = bird.x, bird.y, max(1.0, bird.w * bird.h)
        surely_far = reach2 * reach2 * sides * 1.000001
        for d in range(n):
            off_x, off_y = centres[0, d] - x, centres[1, d] - y
            off2 = off_x * off_x + off_y * off_y
            if off2 * off2 >= surely_far * centres[2, d]:  # most pairs are, and a root takes long
                continue
            distance2 = off2 / math.sqrt(sides * centres[2, d])
            if distance2 <= reach2:
                overlap, other = shape_features(
                    flock, slot, boxes[d], scratch[d], runs[d], areas[d], rules.column_step, gap_s
                )
                nats = evidence(weights, spread, distance2, overlap, other, bird.runs > 0 and runs[d] > 0)
                similarity[i, d] = max(WORST, nats)
    return similarity


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
        kept = flock.kept[slot]
        dx = column_shift(0.5 * (box[0] + box[2] - kept.x1 - kept.x2), step)
        dy = int(round(0.5 * (box[1] + box[3] - kept.y1 - kept.y2)))
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
    bird, kept = flock.birds[slot], flock.kept[slot]
    dx = column_shift(bird.x - 0.5 * (kept.x1 + kept.x2), step)
    dy = int(round(bird.y - 0.5 * (kept.y1 + kept.y2)))
    return common_pixels(flock.runs[slot], bird.runs, dx, dy, runs, n_runs)


@kernel(nogil=True)
def match_in_two_rounds(similarity, scores, birds, slots, rules):
    """Match confident detections first, the others with the birds that are left (Zhang et al. 2022)."""
    n, m = similarity.shape
    value = np.zeros((n, m))
    for i in range(n):
        for d in range(m):
            if similarity[i, d] > rules.least and scores[d] >= rules.high:
                value[i, d] = similarity[i, d] - rules.least
    match = assign(value, 1e-6)
    value[:] = 0.0
    some = False
    for d in range(m):
        if scores[d] >= rules.high:
            continue
        for i in range(n):
            if similarity[i, d] > rules.least and match[i] == NOBODY and birds[slots[i]].hits >= CONFIRMED:
                value[i, d] = similarity[i, d] - rules.least
                some = True
    if some:
        second = assign(value, 1e-6)
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
