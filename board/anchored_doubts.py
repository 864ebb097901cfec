"""The doubts of a track run, tied to sightings, so that they can be asked of corrected tracks as well."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from backend.tracking.tracks.corrections import END
from backend.tracking.tracks.edits import Act, Anchor, Keep, Reviewed, Unsure
from backend.tracking.tracks.tracks import NONE, Tracks

Pair = tuple[Anchor, Anchor]


@dataclass(frozen=True)
class Doubt:
    """One moment. ``before`` and ``after``: the last sightings before it, the first ones after it, one a bird.

    ``followed[k]`` is the place in ``before`` of the bird that tracking took ``after[k]`` for, -1 for none of them.
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
        """All sightings."""
        return (*self.before, *self.after)

    @property
    def range(self) -> tuple[int, int]:
        """From and to (not included), at least one frame."""
        return self.from_frame, max(self.to_frame, self.from_frame + 1)

    def pairs(self, assignment: Sequence[int]) -> tuple[Pair, ...]:
        """Return who is who as pairs of sightings; what has no partner is paired with itself."""
        pairs = [(self.before[i] if i != NONE else self.after[k], self.after[k]) for k, i in enumerate(assignment)]
        return tuple(pairs) or tuple((each, each) for each in self.before)


def read(doubts: pa.Table, tracklets: pa.Table, tracks: Tracks, effects: np.ndarray) -> tuple[Doubt, ...]:
    """Tie doubts (`DOUBT_COLUMNS`) to the automatic tracks; those without any sighting are left out."""
    spans = {
        number: (track, first, last)
        for number, track, first, last in zip(
            *(tracklets[name].to_pylist() for name in ("tracklet", "track_id", "first_frame", "last_frame")),
            strict=True,
        )
    }
    seen: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def sightings(track: int) -> tuple[np.ndarray, np.ndarray]:
        if track not in seen:
            rows = tracks.rows_of(track)
            rows = rows[tracks.detection[rows] != NONE]
            seen[track] = tracks.frame[rows], tracks.detection[rows]
        return seen[track]

    def ends(numbers: list[int], involved: list[int], after: bool, bound: int) -> list[tuple[int, Anchor]]:
        stretches = [spans[number] for number in numbers if number in spans]
        stretches = stretches or [(track, bound, END) if after else (track, 0, bound - 1) for track in involved]
        found = []
        for track, first, last in stretches:
            frames, detections = sightings(track)
            start, end = np.searchsorted(frames, [first, last + 1])
            if start < end:
                k = start if after else end - 1
                found.append((track, Anchor(frame=int(frames[k]), detection=int(detections[k]))))
        return found

    made = []
    for row, effect in zip(doubts.to_pylist(), effects.tolist(), strict=True):
        before = ends(row["before"], [], False, 0)
        after = ends(row["after"], [], True, 0)
        if len(row["tracks"]) > 1 or not before + after:  # who it is thought to be otherwise belongs to the question
            first, last = max(row["from_frame"], 1), row["to_frame"]
            before += ends([], [each for each in row["tracks"] if each not in dict(before)], False, first)
            after += ends([], [each for each in row["tracks"] if each not in dict(after)], True, last)
        if before or after:
            made.append(_doubt(row, effect, before, after))
    return tuple(made)


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
    """What somebody said of a doubt: who is who as pairs, None for "cannot be told"."""

    act: int
    who: str
    pairs: frozenset[Pair] | None
    holds: bool  # False where later changes made it untrue when it was applied


def answers(doubts: Iterable[Doubt], acts: Iterable[Act], problems: dict[int, str]) -> dict[int, list[Answer]]:
    """Return the answers to each doubt, by its number, oldest first, from the acts that count."""
    by_place: dict[tuple[int, int, Anchor], int] = {}
    doubts = tuple(doubts)
    for doubt in doubts:
        for anchor in doubt.anchors:
            by_place[(*doubt.range, anchor)] = doubt.number
    found: dict[int, list[Answer]] = {}
    for act in acts:
        if isinstance(act, Keep | Unsure):
            pairs = None if isinstance(act, Unsure) else frozenset(act.pairs)
            anchors = (anchor for pair in act.pairs for anchor in pair)
            places = ((act.from_frame, act.to_frame, anchor) for anchor in anchors)
            numbers = {by_place[place] for place in places if place in by_place}
        elif isinstance(act, Reviewed):
            end = END if act.to_frame is None else act.to_frame
            pairs = frozenset()
            numbers = {each.number for each in doubts if act.from_frame <= each.from_frame and each.to_frame <= end}
        else:
            continue
        for number in numbers:
            found.setdefault(number, []).append(Answer(act.id, act.who, pairs, not problems.get(act.id)))
    return found


def rows_of(tracks: Tracks, anchors: Sequence[Anchor]) -> np.ndarray:
    """Return (n,) int64 rows of sightings; -1 for what is in no track (any more), or was drawn."""
    frames = np.array([anchor.frame for anchor in anchors], np.int64)
    detections = np.array([NONE if each.detection is None else each.detection for each in anchors], np.int64)
    found = np.full(len(anchors), NONE, np.int64)
    first = np.searchsorted(tracks.frame, frames)
    last = np.searchsorted(tracks.frame, frames, side="right")
    for step in range(int((last - first).max(initial=0))):
        row = np.minimum(first + step, len(tracks) - 1)
        hit = (first + step < last) & (tracks.detection[row] == detections) & (detections != NONE)
        found[hit] = row[hit]
    return found
