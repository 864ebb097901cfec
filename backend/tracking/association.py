"""Stage 1: birds are followed from frame to frame as long as that is beyond reasonable doubt. A compiled step a frame.

What is doubtful is not decided here. The tracklets involved end, with the reason, and new ones begin; `linking`
decides.
"""

import math
from typing import NamedTuple

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.assignment import NOBODY, assign
from backend.tracking.motion import (
    PERHAPS_SEVERAL,
    SEVERAL,
    SINGLE,
    copy_state,
    move_camera,
    moved,
    observe,
    predict,
    size_of,
    start,
)
from backend.tracking.overlap import box_iou, column_runs, common_pixels, join_runs
from backend.tracking.pairs import SHAPES_FROM_S, WORST, evidence, spread_after

# What a detection is taken for. In `Found.kind` one that has a tracklet is a `FRAGMENT` or the tracklet's `SINGLE`,
# `SEVERAL`, `PERHAPS_SEVERAL` (0, 1, 2).
NORMAL, MERGED, FRAGMENT, DOUBTFUL, UNUSED = 0, 1, 3, 4, 5
GAP, CROSSING, MERGE, SPLIT = range(4)  # why a tracklet ended
PIECES_S = 1.0  # a bird that stays in two pieces for longer is two birds
PIECES_SHARE = 0.15  # and so is one that is in two pieces for more of its time
REACH2 = 2.25  # squared body sizes; what is farther away is compared only where birds move that fast
JUMP_TO_SCALE = 1.45  # median of distances / scale of their distribution
JUMP_STEP = 0.002
CROWD = 1.35  # what is larger than a bird by this factor may be several
GROWS, SHRINKS = 0.1, 0.01  # how fast the usual area of a bird follows what is seen: mostly it is seen too small
CONFIRMED = 3  # detections that make a tracklet; shorter ones are dropped when they are not seen at once


class Rules(NamedTuple):
    """Settings of stage 1; a NamedTuple, because the compiled step takes it as it is. Evidence is in nats (`pairs`)."""

    high: float  # scores from here on are matched first, and may begin a tracklet
    low: float  # scores below are not looked at
    least: float  # evidence of a match
    least_near: float  # evidence of a match where another bird is near
    margin: float  # evidence by which the best explanation must beat the second best
    coast_s: float  # a bird that is not seen for longer ends its tracklet
    share_s: float  # and one that is in one mask with another
    doubt_s: float  # and one whose matches are in doubt
    look: float  # nats for a descriptor that is the same, where descriptors are given
    frame_s: float  # between two frames that are looked at
    column_step: int  # every so many columns of a mask are compared
    height: int  # px, of the picture


class Chunk(NamedTuple):
    """Detections of some frames, sorted by frame. ``codes[offsets[k]:offsets[k + 1]]`` is the mask of detection k."""

    index: int  # of the first frame among all frames that were looked at
    starts: np.ndarray  # (F + 1,) int64, rows of each frame
    times: np.ndarray  # (F,) float64, s
    boxes: np.ndarray  # (N, 4) float64, px
    scores: np.ndarray  # (N,) float64
    offsets: np.ndarray  # (N + 1,) int64; all 0 without masks
    codes: np.ndarray  # (bytes,) uint8
    looks: np.ndarray  # (N, D) float32 of unit length, D = 0 without descriptors, NaN where unknown
    motion: np.ndarray  # (F, 6) float64, what the camera did; (0, 6) where it stands still


class Flock(NamedTuple):
    """All birds that are being followed, one a slot."""

    birds: np.ndarray  # (slots,) FOLLOWED
    kept: np.ndarray  # (slots,) FOLLOWED, as they were at their last detection
    runs: np.ndarray  # (slots, LONGEST, 3) int32, their last masks
    looks: np.ndarray  # (slots, D) float32, running mean of their descriptors
    jump: np.ndarray  # (1,) float64, running median of the distances from frame to frame, body sizes


