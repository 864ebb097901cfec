"""Corrections of people as constraints of linking: what they named stays named, what they joined stays joined."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.tracking.linking.gibbs_moves import NOBODY
from backend.tracking.linking.link import Known
from backend.tracking.linking.linking_input import Gathered
from backend.tracking.tracks.edits import Act, Anchor, Draw, Keep, Link, Merge, Name, Rename, Swap, active

JOINED_S = 5.0  # a track that is merged with another goes on there if it ended no longer before


@dataclass(frozen=True)
class Said:
    """What people said of parts of tracklets, and the names they used, by bird."""

    known: Known
    names: tuple[str, ...]


def constraints(gathered: Gathered, acts: Sequence[Act], n_birds: int | None) -> Said:
    """Return what ``acts`` (a log, oldest first) say of the parts of a run.

    ``n_birds``: no more names are taken; None: their number is open.

    A name holds for the part it was given to and for what was merged with that. A bird that came back (`Link`), or was
    confirmed after a doubt (`Keep`), is followed straight on; so is a merged one where nothing can lie between. What
    else was merged may have any number of stretches between, so nothing is required of it here. Later acts win over
    earlier ones. All acts are applied to the finished tracks once more (`corrections.replay`), so those that say
    nothing here, or are of detections in no part, hold as well.
    """
    names: list[str] = []
    pins = np.full(len(gathered.parts), NOBODY)
    follow: list[tuple[int, int]] = []
    merged: list[tuple[int, int]] = []
    for act in active(acts):
        if isinstance(act, Rename) and act.identity in names and act.new not in names:
            names[names.index(act.identity)] = act.new
        for anchor, name in _named(act):
            part = _part_of(gathered, anchor)
            if part is None or (name not in names and len(names) == n_birds):
                continue
            if name not in names:
                names.append(name)
            pins[part] = names.index(name)
        for before, after in _joined(act):
            pair = _part_of(gathered, before), _part_of(gathered, after)
            if None in pair or pair[0] == pair[1]:
                continue
            first, last = min(pair), max(pair)  # parts are sorted by first frame
            if isinstance(act, Merge):
                merged.append(pair)
            if not isinstance(act, Merge) or _goes_on(gathered, first, last):
                follow.append((first, last))
    for part, other in merged:
        if pins[other] < 0 or pins[part] < 0:
            pins[[part, other]] = max(pins[part], pins[other])
    return Said(Known(pins, _consistent(gathered, follow, pins)), tuple(names))


def touched(gathered: Gathered, acts: Sequence[Act]) -> np.ndarray:
    """Return (M,) bool: parts that one of ``acts`` (a log) speaks of."""
    found = np.zeros(len(gathered.parts), bool)
    for act in active(acts):
        anchors = [getattr(act, "anchor", None), *(anchor for anchor, _ in _named(act))]
        for anchor in [*anchors, *(anchor for pair in _joined(act) for anchor in pair)]:
            part = _part_of(gathered, anchor)
            if part is not None:
                found[part] = True
    return found


def _goes_on(gathered: Gathered, first: int, last: int) -> bool:
    """Tell whether a part can go straight on in a later one: its tracklet ended shortly before."""
    gap_s = gathered.parts.begin_s[last] - gathered.parts.end_s[first]
    own = gathered.parent == gathered.parent[first]
    return gap_s <= JOINED_S and not np.any(own & (gathered.parts.begin_s > gathered.parts.begin_s[first]))


def _named(act: Act) -> list[tuple[Anchor | None, str]]:
    match act:
        case Name() | Draw():
            return [(act.anchor, act.identity)]
        case Rename() if act.anchor is not None:
            return [(act.anchor, act.new)]
        case Swap():
            return [(act.first, act.first_identity), (act.second, act.second_identity)]
    return []


def _joined(act: Act) -> list[tuple[Anchor, Anchor]]:
    match act:
        case Link():
            return [(act.before, act.after)]
        case Merge():
            return [(act.anchor, act.other)]
        case Keep():
            return list(act.pairs)
    return []


def _part_of(gathered: Gathered, anchor: Anchor | None) -> int | None:
    if anchor is None or anchor.detection is None:
        return None
    sightings = gathered.sightings
    found = np.flatnonzero((sightings.frame == anchor.frame) & (sightings.detection == anchor.detection))
    return int(sightings.tracklet[found[0]]) if len(found) else None


def _consistent(gathered: Gathered, pairs: Sequence[tuple[int, int]], pins: np.ndarray) -> np.ndarray:
    """Return (n, 2) pairs that can hold together: one before and one after each part, no two names, no overlap."""
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    for a, b in pairs:
        named_apart = pins[a] >= 0 and pins[b] >= 0 and pins[a] != pins[b]
        if gathered.ends.last[a] < gathered.ends.core[b] and not named_apart:
            if a in after:
                before.pop(after[a])
            if b in before:
                after.pop(before[b])
            after[a], before[b] = b, a
    return np.array(sorted(after.items()), np.int64).reshape(-1, 2)


def bird_names(said: Sequence[str], n_birds: int) -> tuple[str, ...]:
    """Return a name for each bird: those that people gave first, then ``bird 01`` and so on, without repetition."""
    digits = max(2, len(str(n_birds)))
    free = (name for k in range(1, 2 * n_birds + 1) if (name := f"bird {k:0{digits}d}") not in said)
    return (*said, *(next(free) for _ in range(n_birds - len(said))))
