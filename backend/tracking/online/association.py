"""Stage 1: detections are associated frame by frame, and a tracklet goes on only while its match is beyond doubt.

Ambiguous matches are not decided here: the tracklets involved end, with the reason, new ones begin, and linking (stage
2) decides with the whole video. Memory does not depend on the length of the video.
"""

import numpy as np

from backend.pipeline.detections import ChunkDetections
from backend.project.kernels import kernel
from backend.tracking.online.affinity import DEFAULT_SCALE
from backend.tracking.online.assignment import UNASSIGNED
from backend.tracking.online.contacts import find_ambiguous, find_crowds, find_fragments, find_merged
from backend.tracking.online.matching import affinity_matrix, match_by_score
from backend.tracking.online.motion import DAMPING_S, predict
from backend.tracking.online.overlap import MAX_RUNS, column_runs, rle_buffers
from backend.tracking.online.track_lifecycle import (
    begin_tracklets,
    compensate_camera,
    end_tracklet,
    find_endings,
    release_withheld,
    update_track,
)
from backend.tracking.online.track_state import (
    ASSIGNED,
    MEDIAN_TO_SCALE,
    TRACK_STATE,
    Associations,
    AssociationSettings,
    ChunkArrays,
    FrameDetections,
    TrackStates,
)

COLUMNS_PER_BIRD = 40  # columns of a mask of median width that are compared
GROWTH = 1.5  # of arrays that turned out too small


def default_settings(frame_height: int, frame_interval_s: float, widths: np.ndarray) -> AssociationSettings:
    """Return the settings of stage 1 for a video.

    Parameters
    ----------
    frame_height
        Of the original frame, px.
    frame_interval_s
        Time between processed frames, s.
    widths
        (N,) of the boxes of some birds, px.
    """
    return AssociationSettings(
        high_score=0.5,
        low_score=0.1,
        min_affinity=0.0,
        min_affinity_near=5.0,
        min_margin=8.0,
        max_gap_s=1.0,
        max_merged_s=1.0,
        max_ambiguous_s=1.0,
        damping_s=DAMPING_S,
        frame_interval_s=frame_interval_s,
        column_step=choose_column_step(widths),
        frame_height=frame_height,
    )


def choose_column_step(widths: np.ndarray) -> int:
    """Return the step between compared columns of masks, for birds of these widths (N,), px."""
    return max(1, int(np.median(widths) / COLUMNS_PER_BIRD)) if len(widths) else 1


def chunk_arrays(part: ChunkDetections, motion: np.ndarray | None = None) -> ChunkArrays:
    """Return a chunk of a detections run as arrays; ``motion`` (F, 6) is that of the camera, None: it stands still."""
    detections = part.detections
    offsets, codes = rle_buffers(detections.rle)
    return ChunkArrays(
        0,
        part.starts,
        part.seen.time_s.astype(np.float64),
        detections.boxes.astype(np.float64),
        detections.score.astype(np.float64),
        offsets,
        codes,
        np.zeros((0, 6)) if motion is None else motion,
    )


class OnlineTracker:
    """Associates the detections of a video into tracklets, chunk after chunk."""

    def __init__(self, settings: AssociationSettings, slots: int = 64):
        self.settings = settings
        self._next_tracklet = 1
        self._next_index = 0
        self._states = _empty_states(slots)
        self._runs = np.empty((slots + 1, MAX_RUNS, 3), np.int32)  # masks of the detections of one frame

    def update(self, chunk: ChunkArrays) -> Associations:
        """Associate the detections of the next chunk with the current tracks."""
        n, n_frames = len(chunk.boxes), len(chunk.times)
        result = Associations(np.zeros(n, np.int64), np.zeros(n, np.int8), np.zeros((n + 1024, 4), np.int64))
        most = int(np.diff(chunk.starts).max(initial=0))
        if most >= len(self._runs):
            self._runs = np.empty((most + 1, MAX_RUNS, 3), np.int32)
        chunk = chunk._replace(first_index=self._next_index)
        frame = n_endings = 0
        while True:
            frame, self._next_tracklet, n_endings = associate_chunk(
                chunk, self._states, self.settings, self._runs, result, frame, self._next_tracklet, n_endings
            )
            if frame == n_frames:
                break
            result = self._make_room(result, n_endings, most)
        self._next_index += n_frames
        return result._replace(endings=result.endings[:n_endings].copy())

    def _make_room(self, result: Associations, n_endings: int, most: int) -> Associations:
        """Add slots for the ``most`` detections of a frame, and rows for endings."""
        states = self._states
        used = int((states.current["tracklet"] > 0).sum())
        slots = max(len(states.current), int(GROWTH * (used + most)) + 1)
        if slots > len(states.current):
            self._states = _empty_states(slots)
            for new, old in zip(self._states, states, strict=True):
                new[: len(old)] = old
        endings = np.zeros((n_endings + 4 * slots, 4), np.int64)
        endings[:n_endings] = result.endings[:n_endings]
        return result._replace(endings=endings if len(endings) > len(result.endings) else result.endings)