class Found(NamedTuple):
    """What the step writes: for each detection its tracklet (0: none) and kind, and a list of endings."""

    tracklet: np.ndarray  # (N,) int64
    kind: np.ndarray  # (N,) int8
    endings: np.ndarray  # (E, 4) int64: tracklet, reason, other tracklet (0: none), frame index


@kernel(nogil=True)
def follow(chunk, flock, rules, scratch, found, first_frame, next_tracklet, n_endings):
    """Follow birds through the frames of a chunk.

    Returns
    -------
    int, int, int
        The frame to go on with (the number of frames when all is done; earlier when there are too few free slots or
        too little room for endings), the next tracklet number, and the number of endings.
    """
    frames = len(chunk.times)
    for frame in range(first_frame, frames):
        n = chunk.starts[frame + 1] - chunk.starts[frame]
        free = np.sum(flock.birds["tracklet"] == 0)
        if free < n or len(found.endings) - n_endings < 2 * len(flock.birds) or len(scratch) < n + 1:
            return frame, next_tracklet, n_endings
        next_tracklet, n_endings = step(chunk, frame, flock, rules, scratch, found, next_tracklet, n_endings)
    return frames, next_tracklet, n_endings


@kernel(nogil=True)
def step(chunk, frame, flock, rules, scratch, found, next_tracklet, n_endings):
    """Follow birds into one frame."""
    first, last = chunk.starts[frame], chunk.starts[frame + 1]
    n = last - first
    time, index = chunk.times[frame], chunk.index + frame
    runs = np.zeros(n, np.int64)
    areas = np.zeros(n, np.int64)
    for d in range(n):
        row = first + d
        if chunk.scores[row] >= rules.low:
            runs[d], areas[d] = column_runs(
                chunk.codes, chunk.offsets[row], chunk.offsets[row + 1], rules.height, rules.column_step, scratch[d]
            )
    slots = np.flatnonzero(flock.birds["tracklet"] > 0)
    for slot in slots:
        bird = flock.birds[slot]
        if len(chunk.motion):
            steady(bird, flock.kept[slot], chunk.motion[frame])
        predict(bird, time)
    similarity = np.full((len(slots), n), WORST)
    boxes = chunk.boxes[first:last]
    for i in range(len(slots)):
        bird = flock.birds[slots[i]]
        gap_s = time - bird.seen_time
        reach2 = max(REACH2, 400.0 * spread_after(gap_s, flock.jump[0] / JUMP_TO_SCALE) ** 2)
        for d in range(n):  # here, not in `likeness`: most pairs are far apart, and a call costs more than this
            off_x, off_y = 0.5 * (boxes[d, 0] + boxes[d, 2]) - bird.x, 0.5 * (boxes[d, 1] + boxes[d, 3]) - bird.y
            sides = max(1.0, (boxes[d, 2] - boxes[d, 0]) * (boxes[d, 3] - boxes[d, 1]))
            distance2 = (off_x * off_x + off_y * off_y) / math.sqrt(max(1.0, bird.w * bird.h) * sides)
            if distance2 <= reach2 and chunk.scores[first + d] >= rules.low:
                similarity[i, d] = likeness(
                    chunk, first + d, d, flock, slots[i], rules, scratch, runs, areas, gap_s, distance2
                )
    match = match_in_two_rounds(similarity, chunk.scores[first:last], flock.birds, slots, rules)
    kinds = np.zeros(n, np.int64)
    ended = np.full(len(slots), NOBODY, np.int64)
    pieces = np.full(len(slots), NOBODY, np.int64)
    find_merges(slots, match, similarity, flock, boxes, scratch, runs, areas, rules, index, time, kinds)
    find_fragments(slots, match, similarity, flock, boxes, scratch, runs, areas, rules, kinds, ended, pieces, time)
    find_doubts(slots, match, similarity, flock, boxes, rules, time, kinds)
    find_endings(slots, match, flock, rules, time, ended)
    for i in range(len(slots)):
        slot, d = slots[i], match[i]
        bird = flock.birds[slot]
        if ended[i] != NOBODY:
            n_endings = end(found, n_endings, bird, ended[i])
            match[i] = NOBODY
        elif d != NOBODY:
            take_in(chunk, first, d, pieces[i], flock, slot, scratch, runs, areas, index, time)
            found.tracklet[first + d] = bird.tracklet
            if pieces[i] != NOBODY:
                found.tracklet[first + pieces[i]] = bird.tracklet
            found.kind[first + d] = bird.merged
            kinds[d] = UNUSED
    release(slots, ended, flock, boxes, time, kinds)
    crowds, largest = find_crowds(slots, ended, flock, boxes, areas, kinds)
    next_tracklet = begin(
        chunk, first, n, flock, rules, scratch, runs, areas, kinds, crowds, largest, found, index, time, next_tracklet
    )
    return next_tracklet, n_endings


