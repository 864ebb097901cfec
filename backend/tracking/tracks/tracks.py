"""`Tracks`: the rows of a track run in memory, for board, statistics and exporters.

`backend.tracking.tracks.schemas` documents the columns on disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from backend.tracking.tracks.schemas import State

NONE = -1  # no detection, no identity


@dataclass(frozen=True)
class Tracks:
    """Rows of tracks, sorted by frame, then track_id. Arrays of one length; immutable.

    Attributes
    ----------
    frame
        (N,) int32, 0-based, display order.
    detection
        (N,) int32, number within the frame in the detections run; -1: none.
    track_id
        (N,) int32, from 1.
    identity
        (N,) int16, index into ``names``; -1: not identified.
    state
        (N,) int8, `State`.
    p_identity
        (N,) float32, probability that the identity is right; 1 where a reviewer set it; NaN where lost.
    boxes
        (N, 4) float32 ``x1 y1 x2 y2``, px of the original frame; NaN where lost.
    names
        Identities by index.
    frames
        (F,) int32, ascending: the processed frames, those without birds included. With a stride not all of the video.
    times
        (F,) float64, their times, s.
    drawn
        Masks that reviewers drew, by (frame, track_id): compressed COCO counts at full frame size, None where only the
        box was drawn. They replace the mask of the detection.
    rate
        Nominal frame rate of the video, 1/s; used only where ``times`` has a single frame.
    """

    frame: np.ndarray
    detection: np.ndarray
    track_id: np.ndarray
    identity: np.ndarray
    state: np.ndarray
    p_identity: np.ndarray
    boxes: np.ndarray
    names: tuple[str, ...]
    frames: np.ndarray
    times: np.ndarray
    drawn: Mapping[tuple[int, int], bytes | None] = field(default_factory=dict)
    rate: float = 25.0

    def __post_init__(self) -> None:
        """Check that the columns have one length."""
        columns = (self.detection, self.track_id, self.identity, self.state, self.p_identity, self.boxes)
        if any(len(column) != len(self.frame) for column in columns):
            raise ValueError(f"columns of tracks differ in length: {[len(self.frame), *map(len, columns)]}")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def n_frames(self) -> int:
        """Number of processed frames."""
        return len(self.frames)

    @property
    def fps(self) -> float:
        """Mean frame rate of the video, 1/s; frames that a stride left out are counted."""
        span = self.times[-1] - self.times[0] if len(self.times) > 1 else 0.0
        return float((self.frames[-1] - self.frames[0]) / span) if span > 0 else self.rate

    @cached_property
    def frame_starts(self) -> np.ndarray:
        """(F + 1,) int64: the rows of ``frames[k]`` are ``frame_starts[k]:frame_starts[k + 1]``."""
        return np.append(np.searchsorted(self.frame, self.frames), len(self.frame))

    def rows_at(self, frame: int) -> slice:
        """Return the rows of one frame; an empty slice where it was not processed."""
        first, last = np.searchsorted(self.frame, [frame, frame + 1])
        return slice(int(first), int(last)) if last > first else slice(0, 0)

    def rows_of(self, track_id: int) -> np.ndarray:
        """Return the row indices of one track, (n,) int64, sorted by frame."""
        order, starts, ids = self._by_track
        index = np.searchsorted(ids, track_id)
        if index == len(ids) or ids[index] != track_id:
            return np.zeros(0, np.int64)
        return order[starts[index] : starts[index + 1]]

    def select(self, rows: np.ndarray | slice) -> "Tracks":
        """Return the tracks with only these rows (a bool mask or ascending indices); frames and names stay."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ROW_ARRAYS})

    @cached_property
    def track_of_name(self) -> tuple[int, ...]:
        """Track of each identity, in the order of ``names``; one without rows gets an unused number."""
        named = self.identity != NONE
        codes, first = np.unique(self.identity[named], return_index=True)
        tracks = dict(zip(codes.tolist(), self.track_id[named][first].tolist(), strict=True))
        unused = int(self.track_id.max(initial=0)) + 1
        return tuple(tracks.get(code, unused + code) for code in range(len(self.names)))

    @cached_property
    def spans(self) -> dict[int, tuple[int, int]]:
        """First and last frame (included) of each identity, by index, lost frames included."""
        spans = {}
        for code in range(len(self.names)):
            rows = self.rows_of(self.track_of_name[code])
            if len(rows):
                spans[code] = (int(self.frame[rows[0]]), int(self.frame[rows[-1]]))
        return spans

    @cached_property
    def _by_track(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows sorted by track, (T + 1,) where the rows of each track start, and the T track numbers."""
        order = np.argsort(self.track_id, kind="stable")
        ids, starts = np.unique(self.track_id[order], return_index=True)
        return order, np.append(starts, len(order)), ids


ROW_ARRAYS = ("frame", "detection", "track_id", "identity", "state", "p_identity", "boxes")


def sorted_tracks(**columns) -> Tracks:
    """Build `Tracks` from rows in any order."""
    order = np.lexsort((columns["track_id"], columns["frame"]))
    return Tracks(**{name: value[order] if name in ROW_ARRAYS else value for name, value in columns.items()})


def lost_rows(
    seen: dict[str, np.ndarray], frames: np.ndarray, track_of: dict[int, int], spans: dict[int, tuple[int, int]]
) -> dict[str, np.ndarray]:
    """Return a row of state `State.LOST` for each frame of an identity's span in which it has no row.

    Parameters
    ----------
    seen
        The arrays of `ROW_ARRAYS` by name, without lost rows.
    frames
        (F,) int32, the processed frames, ascending.
    track_of
        Track of each identity, by index.
    spans
        First and last frame (included) of each identity, by index; extended to the rows of ``seen``.

    Returns
    -------
    dict
        The arrays of `ROW_ARRAYS` by name.
    """
    missing, tracks, codes = [np.zeros(0, np.int32)], [], []
    order = np.argsort(seen["identity"], kind="stable")
    bounds = np.searchsorted(seen["identity"][order], np.arange(max(track_of, default=NONE) + 2))
    for code, track in track_of.items():
        own = np.sort(seen["frame"][order[bounds[code] : bounds[code + 1]]])
        ends = [*spans.get(code, ()), *own[:1], *own[-1:]]
        if ends:
            first, last = np.searchsorted(frames, [min(ends), max(ends) + 1])
            present = np.zeros(last - first, bool)
            present[np.searchsorted(frames, own) - first] = True
            missing.append(frames[first:last][~present])
            tracks.append(np.full(len(missing[-1]), track, np.int32))
            codes.append(np.full(len(missing[-1]), code, np.int16))
    n = sum(map(len, missing))
    return {
        "frame": np.concatenate(missing),
        "detection": np.full(n, NONE, np.int32),
        "track_id": np.concatenate([np.zeros(0, np.int32), *tracks]),
        "identity": np.concatenate([np.zeros(0, np.int16), *codes]),
        "state": np.full(n, State.LOST, np.int8),
        "p_identity": np.full(n, np.nan, np.float32),
        "boxes": np.full((n, 4), np.nan, np.float32),
    }
