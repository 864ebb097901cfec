"""Arrays of stage 1: the detections it reads, the state of the tracks from frame to frame, the tracklets it writes."""

from typing import NamedTuple

import numpy as np

# Kinds of detections. In `Associations.kind` a detection without a tracklet is 0, `MERGED` or `AMBIGUOUS`; one with a
# tracklet is a `FRAGMENT` or has the tracklet's `SINGLE`, `SEVERAL` or `PERHAPS_SEVERAL`.
NORMAL, MERGED, FRAGMENT, AMBIGUOUS, ASSIGNED = 0, 1, 3, 4, 5
SINGLE, SEVERAL, PERHAPS_SEVERAL = range(3)  # how many birds a tracklet shows
GAP, CROSSING, MERGE, SPLIT = range(4)  # why a tracklet ended
MEDIAN_TO_SCALE = 1.45  # median of displacements / scale of their distribution
MIN_HITS = 3  # detections that confirm a tracklet; a shorter one ends with its first miss

# State of one track: a Kalman filter of its box, its last detection, and how long it has been ambiguous or merged.
TRACK_STATE = np.dtype(
    [
        ("tracklet", "i8"),  # 0: the slot is free
        ("hits", "i8"),  # detections so far
        ("crowd", "i8"),  # `SINGLE`, `SEVERAL` or `PERHAPS_SEVERAL` birds
        ("intact_time", "f8"),  # s, of the last detection that was not in two fragments
        ("partner", "i8"),  # tracklet of the bird that it was last ambiguous or merged with
        ("n_fragmented", "i8"),  # detections in two fragments
        ("ambiguous_time", "f8"),  # s, of the last ambiguous match
        ("merged_time", "f8"),  # s, of the last mask shared with another bird
        ("first_index", "i8"),  # frame index of its first detection
        ("last_index", "i8"),  # of its last one
        ("time", "f8"),  # s, that the state belongs to
        ("observed_time", "f8"),  # s, of the last detection
        ("x", "f8"),  # centre of the box, px
        ("y", "f8"),
        ("w", "f8"),  # sides, px
        ("h", "f8"),
        ("vx", "f8"),  # px/s
        ("vy", "f8"),
        ("vw", "f8"),
        ("vh", "f8"),
        ("centre_cov", "f8", (3,)),  # of one coordinate: position, position-velocity, velocity; in body sizes and s
        ("size_cov", "f8", (3,)),  # of one side, likewise
        ("x1", "f8"),  # last box, px
        ("y1", "f8"),
        ("x2", "f8"),
        ("y2", "f8"),
        ("area", "i8"),  # px of the sampled columns of its last mask
        ("n_runs", "i8"),  # runs of its last mask, 0: no mask
        ("full_area", "f8"),  # px, ``area`` (without masks: w h) when nothing hides it; of the largest in a crowd
    ],
    align=True,
)


class AssociationSettings(NamedTuple):
    """Settings of stage 1; a NamedTuple, because compiled code takes it as it is. Affinities are in nats."""

    high_score: float  # detections from this score on are matched first, and may begin a tracklet
    low_score: float  # detections below this score are ignored
    min_affinity: float  # of a match
    min_affinity_near: float  # of a match with another bird near
    min_margin: float  # by which the best assignment must beat every competing one
    max_gap_s: float  # a tracklet without a detection for longer ends
    max_merged_s: float  # and so does one that shares a mask for longer
    max_ambiguous_s: float  # and one whose matches are ambiguous for longer
    damping_s: float  # time constant with which an unobserved velocity decays
    frame_interval_s: float  # between two processed frames
    column_step: int  # masks are compared in every so many columns
    frame_height: int  # px


class ChunkArrays(NamedTuple):
    """Detections of consecutive frames. ``codes[offsets[k]:offsets[k + 1]]`` is the compressed mask of detection k."""

    first_index: int  # index of the first frame among all processed frames
    starts: np.ndarray  # (F + 1,) int64, first detection of each frame
    times: np.ndarray  # (F,) float64, s
    boxes: np.ndarray  # (N, 4) float64, x1 y1 x2 y2, px
    scores: np.ndarray  # (N,) float64
    offsets: np.ndarray  # (N + 1,) int64; all 0 without masks
    codes: np.ndarray  # (bytes,) uint8, compressed COCO counts
    motion: np.ndarray  # (F, 6) float64, motion of the camera (`camera_motion`); (0, 6) where it stands still


class FrameDetections(NamedTuple):
    """The n detections of one frame."""

    index: int  # of the frame among all processed frames
    time: float  # s
    first: int  # row of the first detection in the chunk
    boxes: np.ndarray  # (n, 4) float64, px
    scores: np.ndarray  # (n,) float64
    runs: np.ndarray  # (> n, MAX_RUNS, 3) int32, masks as `column_runs` reads them; the last is scratch space
    n_runs: np.ndarray  # (n,) int64, 0: no mask, or ignored
    areas: np.ndarray  # (n,) int64, px of the sampled columns
    kinds: np.ndarray  # (n,) int64, written by stage 1


class TrackStates(NamedTuple):
    """All current tracks, one a slot."""

    current: np.ndarray  # (slots,) TRACK_STATE
    observed: np.ndarray  # (slots,) TRACK_STATE at the last detection; the box there is that of ``runs``
    runs: np.ndarray  # (slots, MAX_RUNS, 3) int32, the last masks
    displacement: np.ndarray  # (1,) float64, running median of displacements between frames, body sizes


class Associations(NamedTuple):
    """Result of stage 1 for a chunk: the tracklet and kind of each detection, and the tracklets that ended."""

    tracklet: np.ndarray  # (N,) int64, from 1; 0: none
    kind: np.ndarray  # (N,) int8
    endings: np.ndarray  # (E, 4) int64: tracklet, why it ended, partner's tracklet (0: none), last frame index