@kernel(nogil=True)
def patience(bird, rules):
    """Return how long, s, a bird may go without a detection of its own."""
    if max(bird.doubt_time, bird.shared_time) > bird.seen_time:
        return rules.share_s if bird.shared_time > bird.doubt_time else rules.doubt_s
    return rules.coast_s


@kernel(nogil=True)
def steady(bird, kept, motion):
    """Move a bird and what is remembered of it with the picture."""
    move_camera(bird, motion)
    move_camera(kept, motion)
    bird.x1, bird.y1 = moved(motion, bird.x1, bird.y1)
    bird.x2, bird.y2 = moved(motion, bird.x2, bird.y2)


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
def inside(flock, slot, rules, box, runs, n_runs):
    """Return the share of a bird's last mask (without masks: box), moved to where it is thought to be, in another."""
    bird = flock.birds[slot]
    if bird.runs > 0 and n_runs > 0:
        return shared_with(flock, slot, rules.column_step, runs, n_runs) / max(1, bird.area)
    x1, y1, x2, y2 = bird.x - bird.w / 2, bird.y - bird.h / 2, bird.x + bird.w / 2, bird.y + bird.h / 2
    width, height = min(x2, box[2]) - max(x1, box[0]), min(y2, box[3]) - max(y1, box[1])
    return max(0.0, width) * max(0.0, height) / max(1.0, bird.w * bird.h)


@kernel(nogil=True)
def find_merges(slots, match, similarity, flock, boxes, scratch, runs, areas, rules, index, time, kinds):
    """Find masks that cover a bird that is matched and one that has just vanished: neither is followed in them."""
    before = time - 1.5 * rules.frame_s
    for i in range(len(slots)):
        gone = flock.birds[slots[i]]
        if match[i] != NOBODY or gone.hits < CONFIRMED or (index - gone.last > 3 and gone.shared_time < before):
            continue
        for k in range(len(slots)):
            d = match[k]
            if d == NOBODY or not overlaps(boxes[d], gone) or flock.birds[slots[k]].hits < CONFIRMED:
                continue
            bird = flock.birds[slots[k]]
            if not is_both(bird, gone, boxes[d], areas[d]):
                continue
            both = min(
                inside(flock, slots[i], rules, boxes[d], scratch[d], runs[d]),
                inside(flock, slots[k], rules, boxes[d], scratch[d], runs[d]),
            )
            if both >= 0.6:
                kinds[d] = MERGED
                bird.shared_time = gone.shared_time = time
                bird.partner, gone.partner = gone.tracklet, bird.tracklet
    for k in range(len(slots)):
        if match[k] != NOBODY and kinds[match[k]] == MERGED:
            match[k] = NOBODY


@kernel(nogil=True)
def is_both(bird, gone, box, area):
    """Tell whether a mask (without masks: box) is large enough to show both birds."""
    a, b, whole = float(bird.area), float(gone.area), float(area)
    if a == 0.0 or b == 0.0 or whole == 0.0:
        a, b, whole = bird.w * bird.h, gone.w * gone.h, box_area(box)
    return whole >= a + 0.5 * b and b >= 0.2 * a


@kernel(nogil=True)
def box_area(box):
    """Return the area of a box, px^2."""
    return max(1.0, (box[2] - box[0]) * (box[3] - box[1]))


