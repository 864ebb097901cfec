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

    ``effects`` is (n,), s, in the order of ``doubts``.
    """
    spans = {
        number: (track, first, last)
        for number, track, first, last in zip(
            *(tracklets[name].to_pylist() for name in ("tracklet", "track_id", "first_frame", "last_frame")),
            strict=True,
        )
    }
    cache: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def detections_of(track: int) -> tuple[np.ndarray, np.ndarray]:
        if track not in cache:
            rows = tracks.rows_of(track)
            rows = rows[tracks.detection[rows] != NONE]
            cache[track] = tracks.frame[rows], tracks.detection[rows]
        return cache[track]

    def ends(numbers: list[int], involved: list[int], after: bool, bound: int) -> list[tuple[int, Anchor]]:
        """Return track and anchor of the first (``after``) or last detection of tracklets, else of tracks."""
        ranges = [spans[number] for number in numbers if number in spans]
        ranges = ranges or [(track, bound, END_OF_VIDEO) if after else (track, 0, bound - 1) for track in involved]
        anchors = []
        for track, first, last in ranges:
            frames, detections = detections_of(track)
            start, end = np.searchsorted(frames, [first, last + 1])
            if start < end:
                k = start if after else end - 1
                anchors.append((track, Anchor(frame=int(frames[k]), detection=int(detections[k]))))
        return anchors

    anchored = []
    for row, effect in zip(doubts.to_pylist(), effects.tolist(), strict=True):
        before = ends(row["before"], [], False, 0)
        after = ends(row["after"], [], True, 0)
        if len(row["tracks"]) > 1 or not before + after:  # alternatives belong to the question
            first, last = max(row["from_frame"], 1), row["to_frame"]
            before += ends([], [each for each in row["tracks"] if each not in dict(before)], False, first)
            after += ends([], [each for each in row["tracks"] if each not in dict(after)], True, last)
        if before or after:
            anchored.append(_doubt(row, effect, before, after))
    return tuple(anchored)


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
