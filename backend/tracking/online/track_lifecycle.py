"""How tracklets begin, go on and end. Compiled."""

import math

from backend.project.kernels import kernel
from backend.tracking.online.affinity import displacement_scale
from backend.tracking.online.assignment import UNASSIGNED
from backend.tracking.online.matching import meets_predicted_box, visible_area
from backend.tracking.online.motion import (
    body_size,
    copy_filter,
    initialise,
    move_with_camera,
    observe,
    transform_point,
)
from backend.tracking.online.overlap import join_runs
from backend.tracking.online.track_state import (
    AMBIGUOUS,
    CROSSING,
    FRAGMENT,
    GAP,
    MERGE,
    MERGED,
    MIN_HITS,
    NORMAL,
    SINGLE,
)

MEDIAN_STEP_UP, MEDIAN_STEP_DOWN = math.exp(0.002), math.exp(-0.002)  # of the running median of displacements
AREA_GAIN_UP, AREA_GAIN_DOWN = 0.1, 0.01  # of the running full area of a bird: mostly part of it is hidden


@kernel(nogil=True)
def compensate_camera(track, observed, motion):
    """Move a track by the motion of the camera; its mask, and the box of ``observed``, keep their coordinates."""
    move_with_camera(track, motion)
    move_with_camera(observed, motion)
    track.x1, track.y1 = transform_point(motion, track.x1, track.y1)
    track.x2, track.y2 = transform_point(motion, track.x2, track.y2)


@kernel(nogil=True)
def max_unobserved_s(track, settings):
    """Return how long, s, a track may go without a detection of its own."""
    if max(track.ambiguous_time, track.merged_time) > track.observed_time:
        return settings.max_merged_s if track.merged_time > track.ambiguous_time else settings.max_ambiguous_s
    return settings.max_gap_s


@kernel(nogil=True)
def find_endings(detections, states, slots, match, settings, ended):
    """Write into ``ended`` (M,) why tracks end now; partners in an ambiguous or merged detection end together."""
    for i in range(len(slots)):
        track = states.current[slots[i]]
        if ended[i] != UNASSIGNED or match[i] != UNASSIGNED:
            continue
        if track.hits < MIN_HITS or detections.time - track.observed_time > max_unobserved_s(track, settings):
            ended[i] = GAP
            if track.ambiguous_time > track.observed_time:
                ended[i] = CROSSING
            if track.merged_time > max(track.observed_time, track.ambiguous_time):
                ended[i] = MERGE
    again = True
    while again:
        again = False
        for i in range(len(slots)):
            if ended[i] != CROSSING and ended[i] != MERGE:
                continue
            track = states.current[slots[i]]
            for k in range(len(slots)):
                other = states.current[slots[k]]
                waits = max(other.ambiguous_time, other.merged_time) > other.observed_time
                partners = other.partner == track.tracklet or track.partner == other.tracklet
                if ended[k] == UNASSIGNED and waits and partners:
                    ended[k] = ended[i]
                    again = True


@kernel(nogil=True)
def release_withheld(detections, states, slots, ended):
    """Let merged and ambiguous detections begin tracklets once no track waits for them any more."""
    for d in range(len(detections.boxes)):
        if detections.kinds[d] != MERGED and detections.kinds[d] != AMBIGUOUS:
            continue
        withheld = False
        for i in range(len(slots)):
            track = states.current[slots[i]]
            waits = ended[i] == UNASSIGNED and max(track.ambiguous_time, track.merged_time) == detections.time
            withheld = withheld or (waits and meets_predicted_box(detections.boxes[d], track))
        if not withheld:
            detections.kinds[d] = NORMAL


@kernel(nogil=True)
def end_tracklet(result, n_endings, track, reason):
    """Record why a tracklet ended, free its slot and return the number of endings."""
    row = result.endings[n_endings]
    row[0], row[1], row[2], row[3] = track.tracklet, reason, track.partner, track.last_index
    track.tracklet = 0
    return n_endings + 1


@kernel(nogil=True)
def update_track(detections, d, fragment, states, slot, settings):
    """Update a track with its detection, and with the second fragment unless that is `UNASSIGNED`."""
    track, time = states.current[slot], detections.time
    boxes, runs, n_runs, areas = detections.boxes, detections.runs, detections.n_runs, detections.areas
    if fragment == UNASSIGNED and track.hits >= MIN_HITS:
        update_displacement(states, track, boxes[d], time)
    if fragment == UNASSIGNED:
        observe(track, states.observed[slot], detections.index, time, boxes[d], settings.damping_s)
        track.intact_time = time
        store_observation(states, slot, runs[d], n_runs[d], areas[d])
    else:
        box, other = boxes[d].copy(), boxes[fragment]
        box[0], box[1] = min(box[0], other[0]), min(box[1], other[1])
        box[2], box[3] = max(box[2], other[2]), max(box[3], other[3])
        observe(track, states.observed[slot], detections.index, time, box, settings.damping_s)
        track.n_fragmented += 1
        joined = join_runs(runs[d], n_runs[d], runs[fragment], n_runs[fragment], runs[-1])
        store_observation(states, slot, runs[-1], joined, areas[d] + areas[fragment])


@kernel(nogil=True)
def update_displacement(states, track, box, time):
    """Move the running median of displacements by one step towards the displacement just observed."""
    off_x, off_y = 0.5 * (box[0] + box[2]) - track.x, 0.5 * (box[1] + box[3]) - track.y
    unit = displacement_scale(time - track.observed_time, 1.0)
    distance = math.sqrt(off_x * off_x + off_y * off_y) / body_size(track) / unit
    states.displacement[0] *= MEDIAN_STEP_UP if distance > states.displacement[0] else MEDIAN_STEP_DOWN


@kernel(nogil=True)
def store_observation(states, slot, runs, n_runs, area):
    """Keep the state and the mask of a track's detection."""
    track, observed = states.current[slot], states.observed[slot]
    copy_filter(track, observed)
    observed.x1, observed.y1, observed.x2, observed.y2 = track.x1, track.y1, track.x2, track.y2
    track.n_runs, track.area = n_runs, area
    if track.crowd == SINGLE:
        more = (float(area) if area > 0 else track.w * track.h) - track.full_area
        track.full_area += (AREA_GAIN_UP if more > 0.0 else AREA_GAIN_DOWN) * more
    stored = states.runs[slot]
    for k in range(n_runs):  # copying slices would check for overlap first
        stored[k, 0], stored[k, 1], stored[k, 2] = runs[k, 0], runs[k, 1], runs[k, 2]


@kernel(nogil=True)
def begin_tracklets(detections, states, settings, crowds, largest, result, next_tracklet):
    """Begin a tracklet with each unmatched detection of high score; return the next tracklet number."""
    slot = 0
    for d in range(len(detections.boxes)):
        row, kind, box = detections.first + d, detections.kinds[d], detections.boxes[d]
        if kind in (FRAGMENT, MERGED, AMBIGUOUS):
            result.kind[row] = kind
        if kind != NORMAL or detections.scores[d] < settings.high_score:
            continue
        while states.current[slot].tracklet > 0:
            slot += 1
        track = states.current[slot]
        initialise(track, next_tracklet, detections.index, detections.time, box)
        track.crowd = crowds[d]
        track.full_area = largest[d] if track.crowd != SINGLE else visible_area(box, detections.areas[d])
        store_observation(states, slot, detections.runs[d], detections.n_runs[d], detections.areas[d])
        result.tracklet[row] = next_tracklet
        result.kind[row] = track.crowd
        next_tracklet += 1
    return next_tracklet