@kernel(nogil=True)
def find_fragments(slots, match, similarity, flock, boxes, scratch, runs, areas, rules, kinds, ended, pieces, time):
    """Find detections that are a second piece of a bird that is matched; a merged mask that parts ends."""
    n = len(boxes)
    taken = np.zeros(n, np.bool_)
    for i in range(len(slots)):
        if match[i] != NOBODY:
            taken[match[i]] = True
    for i in range(len(slots)):
        d = match[i]
        if d == NOBODY or ended[i] != NOBODY:
            continue
        bird = flock.birds[slots[i]]
        if bird.merged != SINGLE and extent(boxes[d], areas[d]) < CROWD * bird.usual:
            ended[i] = SPLIT
        for e in range(n):
            if taken[e] or not overlaps(boxes[e], bird):
                continue
            if not better_together(flock, slots[i], rules, boxes, scratch, runs, areas, d, e):
                continue
            if bird.merged != SINGLE or time - bird.whole_time > PIECES_S or bird.pieces > 2 + PIECES_SHARE * bird.hits:
                ended[i] = SPLIT
            elif pieces[i] == NOBODY and is_part(bird, boxes[d], boxes[e], areas[d], areas[e]):
                kinds[e] = FRAGMENT
                pieces[i] = e
                taken[e] = True


@kernel(nogil=True)
def overlaps(box, bird):
    """Tell whether a box meets the predicted box of a bird."""
    wide = box[0] < bird.x + bird.w / 2 and box[2] > bird.x - bird.w / 2
    return wide and box[1] < bird.y + bird.h / 2 and box[3] > bird.y - bird.h / 2


