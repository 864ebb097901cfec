"""How tracklets begin, go on and end. Compiled."""

import math

from backend.project.kernels import kernel
from backend.tracking.online.affinity import spread_after
from backend.tracking.online.assignment import NOBODY
from backend.tracking.online.matching import extent, overlaps
from backend.tracking.online.motion import SINGLE, copy_state, move_camera, moved, observe, size_of, start
from backend.tracking.online.overlap import join_runs
from backend.tracking.online.track_state import CONFIRMED, CROSSING, DOUBTFUL, FRAGMENT, GAP, MERGE, MERGED, NORMAL

JUMP_UP, JUMP_DOWN = math.exp(0.002), math.exp(-0.002)
GROWS, SHRINKS = 0.1, 0.01  # how fast the usual area of a bird follows what is seen: mostly it is seen too small


@kernel(nogil=True)
def steady(bird, kept, motion):
    """Move a bird and what is remembered of it with the picture; the mask, and the box of ``kept``, stay in place."""
    move_camera(bird, motion)
    move_camera(kept, motion)
    bird.x1, bird.y1 = moved(motion, bird.x1, bird.y1)
    bird.x2, bird.y2 = moved(motion, bird.x2, bird.y2)


@kernel(nogil=True)
def patience(bird, rules):
    """Return how long, s, a bird may go without a detection of its own."""
    if max(bird.doubt_time, bird.shared_time) > bird.seen_time:
        return rules.share_s if bird.shared_time > bird.doubt_time else rules.doubt_s
    return rules.coast_s


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
def end(found, n_endings, bird, reason):
    """Write down why a tracklet ended, and free its slot."""
    row = found.endings[n_endings]
    row[0], row[1], row[2], row[3] = bird.tracklet, reason, bird.partner, bird.last
    bird.tracklet = 0
    return n_endings + 1


@kernel(nogil=True)
def take_in(chunk, first, d, piece, flock, slot, rules, scratch, runs, areas, index, time):
    """Let a bird take in its detection, and its second piece if it has one."""
    bird = flock.birds[slot]
    row = first + d
    if piece == NOBODY and bird.hits >= CONFIRMED:
        learn_jump(flock, bird, chunk.boxes[row], time)
    if piece == NOBODY:
        observe(bird, flock.kept[slot], index, time, chunk.boxes[row], rules.damping_s)
        bird.whole_time = time
        remember(flock, slot, scratch[d], runs[d], areas[d])
    else:
        box, other = chunk.boxes[row].copy(), chunk.boxes[first + piece]
        box[0], box[1] = min(box[0], other[0]), min(box[1], other[1])
        box[2], box[3] = max(box[2], other[2]), max(box[3], other[3])
        observe(bird, flock.kept[slot], index, time, box, rules.damping_s)
        bird.pieces += 1
        joined = join_runs(scratch[d], runs[d], scratch[piece], runs[piece], scratch[-1])
        remember(flock, slot, scratch[-1], joined, areas[d] + areas[piece])


@kernel(nogil=True)
def learn_jump(flock, bird, box, time):
    """Move the running median of distances a little towards what was just seen."""
    off_x, off_y = 0.5 * (box[0] + box[2]) - bird.x, 0.5 * (box[1] + box[3]) - bird.y
    distance = math.sqrt(off_x * off_x + off_y * off_y) / size_of(bird) / spread_after(time - bird.seen_time, 1.0)
    flock.jump[0] *= JUMP_UP if distance > flock.jump[0] else JUMP_DOWN


@kernel(nogil=True)
def remember(flock, slot, runs, n_runs, area):
    """Keep the state and the mask of a detection."""
    bird, kept = flock.birds[slot], flock.kept[slot]
    copy_state(bird, kept)
    kept.x1, kept.y1, kept.x2, kept.y2 = bird.x1, bird.y1, bird.x2, bird.y2
    bird.runs, bird.area = n_runs, area
    if bird.merged == SINGLE:
        more = (float(area) if area > 0 else bird.w * bird.h) - bird.usual
        bird.usual += (GROWS if more > 0.0 else SHRINKS) * more
    mine = flock.runs[slot]
    for k in range(n_runs):  # a copy of slices looks for overlap first
        mine[k, 0], mine[k, 1], mine[k, 2] = runs[k, 0], runs[k, 1], runs[k, 2]


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
        found.tracklet[row] = next_tracklet
        found.kind[row] = bird.merged
        next_tracklet += 1
    return next_tracklet
