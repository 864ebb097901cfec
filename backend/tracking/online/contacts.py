"""Where birds meet: masks of several birds, birds in fragments, and ambiguous matches. Compiled.

``slots`` (M,) are those of the current tracks and ``match`` (M,) the detection of each, `UNASSIGNED` for none; matches
that these functions reject are set to `UNASSIGNED`, and the kinds of the detections are set.
"""

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.online.affinity import GATED
from backend.tracking.online.assignment import UNASSIGNED
from backend.tracking.online.matching import box_area, meets_predicted_box, pixels_shared, visible_area
from backend.tracking.online.motion import body_size
from backend.tracking.online.overlap import box_iou
from backend.tracking.online.track_state import (
    AMBIGUOUS,
    FRAGMENT,
    MERGE,
    MERGED,
    MIN_HITS,
    NORMAL,
    PERHAPS_SEVERAL,
    SEVERAL,
    SINGLE,
    SPLIT,
)

MAX_FRAGMENTED_S = 1.0  # a track that is in two fragments for longer shows two birds
MAX_FRAGMENTED_SHARE = 0.15  # and so does one that is in two fragments for more of its detections
CROWD_AREA_RATIO = 1.35  # of a detection to a bird's full area, from which on it may show several birds
MERGED_COVER = 0.6  # of both masks that a merged one must cover


@kernel(nogil=True)
def find_merged(detections, states, slots, match, settings):
    """Reject matches with masks that cover both the matched bird and one that has just vanished."""
    boxes, time = detections.boxes, detections.time
    before = time - 1.5 * settings.frame_interval_s
    for i in range(len(slots)):
        gone = states.current[slots[i]]
        missed = detections.index - gone.last_index
        if match[i] != UNASSIGNED or gone.hits < MIN_HITS or (missed > 3 and gone.merged_time < before):
            continue
        for k in range(len(slots)):
            d = match[k]
            if d == UNASSIGNED or not meets_predicted_box(boxes[d], gone):
                continue
            track = states.current[slots[k]]
            if track.hits < MIN_HITS or not fits_both(track, gone, boxes[d], detections.areas[d]):
                continue
            cover = min(
                share_covered(detections, d, states, slots[i], settings),
                share_covered(detections, d, states, slots[k], settings),
            )
            if cover >= MERGED_COVER:
                detections.kinds[d] = MERGED
                track.merged_time = gone.merged_time = time
                track.partner, gone.partner = gone.tracklet, track.tracklet
    for k in range(len(slots)):
        if match[k] != UNASSIGNED and detections.kinds[match[k]] == MERGED:
            match[k] = UNASSIGNED


@kernel(nogil=True)
def fits_both(track, gone, box, area):
    """Tell whether a mask (without masks: box) is large enough to show both birds."""
    a, b, whole = float(track.area), float(gone.area), float(area)
    if a == 0.0 or b == 0.0 or whole == 0.0:
        a, b, whole = track.w * track.h, gone.w * gone.h, box_area(box)
    return whole >= a + 0.5 * b and b >= 0.2 * a


@kernel(nogil=True)
def share_covered(detections, d, states, slot, settings):
    """Return the share of a track's last mask (without masks: box), moved to the predicted position, in a detection."""
    track, box = states.current[slot], detections.boxes[d]
    if track.n_runs > 0 and detections.n_runs[d] > 0:
        shared = pixels_shared(states, slot, settings.column_step, detections.runs[d], detections.n_runs[d])
        return shared / max(1, track.area)
    x1, y1, x2, y2 = track.x - track.w / 2, track.y - track.h / 2, track.x + track.w / 2, track.y + track.h / 2
    width, height = min(x2, box[2]) - max(x1, box[0]), min(y2, box[3]) - max(y1, box[1])
    return max(0.0, width) * max(0.0, height) / max(1.0, track.w * track.h)


@kernel(nogil=True)
def find_fragments(detections, states, slots, match, settings, ended, fragments):
    """Find detections that are the second fragment of a matched bird; end merged tracks whose birds part.

    Writes the reason `SPLIT` into ``ended`` (M,) and the second detection into ``fragments`` (M,).
    """
    boxes, areas, time = detections.boxes, detections.areas, detections.time
    n = len(boxes)
    taken = np.zeros(n, np.bool_)
    for i in range(len(slots)):
        if match[i] != UNASSIGNED:
            taken[match[i]] = True
    for i in range(len(slots)):
        d = match[i]
        if d == UNASSIGNED or ended[i] != UNASSIGNED:
            continue
        track = states.current[slots[i]]
        if track.crowd != SINGLE and visible_area(boxes[d], areas[d]) < CROWD_AREA_RATIO * track.full_area:
            ended[i] = SPLIT
        for e in range(n):
            if taken[e] or not meets_predicted_box(boxes[e], track):
                continue
            if not better_together(detections, d, e, states, slots[i], settings):
                continue
            too_long = time - track.intact_time > MAX_FRAGMENTED_S
            if track.crowd != SINGLE or too_long or track.n_fragmented > 2 + MAX_FRAGMENTED_SHARE * track.hits:
                ended[i] = SPLIT
            elif fragments[i] == UNASSIGNED and is_fragment(track, boxes[d], boxes[e], areas[d], areas[e]):
                detections.kinds[e] = FRAGMENT
                fragments[i] = e
                taken[e] = True


