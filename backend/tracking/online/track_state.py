"""What stage 1 takes, holds from frame to frame and writes, and what it takes detections for."""

from typing import NamedTuple

import numpy as np

# What a detection is taken for. In `Found.kind` one that has a tracklet is a `FRAGMENT` or the tracklet's `SINGLE`,
# `SEVERAL`, `PERHAPS_SEVERAL` (0, 1, 2).
NORMAL, MERGED, FRAGMENT, DOUBTFUL, UNUSED = 0, 1, 3, 4, 5
GAP, CROSSING, MERGE, SPLIT = range(4)  # why a tracklet ended
JUMP_TO_SCALE = 1.45  # median of distances / scale of their distribution
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
    damping_s: float  # in which a velocity that is no longer observed dies away
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
    motion: np.ndarray  # (F, 6) float64, what the camera did; (0, 6) where it stands still


class Flock(NamedTuple):
    """All birds that are being followed, one a slot."""

    birds: np.ndarray  # (slots,) FOLLOWED
    kept: np.ndarray  # (slots,) FOLLOWED, as they were at their last detection; their boxes lie where ``runs`` do
    runs: np.ndarray  # (slots, LONGEST, 3) int32, their last masks
    jump: np.ndarray  # (1,) float64, running median of the distances from frame to frame, body sizes


class Found(NamedTuple):
    """What the step writes: for each detection its tracklet (0: none) and kind, and a list of endings."""

    tracklet: np.ndarray  # (N,) int64
    kind: np.ndarray  # (N,) int8
    endings: np.ndarray  # (E, 4) int64: tracklet, reason, other tracklet (0: none), frame index
