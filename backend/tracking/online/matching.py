"""Match the detections of one frame with tracks: affinity of every pair, and the optimal assignment. Compiled."""

import math

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.online.affinity import (
    GATED,
    SHAPE_MIN_GAP_S,
    displacement_scale,
    interpolate_coefficients,
    log_likelihood_ratio,
)
from backend.tracking.online.assignment import UNASSIGNED, assign
from backend.tracking.online.overlap import box_iou, common_pixels
from backend.tracking.online.track_state import MEDIAN_TO_SCALE, MIN_HITS

GATE2 = 2.25  # squared body sizes, the smallest gate; it widens where birds move that fast


@kernel(nogil=True)
def affinity_matrix(detections, states, slots, settings):
    """Return the affinity (tracks, detections), nats, of every pair; `GATED` for those outside the gate."""
    n = len(detections.boxes)
    affinity = np.full((len(slots), n), GATED)
    centres, coefficients = np.empty((3, n)), np.empty((2, 4))
    boxes = detections.boxes
    for d in range(n):
        box = boxes[d]
        centres[0, d], centres[1, d] = 0.5 * (box[0] + box[2]), 0.5 * (box[1] + box[3])
        centres[2, d] = box_area(box) if detections.scores[d] >= settings.low_score else 0.0
    unit_scale, gap_s, scale, gate2 = states.displacement[0] / MEDIAN_TO_SCALE, -1.0, 0.0, 0.0
    for i in range(len(slots)):
        slot = slots[i]
        track = states.current[slot]
        if detections.time - track.observed_time != gap_s:  # mostly all birds were detected in the frame before
            gap_s = detections.time - track.observed_time
            interpolate_coefficients(gap_s, coefficients)
            scale = displacement_scale(gap_s, unit_scale)
            gate2 = max(GATE2, 400.0 * scale**2)
        x, y, area = track.x, track.y, max(1.0, track.w * track.h)
        surely_far = gate2 * gate2 * area * 1.000001
        for d in range(n):
            off_x, off_y = centres[0, d] - x, centres[1, d] - y
            off2 = off_x * off_x + off_y * off_y
            if off2 * off2 >= surely_far * centres[2, d]:  # most pairs are, and a root takes long
                continue
            distance2 = off2 / math.sqrt(area * centres[2, d])
            if distance2 <= gate2:
                overlap, shape = shape_features(
                    states,
                    slot,
                    boxes[d],
                    detections.runs[d],
                    detections.n_runs[d],
                    detections.areas[d],
                    settings.column_step,
                    gap_s,
                )
                masks = track.n_runs > 0 and detections.n_runs[d] > 0
                nats = log_likelihood_ratio(coefficients, scale, distance2, overlap, shape, masks)
                affinity[i, d] = max(GATED, nats)
    return affinity


@kernel(nogil=True)
def shape_features(states, slot, box, runs, n_runs, area, step, gap_s):
    """Return the IoU of a track's last mask, moved to the predicted position, with a mask, and their shape similarity.

    The latter is the IoU of both with their boxes' centres aligned, 0 for gaps below `SHAPE_MIN_GAP_S`. Where a mask is
    missing: IoU of the boxes, log ratio of their areas.
    """
    track = states.current[slot]
    if track.n_runs == 0 or n_runs == 0:
        x1, y1, x2, y2 = track.x - track.w / 2, track.y - track.h / 2, track.x + track.w / 2, track.y + track.h / 2
        overlap = box_iou(x1, y1, x2, y2, box[0], box[1], box[2], box[3])
        return overlap, math.log(box_area(box) / (track.w * track.h))
    overlap = shape = 0.0
    if meets_predicted_box(box, track):
        overlap = iou_of(track.area, area, pixels_shared(states, slot, step, runs, n_runs))
    if gap_s > SHAPE_MIN_GAP_S:
        observed = states.observed[slot]
        dx = column_shift(0.5 * (box[0] + box[2] - observed.x1 - observed.x2), step)
        dy = int(round(0.5 * (box[1] + box[3] - observed.y1 - observed.y2)))
        shape = iou_of(track.area, area, common_pixels(states.runs[slot], track.n_runs, dx, dy, runs, n_runs))
    return overlap, shape


@kernel(nogil=True)
def iou_of(area, other, common):
    """Return the IoU of two masks from their areas and the pixels that they share."""
    return common / max(1, area + other - common)


@kernel(nogil=True)
def column_shift(shift, step):
    """Return a shift in columns, rounded to a multiple of ``step``."""
    return int(round(shift / step)) * step


@kernel(nogil=True)
def pixels_shared(states, slot, step, runs, n_runs):
    """Return how many pixels a track's last mask, moved to the predicted position, shares with a mask."""
    track, observed = states.current[slot], states.observed[slot]
    dx = column_shift(track.x - 0.5 * (observed.x1 + observed.x2), step)
    dy = int(round(track.y - 0.5 * (observed.y1 + observed.y2)))
    return common_pixels(states.runs[slot], track.n_runs, dx, dy, runs, n_runs)


@kernel(nogil=True)
def match_by_score(affinity, scores, current, slots, settings):
    """Match detections of high score first, the others with the confirmed tracks that are left.

    Zhang et al. (2022), ByteTrack. Returns (tracks,) int64, the detection of each track, `UNASSIGNED` for none.
    """
    n, m = affinity.shape
    gain = np.zeros((n, m))
    for i in range(n):
        for d in range(m):
            if affinity[i, d] > settings.min_affinity and scores[d] >= settings.high_score:
                gain[i, d] = affinity[i, d] - settings.min_affinity
    match = assign(gain, 1e-6)
    gain[:] = 0.0
    some = False
    for d in range(m):
        if scores[d] >= settings.high_score:
            continue
        for i in range(n):
            confirmed = current[slots[i]].hits >= MIN_HITS
            if affinity[i, d] > settings.min_affinity and match[i] == UNASSIGNED and confirmed:
                gain[i, d] = affinity[i, d] - settings.min_affinity
                some = True
    if some:
        second = assign(gain, 1e-6)
        for i in range(n):
            if match[i] == UNASSIGNED:
                match[i] = second[i]
    return match


@kernel(nogil=True)
def meets_predicted_box(box, track):
    """Tell whether a box intersects the predicted box of a track."""
    wide = box[0] < track.x + track.w / 2 and box[2] > track.x - track.w / 2
    return wide and box[1] < track.y + track.h / 2 and box[3] > track.y - track.h / 2


@kernel(nogil=True)
def box_area(box):
    """Return the area of a box, px^2, at least 1."""
    return max(1.0, (box[2] - box[0]) * (box[3] - box[1]))


@kernel(nogil=True)
def visible_area(box, mask_area):
    """Return the area of a detection: pixels of its mask, without one px^2 of its box."""
    return float(mask_area) if mask_area > 0 else box_area(box)
