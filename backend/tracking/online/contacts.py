"""Where birds meet: masks of several birds, birds in pieces, and matches that could as well be others. Compiled."""

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.online.affinity import WORST
from backend.tracking.online.assignment import NOBODY
from backend.tracking.online.matching import box_area, extent, overlaps, shared_with
from backend.tracking.online.motion import PERHAPS_SEVERAL, SEVERAL, SINGLE, size_of
from backend.tracking.online.overlap import box_iou
from backend.tracking.online.track_state import CONFIRMED, DOUBTFUL, FRAGMENT, MERGE, MERGED, NORMAL, SPLIT

PIECES_S = 1.0  # a bird that stays in two pieces for longer is two birds
PIECES_SHARE = 0.15  # and so is one that is in two pieces for more of its time
CROWD = 1.35  # what is larger than a bird by this factor may be several


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
def inside(flock, slot, rules, box, runs, n_runs):
    """Return the share of a bird's last mask (without masks: box), moved to where it is thought to be, in another."""
    bird = flock.birds[slot]
    if bird.runs > 0 and n_runs > 0:
        return shared_with(flock, slot, rules.column_step, runs, n_runs) / max(1, bird.area)
    x1, y1, x2, y2 = bird.x - bird.w / 2, bird.y - bird.h / 2, bird.x + bird.w / 2, bird.y + bird.h / 2
    width, height = min(x2, box[2]) - max(x1, box[0]), min(y2, box[3]) - max(y1, box[1])
    return max(0.0, width) * max(0.0, height) / max(1.0, bird.w * bird.h)


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
    sudden = best < rules.least_near
    for k in range(len(slots)):
        rival, e = similarity[k, d], match[k]
        if k == i or (rival <= WORST and not sudden):
            continue
        other = flock.birds[slots[k]]
        if other.hits < CONFIRMED <= bird.hits:
            continue
        lost = best - rival if e == NOBODY else best + similarity[k, e] - rival - similarity[i, e]
        near = rival > WORST and lost < rules.margin
        if near or (sudden and overlaps(boxes[d], other)):
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
        near = similarity[i, e] > WORST and best - similarity[i, e] < rules.margin
        if near and not taken[e] and kinds[e] == NORMAL:
            doubtful[i] = True
            kinds[e] = DOUBTFUL


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
