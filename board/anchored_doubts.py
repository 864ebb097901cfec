"""The doubts of a track run, anchored to detections, so that they still refer to the right birds after corrections."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from backend.tracking.tracks.corrections import END_OF_VIDEO
from backend.tracking.tracks.edits import Anchor, Edit, Keep, Reviewed, Unsure
from backend.tracking.tracks.tracks import NONE, Tracks

Pair = tuple[Anchor, Anchor]


@dataclass(frozen=True)
class Doubt:
    """One uncertain moment, frames ``from_frame`` to ``to_frame`` (excluded).

    ``before``, ``after``: each bird's last detection before it and first detection after it. ``followed[k]``: index in
    ``before`` of the bird that tracking linked ``after[k]`` to, -1 for none. ``p_error``: probability that this is
    wrong. ``effect_s``: see `backend.tracking.review.effects`.
    """

    number: int
    kind: str
    from_frame: int
    to_frame: int
    until_frame: int
    p_error: float
    effect_s: float
    before: tuple[Anchor, ...]
    after: tuple[Anchor, ...]
    followed: tuple[int, ...]

    @property
    def anchors(self) -> tuple[Anchor, ...]:
        """All its detections."""
        return (*self.before, *self.after)

    @property
    def range(self) -> tuple[int, int]:
        """First and last frame (excluded), at least one frame."""
        return self.from_frame, max(self.to_frame, self.from_frame + 1)

    def pairs(self, assignment: Sequence[int]) -> tuple[Pair, ...]:
        """Return an assignment as pairs of detections (before, after); one without a partner is paired with itself."""
        pairs = [(self.before[i] if i != NONE else self.after[k], self.after[k]) for k, i in enumerate(assignment)]
        return tuple(pairs) or tuple((each, each) for each in self.before)


def anchor_doubts(doubts: pa.Table, tracklets: pa.Table, tracks: Tracks, effects: np.ndarray) -> tuple[Doubt, ...]:
    """Anchor doubts (`DOUBT_COLUMNS`) to the automatic tracks; those without any detection are dropped.

    All detections before a doubt are earlier than all those after it. Where tracklets alone do not give that (one may
    pass through the doubt, or end after another bird's begins), only their detections outside the doubt's frames count.

    ``effects`` is (n,), s, in the order of ``doubts``.
    """
    ends = _TrackletEnds(tracklets, tracks)
    anchored = []
    for row, effect in zip(doubts.to_pylist(), effects.tolist(), strict=True):
        before, after = ends.whole(row)
        if not _in_order(before, after):
            before, after = ends.outside(row)
        if before or after:
            anchored.append(_doubt(row, effect, before, after))
    return tuple(anchored)


class _TrackletEnds:
    """The first and last detections of tracklets and tracks, as (track, anchor)."""

    def __init__(self, tracklets: pa.Table, tracks: Tracks):
        names = ("tracklet", "track_id", "first_frame", "last_frame")
        columns = (tracklets[name].to_pylist() for name in names)
        self._spans = {number: span for number, *span in zip(*columns, strict=True)}
        self._tracks = tracks
        self._cache: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def whole(self, row: dict[str, Any]) -> tuple[list, list]:
        """Return the last detections of the tracklets before a doubt and the first ones of those after it."""
        spans = self._spans
        before = [end for n in row["before"] if n in spans for end in self._end(*spans[n], after=False)]
        after = [end for n in row["after"] if n in spans for end in self._end(*spans[n], after=True)]
        return self._with_alternatives(row, before, after)

    def outside(self, row: dict[str, Any]) -> tuple[list, list]:
        """Return the ends of its tracklets outside a doubt's frames; of their tracks where they have none there.

        A bird's first detection after a doubt lies in its last frame.
        """
        frames = self._tracks.frames
        last_frame = int(frames[max(np.searchsorted(frames, row["to_frame"]) - 1, 0)])
        after_from = max(row["from_frame"], last_frame)
        before_to = min(row["from_frame"], after_from - 1)
        before, after = [], []
        for track, first, last in (self._spans[n] for n in row["before"] if n in self._spans):
            end = self._end(track, first, min(last, before_to), False)
            before += end or self._end(track, 0, before_to, False)
        for track, first, last in (self._spans[n] for n in row["after"] if n in self._spans):
            end = self._end(track, max(first, after_from), last, True)
            after += end or self._end(track, after_from, END_OF_VIDEO, True)
        return self._with_alternatives(row, list(dict(before).items()), list(dict(after).items()))

    def _with_alternatives(self, row: dict[str, Any], before: list, after: list) -> tuple[list, list]:
        """Add the ends of the other tracks that a doubt is about: those that the bird may be instead."""
        if len(row["tracks"]) > 1 or not before + after:
            others = [track for track in row["tracks"] if track not in dict(before)]
            before = before + [end for track in others for end in self._end(track, 0, row["from_frame"] - 1, False)]
            others = [track for track in row["tracks"] if track not in dict(after)]
            after = after + [end for track in others for end in self._end(track, row["to_frame"], END_OF_VIDEO, True)]
        return before, after

    def _end(self, track: int, first: int, last: int, after: bool) -> list[tuple[int, Anchor]]:
        if track not in self._cache:
            rows = self._tracks.rows_of(track)
            rows = rows[self._tracks.detection[rows] != NONE]
            self._cache[track] = self._tracks.frame[rows], self._tracks.detection[rows]
        frames, detections = self._cache[track]
        start, end = np.searchsorted(frames, [first, last + 1])
        k = start if after else end - 1
        return [(track, Anchor(frame=int(frames[k]), detection=int(detections[k])))] if start < end else []


def _in_order(before: list[tuple[int, Anchor]], after: list[tuple[int, Anchor]]) -> bool:
    latest = max((anchor.frame for _, anchor in before), default=NONE)
    return latest < min((anchor.frame for _, anchor in after), default=END_OF_VIDEO)


def _doubt(row: dict[str, Any], effect: float, before: list, after: list) -> Doubt:
    tracks_before = [track for track, _ in before]
    return Doubt(
        number=row["doubt"], kind=row["kind"],
        from_frame=row["from_frame"], to_frame=row["to_frame"], until_frame=row["until_frame"],
        p_error=float(row["p_error"]), effect_s=effect,
        before=tuple(anchor for _, anchor in before), after=tuple(anchor for _, anchor in after),
        followed=tuple(tracks_before.index(track) if track in tracks_before else NONE for track, _ in after),
    )  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """A reviewer's answer to a doubt. ``act`` is its line in the log; ``pairs`` the assignment, None for "unsure"."""

    act: int
    reviewer: str
    pairs: frozenset[Pair] | None
    holds: bool  # False if it could not be applied because of other corrections


def answers(doubts: Iterable[Doubt], acts: Iterable[Edit], problems: dict[int, str]) -> dict[int, list[Answer]]:
    """Return the answers to each doubt, by its number, oldest first.

    ``acts`` are those that are not undone, ``problems`` says by id which could not be applied.
    """
    by_anchor: dict[tuple[int, int, Anchor], int] = {}
    doubts = tuple(doubts)
    for doubt in doubts:
        for anchor in doubt.anchors:
            by_anchor[(*doubt.range, anchor)] = doubt.number
    by_doubt: dict[int, list[Answer]] = {}
    for act in acts:
        if isinstance(act, Keep | Unsure):
            pairs = None if isinstance(act, Unsure) else frozenset(act.pairs)
            anchors = (anchor for pair in act.pairs for anchor in pair)
            keys = ((act.from_frame, act.to_frame, anchor) for anchor in anchors)
            numbers = {by_anchor[key] for key in keys if key in by_anchor}
        elif isinstance(act, Reviewed):
            end = END_OF_VIDEO if act.to_frame is None else act.to_frame
            pairs = frozenset()
            numbers = {doubt.number for doubt in doubts if act.from_frame <= doubt.from_frame and doubt.to_frame <= end}
        else:
            continue
        for number in numbers:
            by_doubt.setdefault(number, []).append(Answer(act.id, act.who, pairs, not problems.get(act.id)))
    return by_doubt


def rows_of(tracks: Tracks, anchors: Sequence[Anchor]) -> np.ndarray:
    """Return (n,) int64: each anchor's row in ``tracks``; -1 if its detection is in no track (any more) or drawn."""
    frames = np.array([anchor.frame for anchor in anchors], np.int64)
    detections = np.array([NONE if each.detection is None else each.detection for each in anchors], np.int64)
    rows = np.full(len(anchors), NONE, np.int64)
    first = np.searchsorted(tracks.frame, frames)
    last = np.searchsorted(tracks.frame, frames, side="right")
    for step in range(int((last - first).max(initial=0))):
        row = np.minimum(first + step, len(tracks) - 1)
        hit = (first + step < last) & (tracks.detection[row] == detections) & (detections != NONE)
        rows[hit] = row[hit]
    return rows