@kernel(nogil=True)
def better_together(detections, d, e, states, slot, settings):
    """Tell whether two detections together overlap the predicted bird clearly better than the first one alone."""
    track, runs, n_runs, areas = states.current[slot], detections.runs, detections.n_runs, detections.areas
    if track.n_runs > 0 and n_runs[d] > 0 and n_runs[e] > 0:
        one = pixels_shared(states, slot, settings.column_step, runs[d], n_runs[d])
        other = pixels_shared(states, slot, settings.column_step, runs[e], n_runs[e])
        alone = one / (track.area + areas[d] - one)
        joined = (one + other) / max(1, track.area + areas[d] + areas[e] - one - other)
    else:
        x1, y1, x2, y2 = track.x - track.w / 2, track.y - track.h / 2, track.x + track.w / 2, track.y + track.h / 2
        a, b = detections.boxes[d], detections.boxes[e]
        alone = box_iou(x1, y1, x2, y2, a[0], a[1], a[2], a[3])
        joined = box_iou(x1, y1, x2, y2, min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    return joined > 0.5 and joined > alone + 0.08


@kernel(nogil=True)
def is_fragment(track, main, other, area_main, area_other):
    """Tell whether two detections touch and are together no larger than the bird was."""
    slack = 0.1 * body_size(track)
    if other[0] > main[2] + slack or other[2] < main[0] - slack:
        return False
    if other[1] > main[3] + slack or other[3] < main[1] - slack:
        return False
    if track.area > 0 and area_main > 0 and area_other > 0:
        return area_main + area_other < 1.35 * track.area
    return box_area(main) + box_area(other) < 1.35 * track.w * track.h


@kernel(nogil=True)
def find_ambiguous(detections, states, slots, match, affinity, settings):
    """Reject ambiguous matches; the tracks and detections involved wait."""
    taken = np.zeros(affinity.shape[1], np.bool_)
    ambiguous = np.zeros(len(slots), np.bool_)
    for i in range(len(slots)):
        if match[i] != UNASSIGNED:
            taken[match[i]] = True
    for i in range(len(slots)):
        if match[i] != UNASSIGNED:
            compare_with_tracks(i, detections, states, slots, match, affinity, settings, ambiguous)
            compare_with_detections(i, detections, match, affinity, settings, taken, ambiguous)
    for i in range(len(slots)):
        if ambiguous[i]:
            states.current[slots[i]].ambiguous_time = detections.time
            if match[i] != UNASSIGNED:
                detections.kinds[match[i]] = AMBIGUOUS
                match[i] = UNASSIGNED


@kernel(nogil=True)
def compare_with_tracks(i, detections, states, slots, match, affinity, settings, ambiguous):
    """Mark a match as ambiguous if exchanging it with another track costs little, or if it is weak and one is near."""
    d, track = match[i], states.current[slots[i]]
    best = affinity[i, d]
    weak = best < settings.min_affinity_near
    for k in range(len(slots)):
        rival, e = affinity[k, d], match[k]
        if k == i or (rival <= GATED and not weak):
            continue
        other = states.current[slots[k]]
        if other.hits < MIN_HITS <= track.hits:
            continue
        margin = best - rival if e == UNASSIGNED else best + affinity[k, e] - rival - affinity[i, e]
        close = rival > GATED and margin < settings.min_margin
        if close or (weak and meets_predicted_box(detections.boxes[d], other)):
            ambiguous[i] = True
            track.partner = other.tracklet
        if close:
            ambiguous[k] = True
            other.partner = track.tracklet


@kernel(nogil=True)
def compare_with_detections(i, detections, match, affinity, settings, taken, ambiguous):
    """Mark a match as ambiguous if an unmatched detection fits nearly as well."""
    best = affinity[i, match[i]]
    for e in range(affinity.shape[1]):
        close = affinity[i, e] > GATED and best - affinity[i, e] < settings.min_margin
        if close and not taken[e] and detections.kinds[e] == NORMAL:
            ambiguous[i] = True
            detections.kinds[e] = AMBIGUOUS


@kernel(nogil=True)
def find_crowds(detections, states, slots, ended):
    """Return (n,) how many birds each unmatched detection shows, and (n,) the full area of the largest of them, px.

    It may show several if it lies where tracklets just ended and is larger than the full area of each of these birds.
    """
    boxes, areas = detections.boxes, detections.areas
    crowds, largest = np.full(len(boxes), SINGLE, np.int64), np.zeros(len(boxes))
    for d in range(len(boxes)):
        if detections.kinds[d] == NORMAL:
            merged = 0
            for i in range(len(slots)):
                track = states.current[slots[i]]
                if ended[i] != UNASSIGNED and meets_predicted_box(boxes[d], track):
                    largest[d] = max(largest[d], track.full_area)
                    merged += ended[i] == MERGE
            if largest[d] > 0.0 and visible_area(boxes[d], areas[d]) > CROWD_AREA_RATIO * largest[d]:
                crowds[d] = SEVERAL if merged > 1 else PERHAPS_SEVERAL
    return crowds, largest
