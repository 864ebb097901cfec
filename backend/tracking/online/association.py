"""Stage 1: birds are followed from frame to frame as long as that is beyond reasonable doubt. A compiled step a frame.

What is doubtful is not decided here. The tracklets involved end, with the reason, and new ones begin; `linking`
decides.
"""

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.online.assignment import NOBODY
from backend.tracking.online.contacts import find_crowds, find_doubts, find_fragments, find_merges
from backend.tracking.online.matching import compare_all, match_in_two_rounds
from backend.tracking.online.motion import predict
from backend.tracking.online.overlap import column_runs
from backend.tracking.online.track_lifecycle import begin, end, find_endings, release, steady, take_in
from backend.tracking.online.track_state import UNUSED


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
        predict(bird, time, rules.damping_s)
    boxes = chunk.boxes[first:last]
    similarity = compare_all(chunk, first, n, flock, slots, rules, scratch, runs, areas, time)
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
            take_in(chunk, first, d, pieces[i], flock, slot, rules, scratch, runs, areas, index, time)
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
