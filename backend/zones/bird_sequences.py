"""The birds of one video, laid out for statistics: one sequence of rows per bird.

Identified birds come first, with a row for every analysed frame (state lost where the bird was not seen). Then come
tracks without an identity, from their first to their last frame. Detections without tracks are sequences of one row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from backend.pipeline.detections import DetectionsRun
from backend.project.errors import InputError
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.tracks import NONE, Tracks

UNIDENTIFIED = "(not told apart)"
MAX_GAP_INTERVALS = 5  # usual intervals around it; a longer gap between frames counts as not observed
NEIGHBOURS = 5  # intervals on each side that say what is usual: the rate of a camera may fall in the dark


@dataclass(frozen=True, eq=False)
class Recording:
    """Rows of the birds of one video; one row per bird and analysed frame.

    Attributes
    ----------
    names
        (B,) identified birds. Sequence ``s < B`` is bird ``s``; all later sequences have no identity.
    times
        (F,) float64, s from the video's start, of the analysed frames, ascending.
    frames
        (F,) int32, their frame numbers, 0-based.
    starts
        (S + 1,) int64: sequence ``s`` has the rows ``starts[s]:starts[s + 1]``.
    frame_index
        (N,) int32, index into ``frames`` and ``times``.
    state
        (N,) int8, `State`.
    p_identity
        (N,) float32, probability that the identity is right; NaN where lost or without identity.
    boxes
        (N, 4) float32 x1 y1 x2 y2, px; NaN where lost.
    detection
        (N,) int32, index of the detection within its frame in the detections run; -1: none.
    tracked
        Whether the rows come from tracks; False for detections alone.
    drawn
        Masks that a reviewer drew, by row: COCO counts, None where only a box was drawn. They replace the mask of the
        detection.
    """

    names: tuple[str, ...]
    times: np.ndarray
    frames: np.ndarray
    starts: np.ndarray
    frame_index: np.ndarray
    state: np.ndarray
    p_identity: np.ndarray
    boxes: np.ndarray
    detection: np.ndarray
    tracked: bool = True
    drawn: Mapping[int, bytes | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a recording of fewer than two frames."""
        if len(self.times) < 2:
            raise InputError(f"the run has {len(self.times)} analysed frames; statistics need at least 2")

    @cached_property
    def after_gap(self) -> np.ndarray:
        """(F,) bool: the time between the previous frame and this one was not observed.

        Either frames are missing between the two (damaged, or not analysed), or the recording paused: the interval is
        far longer than those before it and those after it. A camera that goes on at a lower rate is observed.
        """
        steps, numbers = np.diff(self.times), np.diff(self.frames)
        before, after = _usual_steps(steps)
        paused = steps > MAX_GAP_INTERVALS * np.fmax(before, after)
        missing = numbers > MAX_GAP_INTERVALS * float(np.median(numbers))
        return np.append(False, paused | missing)

    @cached_property
    def seconds(self) -> np.ndarray:
        """(F,) float64, s that a frame stands for: up to the next frame, or the usual interval before a gap."""
        steps = np.diff(self.times)
        return np.append(np.where(self.after_gap[1:], self.interval_s[:-1], steps), self.interval_s[-1])

    @cached_property
    def interval_s(self) -> np.ndarray:
        """(F,) float64, s: the usual interval of frames around each frame, gaps left out."""
        steps = np.where(self.after_gap[1:], np.nan, np.diff(self.times))
        if np.isnan(steps).all():
            return np.full(len(self.times), float(np.median(np.diff(self.times))))
        before, after = _usual_steps(np.append(steps, np.nan))
        known = np.where(np.isnan(before), after, before)
        return np.where(np.isnan(known), np.nanmedian(steps), known)

    @cached_property
    def bird(self) -> np.ndarray:
        """(N,) int32: bird of each row, ``B`` where it has no identity."""
        n = np.diff(self.starts)
        return np.repeat(np.minimum(np.arange(len(n)), len(self.names)), n).astype(np.int32)

    @property
    def seen(self) -> np.ndarray:
        """(N,) bool: detected or interpolated."""
        return self.state != State.LOST

    @property
    def ground_points(self) -> np.ndarray:
        """(N, 2) float32 px: middle of the lower edge of the box, where the bird stands."""
        return np.column_stack([(self.boxes[:, 0] + self.boxes[:, 2]) / 2, self.boxes[:, 3]])

    @property
    def centres(self) -> np.ndarray:
        """(N, 2) float32 px: centres of the boxes."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @cached_property
    def body_px(self) -> float:
        """Body size, px: median square root of the box area."""
        boxes = self.boxes[self.seen]
        return float(np.sqrt(np.median(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)))) if len(boxes) else 1.0


def _usual_steps(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median of up to `NEIGHBOURS` steps before, and after, each step (M,); NaN where there are none."""
    padded = np.concatenate([np.full(NEIGHBOURS, np.nan), steps, np.full(NEIGHBOURS, np.nan)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, NEIGHBOURS)  # window k ends before step k
    medians = np.full(len(windows), np.nan)
    some = ~np.isnan(windows).all(axis=1)
    medians[some] = np.nanmedian(windows[some], axis=1)
    return medians[: len(steps)], medians[NEIGHBOURS + 1 : NEIGHBOURS + 1 + len(steps)]


def recording_from_tracks(tracks: Tracks) -> Recording:
    """Lay out tracks as sequences. An identified bird counts as lost in every frame in which it has no row.

    Raises
    ------
    InputError
        If no bird was seen in any frame.
    """
    named, n_frames = len(tracks.names), tracks.n_frames
    if not (tracks.state != State.LOST).any():
        raise InputError("the tracks are empty: no bird was seen in any frame")
    frame_index = np.searchsorted(tracks.frames, tracks.frame).astype(np.int32)
    is_named = tracks.identity != NONE
    nameless = ~is_named & (tracks.state != State.LOST)
    first, length, sequence = _spans(tracks.track_id[nameless], frame_index[nameless])
    lengths = np.concatenate([np.full(named, n_frames, np.int64), length])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = np.concatenate(
        [
            starts[tracks.identity[is_named].astype(np.int64)] + frame_index[is_named],
            starts[named + sequence] + frame_index[nameless] - first[sequence],
        ]
    )
    source = np.concatenate([np.flatnonzero(is_named), np.flatnonzero(nameless)])
    begins = np.concatenate([np.zeros(named, np.int64), first])
    own_frame_index = np.arange(starts[-1]) - np.repeat(starts[:-1] - begins, lengths)
    empty = {
        "state": np.full(starts[-1], State.LOST, np.int8),
        "p_identity": np.full(starts[-1], np.nan, np.float32),
        "boxes": np.full((starts[-1], 4), np.nan, np.float32),
        "detection": np.full(starts[-1], NONE, np.int32),
    }
    for name, values in empty.items():
        values[rows] = getattr(tracks, name)[source]
    row_of = np.full(len(tracks), NONE, np.int64)
    row_of[source] = rows
    drawn = {}
    for (frame, track), counts in tracks.drawn.items():
        at = tracks.rows_at(frame)
        for own in at.start + np.flatnonzero(tracks.track_id[at] == track):
            drawn[int(row_of[own])] = counts
    return Recording(
        tracks.names, tracks.times, tracks.frames, starts, own_frame_index.astype(np.int32), drawn=drawn, **empty
    )


def recording_from_detections(run: DetectionsRun, score: float) -> Recording:
    """Lay out the detections with a score of ``score`` or more: one sequence per detection, without identities.

    Raises
    ------
    InputError
        If the run is not finished, or has no such detection.
    """
    if not run.complete:
        raise InputError(f"{run.folder} is not finished; run inference again to complete it")
    parts = [part.at_least(score) for part in run.without_masks()]
    seen = run.frames()
    columns = {name: [getattr(part.detections, name) for part in parts] for name in ("frame", "boxes", "detection")}
    frame, boxes, detection = (np.concatenate(values) if values else np.zeros(0) for values in columns.values())
    if not len(frame):
        raise InputError(f"{run.folder} has no detection with a score of {score} or more; lower the minimum score")
    n = len(frame)
    return Recording(
        names=(),
        times=seen.time_s,
        frames=seen.frame,
        starts=np.arange(n + 1, dtype=np.int64),
        frame_index=np.searchsorted(seen.frame, frame).astype(np.int32),
        state=np.full(n, State.DETECTED, np.int8),
        p_identity=np.full(n, np.nan, np.float32),
        boxes=boxes.astype(np.float32),
        detection=detection.astype(np.int32),
        tracked=False,
    )


def _spans(track: np.ndarray, frame_index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first frame index and length of each track (T,), and the track of each row (N,) int64."""
    ids, sequence = np.unique(track, return_inverse=True)
    first = np.full(len(ids), np.iinfo(np.int64).max)
    last = np.full(len(ids), -1, np.int64)
    np.minimum.at(first, sequence, frame_index)
    np.maximum.at(last, sequence, frame_index)
    return first, last - first + 1, sequence
