"""What was recorded of the birds of one video, laid out for statistics: one sequence of rows a bird.

Named birds come first, each with a row for every frame that was looked at (not seen: lost). Then come tracks that
were not told apart, from their first to their last frame. Bare detections are sequences of one row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from backend.pipeline.detections import DetectionsRun
from backend.project.errors import InputError
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.tracks import NONE, Tracks

NOT_TOLD_APART = "(not told apart)"
LONGEST_STEP = 5  # median intervals: where frames are further apart, what lies between was not watched


@dataclass(frozen=True, eq=False)
class Recording:
    """Rows of one video.

    Attributes
    ----------
    names
        (B,) named birds. Sequence ``s < B`` is bird ``s``; all later sequences are nameless.
    times
        (F,) float64, s from the video's start, of the frames that were looked at, ascending.
    frames
        (F,) int32, their numbers.
    starts
        (S + 1,) int64: sequence ``s`` has the rows ``starts[s]:starts[s + 1]``.
    place
        (N,) int32, index into ``frames``.
    state
        (N,) int8, `State`.
    p_identity
        (N,) float32; NaN where lost or nameless.
    boxes
        (N, 4) float32 x1 y1 x2 y2, px; NaN where lost.
    detection
        (N,) int32, number within the frame in the detections run; -1: none.
    drawn
        What people drew, by row: COCO counts, None for a box alone. It stands for the mask of the detection.
    """

    names: tuple[str, ...]
    times: np.ndarray
    frames: np.ndarray
    starts: np.ndarray
    place: np.ndarray
    state: np.ndarray
    p_identity: np.ndarray
    boxes: np.ndarray
    detection: np.ndarray
    tracked: bool = True
    drawn: Mapping[int, bytes | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that there is something to measure."""
        if len(self.times) < 2:
            raise InputError(f"{len(self.times)} frames were looked at; statistics need at least 2")

    @cached_property
    def after_gap(self) -> np.ndarray:
        """(F,) bool: what lies between the frame before and this one was not watched."""
        steps = np.diff(self.times)
        return np.append(False, steps > LONGEST_STEP * float(np.median(steps)))

    @cached_property
    def seconds(self) -> np.ndarray:
        """(F,) float64, s each frame stands for: to the next one, and no more than `LONGEST_STEP` usual intervals."""
        steps = np.diff(self.times)
        usual = float(np.median(steps))
        return np.append(np.where(self.after_gap[1:], usual, steps), usual)

    @cached_property
    def bird(self) -> np.ndarray:
        """(N,) int32: bird of each row, ``B`` for nameless ones."""
        n = np.diff(self.starts)
        return np.repeat(np.minimum(np.arange(len(n)), len(self.names)), n).astype(np.int32)

    @property
    def seen(self) -> np.ndarray:
        """(N,) bool: detected or interpolated."""
        return self.state != State.LOST

    @property
    def ground_points(self) -> np.ndarray:
        """(N, 2) float32 px: the middle of the lower side of the box, where a bird stands."""
        return np.column_stack([(self.boxes[:, 0] + self.boxes[:, 2]) / 2, self.boxes[:, 3]])

    @property
    def centres(self) -> np.ndarray:
        """(N, 2) float32 px: centres of the boxes."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @cached_property
    def body_px(self) -> float:
        """The usual size of a bird: median square root of the area of its box, px."""
        boxes = self.boxes[self.seen]
        return float(np.sqrt(np.median(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)))) if len(boxes) else 1.0


def of_tracks(tracks: Tracks) -> Recording:
    """Lay out tracks. Frames before and after an identity's rows count as lost: it is a bird of this lek."""
    named, n_frames = len(tracks.names), tracks.n_frames
    if not (tracks.state != State.LOST).any():
        raise InputError("the tracks are empty: no bird was seen in any frame")
    place = np.searchsorted(tracks.frames, tracks.frame).astype(np.int32)
    is_named = tracks.identity != NONE
    nameless = ~is_named & (tracks.state != State.LOST)
    first, length, sequence = _spans(tracks.track_id[nameless], place[nameless])
    lengths = np.concatenate([np.full(named, n_frames, np.int64), length])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = np.concatenate(
        [
            starts[tracks.identity[is_named].astype(np.int64)] + place[is_named],
            starts[named + sequence] + place[nameless] - first[sequence],
        ]
    )
    source = np.concatenate([np.flatnonzero(is_named), np.flatnonzero(nameless)])
    begins = np.concatenate([np.zeros(named, np.int64), first])
    own_place = np.arange(starts[-1]) - np.repeat(starts[:-1] - begins, lengths)
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
        tracks.names, tracks.times, tracks.frames, starts, own_place.astype(np.int32), drawn=drawn, **empty
    )


def of_detections(run: DetectionsRun, score: float) -> Recording:
    """Lay out bare detections of ``score`` or more: nobody has a name, nobody is followed.

    Raises
    ------
    InputError
        If the run is not finished, or no bird was found.
    """
    if not run.complete:
        raise InputError(f"{run.folder} is not finished; run inference again to complete it")
    parts = [part.at_least(score) for part in run.without_masks()]
    seen = run.frames()
    columns = {name: [getattr(part.found, name) for part in parts] for name in ("frame", "boxes", "detection")}
    frame, boxes, detection = (np.concatenate(each) if each else np.zeros(0) for each in columns.values())
    if not len(frame):
        raise InputError(f"{run.folder} holds no bird with a score of {score} or more")
    n = len(frame)
    return Recording(
        names=(),
        times=seen.time_s,
        frames=seen.frame,
        starts=np.arange(n + 1, dtype=np.int64),
        place=np.searchsorted(seen.frame, frame).astype(np.int32),
        state=np.full(n, State.DETECTED, np.int8),
        p_identity=np.full(n, np.nan, np.float32),
        boxes=boxes.astype(np.float32),
        detection=detection.astype(np.int32),
        tracked=False,
    )


def _spans(track: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first place and length of each track, and the number of each row's track. Rows are sorted by place."""
    ids, sequence = np.unique(track, return_inverse=True)
    first = np.full(len(ids), np.iinfo(np.int64).max)
    last = np.full(len(ids), -1, np.int64)
    np.minimum.at(first, sequence, place)
    np.maximum.at(last, sequence, place)
    return first, last - first + 1, sequence