@kernel(nogil=True)
def better_together(flock, slot, rules, boxes, scratch, runs, areas, d, e):
    """Tell whether two detections together look clearly more like the bird than the first of them alone."""
    bird = flock.birds[slot]
    if bird.runs > 0 and runs[d] > 0 and runs[e] > 0:
        one = shared_with(flock, slot, rules.column_step, scratch[d], runs[d])
        other = shared_with(flock, slot, rules.column_step, scratch[e], runs[e])
        alone = one / (bird.area + areas[d] - one)
        joined = (one + other) / max(1, bird.area + areas[d] + areas[e] - one - other)
    else:
        x1, y1, x2, y2 = bird.x - bird.w / 2, bird.y - bird.h / 2, bird.x + bird.w / 2, bird.y + bird.h / 2
        a, b = boxes[d], boxes[e]
        alone = box_iou(x1, y1, x2, y2, a[0], a[1], a[2], a[3])
        joined = box_iou(x1, y1, x2, y2, min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    return joined > 0.5 and joined > alone + 0.08


@kernel(nogil=True)
def is_part(bird, main, other, area_main, area_other):
    """Tell whether two detections touch and are together no larger than the bird was."""
    room = 0.1 * size_of(bird)
    if other[0] > main[2] + room or other[2] < main[0] - room or other[1] > main[3] + room or other[3] < main[1] - room:
        return False
    if bird.area > 0 and area_main > 0 and area_other > 0:
        return area_main + area_other < 1.35 * bird.area
    return box_area(main) + box_area(other) < 1.35 * bird.w * bird.h


@kernel(nogil=True)
def find_doubts(slots, match, similarity, flock, boxes, rules, time, kinds):
    """Find matches that could as well be others; for now these birds are not followed."""
    taken = np.zeros(similarity.shape[1], np.bool_)
    doubtful = np.zeros(len(slots), np.bool_)
    for i in range(len(slots)):
        if match[i] != NOBODY:
            taken[match[i]] = True
    for i in range(len(slots)):
        if match[i] != NOBODY:
            doubt_birds(i, slots, match, similarity, flock, boxes, rules, doubtful)
            doubt_detections(i, match, similarity, rules, taken, kinds, doubtful)
    for i in range(len(slots)):
        if doubtful[i]:
            flock.birds[slots[i]].doubt_time = time
            if match[i] != NOBODY:
                kinds[match[i]] = DOUBTFUL
                match[i] = NOBODY


@kernel(nogil=True)
def doubt_birds(i, slots, match, similarity, flock, boxes, rules, doubtful):
    """Doubt a match where exchanging it with another bird costs little, or it is sudden with another bird near."""
    d, bird = match[i], flock.birds[slots[i]]
    best = similarity[i, d]
    for k in range(len(slots)):
        rival, e = similarity[k, d], match[k]
        other = flock.birds[slots[k]]
        if k == i or (other.hits < CONFIRMED <= bird.hits):
            continue
        lost = best - rival if e == NOBODY else best + similarity[k, e] - rival - similarity[i, e]
        near = rival > WORST and lost < rules.margin
        if near or (best < rules.least_near and overlaps(boxes[d], other)):
            doubtful[i] = True
            bird.partner = other.tracklet
        if near:
            doubtful[k] = True
            other.partner = bird.tracklet


@kernel(nogil=True)
def doubt_detections(i, match, similarity, rules, taken, kinds, doubtful):
    """Doubt a match where a detection that nobody has fits nearly as well."""
    best = similarity[i, match[i]]
    for e in range(similarity.shape[1]):
        free = not taken[e] and kinds[e] == NORMAL
        if free and similarity[i, e] > WORST and best - similarity[i, e] < rules.margin:
            doubtful[i] = True
            kinds[e] = DOUBTFUL


@kernel(nogil=True)
def find_endings(slots, match, flock, rules, time, ended):
    """End what was not seen for too long. Where a doubt is about two birds, the end of one is the end of both."""
    for i in range(len(slots)):
        bird = flock.birds[slots[i]]
        if ended[i] != NOBODY or match[i] != NOBODY:
            continue
        if bird.hits < CONFIRMED or time - bird.seen_time > patience(bird, rules):
            ended[i] = GAP
            if bird.doubt_time > bird.seen_time:
                ended[i] = CROSSING
            if bird.shared_time > max(bird.seen_time, bird.doubt_time):
                ended[i] = MERGE
    again = True
    while again:
        again = False
        for i in range(len(slots)):
            if ended[i] != CROSSING and ended[i] != MERGE:
                continue
            bird = flock.birds[slots[i]]
            for k in range(len(slots)):
                other = flock.birds[slots[k]]
                waits = max(other.doubt_time, other.shared_time) > other.seen_time
                if ended[k] == NOBODY and waits and (other.partner == bird.tracklet or bird.partner == other.tracklet):
                    ended[k] = ended[i]
                    again = True


@kernel(nogil=True)
def release(slots, ended, flock, boxes, time, kinds):
    """Let detections that were held back begin tracklets once nobody waits for them."""
    for d in range(len(boxes)):
        if kinds[d] != MERGED and kinds[d] != DOUBTFUL:
            continue
        waited_for = False
        for i in range(len(slots)):
            bird = flock.birds[slots[i]]
            in_doubt = ended[i] == NOBODY and max(bird.doubt_time, bird.shared_time) == time
            waited_for = waited_for or (in_doubt and overlaps(boxes[d], bird))
        if not waited_for:
            kinds[d] = NORMAL


@kernel(nogil=True)
def find_crowds(slots, ended, flock, boxes, areas, kinds):
    """Tell of each detection that may begin a tracklet whether it shows several birds, and the largest one's area.

    It perhaps does if it lies where tracklets just ended and is larger than any of these birds when nothing hides it.
    """
    crowds, largest = np.full(len(boxes), SINGLE, np.int64), np.zeros(len(boxes))
    for d in range(len(boxes)):
        if kinds[d] == NORMAL:
            merged = 0
            for i in range(len(slots)):
                bird = flock.birds[slots[i]]
                if ended[i] != NOBODY and overlaps(boxes[d], bird):
                    largest[d] = max(largest[d], bird.usual)
                    merged += ended[i] == MERGE
            if largest[d] > 0.0 and extent(boxes[d], areas[d]) > CROWD * largest[d]:
                crowds[d] = SEVERAL if merged > 1 else PERHAPS_SEVERAL
    return crowds, largest


@kernel(nogil=True)
def extent(box, area):
    """Return how large a detection is: pixels of its mask, without one those of its box."""
    return float(area) if area > 0 else box_area(box)


@kernel(nogil=True)
def end(found, n_endings, bird, reason):
    """Write down why a tracklet ended, and free its slot."""
    row = found.endings[n_endings]
    row[0], row[1], row[2], row[3] = bird.tracklet, reason, bird.partner, bird.last
    bird.tracklet = 0
    return n_endings + 1


@kernel(nogil=True)
def take_in(chunk, first, d, piece, flock, slot, scratch, runs, areas, index, time):
    """Let a bird take in its detection, and its second piece if it has one."""
    bird = flock.birds[slot]
    row = first + d
    if piece == NOBODY and bird.hits >= CONFIRMED:
        learn_jump(flock, bird, chunk.boxes[row], time)
    if piece == NOBODY:
        observe(bird, flock.kept[slot], index, time, chunk.boxes[row])
        bird.whole_time = time
        remember(flock, slot, scratch[d], runs[d], areas[d])
    else:
        box, other = chunk.boxes[row].copy(), chunk.boxes[first + piece]
        box[0], box[1] = min(box[0], other[0]), min(box[1], other[1])
        box[2], box[3] = max(box[2], other[2]), max(box[3], other[3])
        observe(bird, flock.kept[slot], index, time, box)
        bird.pieces += 1
        joined = join_runs(scratch[d], runs[d], scratch[piece], runs[piece], scratch[-1])
        remember(flock, slot, scratch[-1], joined, areas[d] + areas[piece])
    for k in range(chunk.looks.shape[1]):
        new = chunk.looks[row, k]
        if new == new:
            old = flock.looks[slot, k]
            flock.looks[slot, k] = new if old != old else 0.9 * old + 0.1 * new


@kernel(nogil=True)
def learn_jump(flock, bird, box, time):
    """Move the running median of distances a little towards what was just seen."""
    off_x, off_y = 0.5 * (box[0] + box[2]) - bird.x, 0.5 * (box[1] + box[3]) - bird.y
    distance = math.sqrt(off_x * off_x + off_y * off_y) / size_of(bird) / spread_after(time - bird.seen_time, 1.0)
    flock.jump[0] *= math.exp(JUMP_STEP if distance > flock.jump[0] else -JUMP_STEP)


@kernel(nogil=True)
def remember(flock, slot, runs, n_runs, area):
    """Keep the state and the mask of a detection."""
    bird, kept = flock.birds[slot], flock.kept[slot]
    copy_state(bird, kept)
    bird.runs, bird.area = n_runs, area
    if bird.merged == SINGLE:
        more = (float(area) if area > 0 else bird.w * bird.h) - bird.usual
        bird.usual += (GROWS if more > 0.0 else SHRINKS) * more
    flock.runs[slot, :n_runs] = runs[:n_runs]


@kernel(nogil=True)
def begin(
    chunk, first, n, flock, rules, scratch, runs, areas, kinds, crowds, largest, found, index, time, next_tracklet
):
    """Begin a tracklet with each confident detection that is left."""
    slot = 0
    for d in range(n):
        row = first + d
        if kinds[d] == FRAGMENT:
            found.kind[row] = FRAGMENT
        if kinds[d] == MERGED or kinds[d] == DOUBTFUL:
            found.kind[row] = kinds[d]
        if kinds[d] != NORMAL or chunk.scores[row] < rules.high:
            continue
        while flock.birds[slot].tracklet > 0:
            slot += 1
        bird = flock.birds[slot]
        start(bird, next_tracklet, index, time, chunk.boxes[row])
        bird.merged = crowds[d]
        bird.usual = largest[d] if bird.merged != SINGLE else extent(chunk.boxes[row], areas[d])
        remember(flock, slot, scratch[d], runs[d], areas[d])
        flock.looks[slot] = chunk.looks[row]
        found.tracklet[row] = next_tracklet
        found.kind[row] = bird.merged
        next_tracklet += 1
    return next_tracklet