def _empty_states(slots: int) -> TrackStates:
    return TrackStates(
        np.zeros(slots, TRACK_STATE),
        np.zeros(slots, TRACK_STATE),
        np.zeros((slots, MAX_RUNS, 3), np.int32),
        np.array([MEDIAN_TO_SCALE * DEFAULT_SCALE]),
    )


@kernel(nogil=True)
def associate_chunk(chunk, states, settings, runs, result, first_frame, next_tracklet, n_endings):
    """Associate the detections of the frames from ``first_frame`` on.

    Returns
    -------
    int, int, int
        The frame to go on with (the number of frames when all is done; earlier when there are too few free slots or
        rows for endings), the next tracklet number, and the number of endings.
    """
    n_frames = len(chunk.times)
    for frame in range(first_frame, n_frames):
        n = chunk.starts[frame + 1] - chunk.starts[frame]
        free = np.sum(states.current["tracklet"] == 0)
        if free < n or len(result.endings) - n_endings < 2 * len(states.current) or len(runs) < n + 1:
            return frame, next_tracklet, n_endings
        detections = read_frame(chunk, frame, settings, runs)
        if len(chunk.motion):
            for slot in np.flatnonzero(states.current["tracklet"] > 0):
                compensate_camera(states.current[slot], states.observed[slot], chunk.motion[frame])
        next_tracklet, n_endings = associate_frame(detections, states, settings, result, next_tracklet, n_endings)
    return n_frames, next_tracklet, n_endings


@kernel(nogil=True)
def read_frame(chunk, frame, settings, runs):
    """Return the `FrameDetections` of a frame; masks are read into ``runs``."""
    first, last = chunk.starts[frame], chunk.starts[frame + 1]
    n = last - first
    n_runs, areas = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for d in range(n):
        row = first + d
        if chunk.scores[row] >= settings.low_score:
            n_runs[d], areas[d] = column_runs(
                chunk.codes,
                chunk.offsets[row],
                chunk.offsets[row + 1],
                settings.frame_height,
                settings.column_step,
                runs[d],
            )
    return FrameDetections(
        chunk.first_index + frame,
        chunk.times[frame],
        first,
        chunk.boxes[first:last],
        chunk.scores[first:last],
        runs,
        n_runs,
        areas,
        np.zeros(n, np.int64),
    )


@kernel(nogil=True)
def associate_frame(detections, states, settings, result, next_tracklet, n_endings):
    """Associate the detections of one frame; return the next tracklet number and the number of endings."""
    slots = np.flatnonzero(states.current["tracklet"] > 0)
    for slot in slots:
        predict(states.current[slot], detections.time, settings.damping_s)
    affinity = affinity_matrix(detections, states, slots, settings)
    match = match_by_score(affinity, detections.scores, states.current, slots, settings)
    ended = np.full(len(slots), UNASSIGNED, np.int64)
    fragments = np.full(len(slots), UNASSIGNED, np.int64)
    find_merged(detections, states, slots, match, settings)
    find_fragments(detections, states, slots, match, settings, ended, fragments)
    find_ambiguous(detections, states, slots, match, affinity, settings)
    find_endings(detections, states, slots, match, settings, ended)
    for i in range(len(slots)):
        slot, d = slots[i], match[i]
        track = states.current[slot]
        if ended[i] != UNASSIGNED:
            n_endings = end_tracklet(result, n_endings, track, ended[i])
            match[i] = UNASSIGNED
        elif d != UNASSIGNED:
            update_track(detections, d, fragments[i], states, slot, settings)
            result.tracklet[detections.first + d] = track.tracklet
            if fragments[i] != UNASSIGNED:
                result.tracklet[detections.first + fragments[i]] = track.tracklet
            result.kind[detections.first + d] = track.crowd
            detections.kinds[d] = ASSIGNED
    release_withheld(detections, states, slots, ended)
    crowds, largest = find_crowds(detections, states, slots, ended)
    next_tracklet = begin_tracklets(detections, states, settings, crowds, largest, result, next_tracklet)
    return next_tracklet, n_endings
