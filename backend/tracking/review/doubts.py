"""Moments that a person should look at: where identities may be wrong, why, how likely, and for how long.

Four things are doubted: a bird whose identity is less than sure, from the moment it became so (a meeting, an absence,
or nothing but its looks); a step that is too long for these birds; one bird in two tracks; and a stretch without
identity that is probably one of the birds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from backend.tracking.linking.linking_input import Gathered
from backend.tracking.linking.motion_model import spread_at
from backend.tracking.linking.result import Assigned, track_of, tracklet_of
from backend.tracking.review.duplicate_tracks import Duplicate
from backend.tracking.tracks.schemas import DOUBT_COLUMNS, DoubtKind
from backend.tracking.tracks.track_folder import name_column

SURE = 0.98  # from this probability on nobody needs to look
JUMP_SPREADS, JUMP_SIZES, JUMP_S = 12.0, 3.0, 5.0  # a jump: so far within so short a time
GAP_S = 1.0
UNNAMED_S = 1.0  # a shorter stretch without identity changes nothing


@dataclass(frozen=True)
class Doubt:
    """One row of `DOUBT_COLUMNS`; ``before`` and ``after`` are parts."""

    kind: DoubtKind
    from_at: int  # index of a frame
    to_at: int  # not included
    until_at: int  # not included
    tracks: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    p_error: float


def find_doubts(
    gathered: Gathered, who: Assigned, begins: np.ndarray, p_bird: np.ndarray, duplicates: Sequence[Duplicate]
) -> list[Doubt]:
    """Return all doubts, those first that concern most bird-time: probability of error times duration.

    ``begins`` (M,) says how each part begins (`places`), ``p_bird`` (M,) how likely it is any of the birds.
    """
    found: list[Doubt] = []
    for bird in range(len(who.names)):
        found += _of_bird(gathered, who, begins, bird)
    found = _joined(found) + _unnamed(gathered, who, p_bird)
    for each in duplicates:
        found.append(Doubt(DoubtKind.DUPLICATE, each.from_at, each.to_at, each.to_at, each.tracks, (), (), each.share))
    found.sort(key=lambda doubt: (-doubt.p_error * (doubt.until_at - doubt.from_at) * len(doubt.tracks), doubt.from_at))
    return found


def expected_error(gathered: Gathered, who: Assigned) -> float | None:
    """Return the expected share of the time of identified birds in which the identity is wrong; None without any."""
    told = who.bird >= 0
    frames = gathered.parts.n[told]
    return float(np.sum(frames * (1 - who.p[told])) / frames.sum()) if told.any() else None


def doubt_table(gathered: Gathered, who: Assigned, doubts: list[Doubt]) -> pa.Table:
    """Return `DOUBT_COLUMNS`."""
    tracklet = tracklet_of(gathered, who) + 1
    frames = np.append(gathered.frames, gathered.frames[-1] + 1)
    kinds = [kind.value for kind in DoubtKind]

    def lists(rows: list[list[int]]) -> pa.Array:
        return pa.array(rows, pa.list_(pa.int32()))

    columns = {
        "doubt": pa.array(np.arange(1, len(doubts) + 1, dtype=np.int32)),
        "kind": name_column(np.array([kinds.index(d.kind.value) for d in doubts], np.int64), kinds),
        "from_frame": pa.array([int(frames[d.from_at]) for d in doubts], pa.int32()),
        "to_frame": pa.array([int(frames[d.to_at]) for d in doubts], pa.int32()),
        "tracks": lists([[*d.tracks] for d in doubts]),
        "before": lists([[int(tracklet[k]) for k in d.before] for d in doubts]),
        "after": lists([[int(tracklet[k]) for k in d.after] for d in doubts]),
        "p_error": pa.array([d.p_error for d in doubts], pa.float32()),
        "until_frame": pa.array([int(frames[d.until_at]) for d in doubts], pa.int32()),
    }
    return pa.Table.from_arrays([columns[name] for name in DOUBT_COLUMNS.names], schema=DOUBT_COLUMNS)


def _of_bird(gathered: Gathered, who: Assigned, begins: np.ndarray, bird: int) -> list[Doubt]:
    own = np.flatnonzero(who.bird == bird)
    parts, found = gathered.parts, []
    unsure = who.p[own] < SURE
    k = 0
    while k < len(own):
        last = k
        if unsure[k]:
            while last + 1 < len(own) and unsure[last + 1]:
                last += 1
            part, before = own[k], own[k - 1] if k else None
            start = int(parts.last[before]) if before is not None else int(parts.first[part])
            start = min(start, int(parts.first[part]))
            p = float(1 - who.p[own[k : last + 1]].min())
            kind = _kind(gathered, begins, before, part)
            other = int(who.second[part])
            tracks = (bird + 1, other + 1) if other >= 0 else (bird + 1,)
            ahead = () if before is None else (int(before),)
            end = int(parts.first[part]) + 1
            found.append(Doubt(kind, start, end, int(parts.last[own[last]]) + 1, tracks, ahead, (int(part),), p))
        elif k and _jumps(gathered, own[k - 1], own[k]):
            a, b = own[k - 1], own[k]
            p = float(1 - min(who.p[a], who.p[b]))
            spot = int(min(parts.last[a], parts.first[b])), int(parts.first[b]) + 1
            found.append(Doubt(DoubtKind.JUMP, *spot, int(parts.last[b]) + 1, (bird + 1,), (int(a),), (int(b),), p))
        k = last + 1
    return found


def _unnamed(gathered: Gathered, who: Assigned, p_bird: np.ndarray) -> list[Doubt]:
    """Doubt stretches that were given to nobody and are probably a bird."""
    track, parts, found = track_of(gathered, who), gathered.parts, []
    for number in np.unique(track[who.bird < 0]).tolist():
        own = np.flatnonzero(track == number)
        p = float(p_bird[own].max())
        if parts.end_s[own].max() - parts.begin_s[own].min() < UNNAMED_S or p < 1 - SURE:
            continue
        first, likely = int(parts.first[own].min()), int(own[who.p_second[own].argmax()])
        other = (int(who.second[likely]) + 1,) if who.second[likely] >= 0 else ()
        until = int(parts.last[own].max()) + 1
        found.append(Doubt(DoubtKind.LOW_IDENTITY, first, first + 1, until, (number, *other), (), (int(own[0]),), p))
    return found


def _kind(gathered: Gathered, begins: np.ndarray, before: int | None, part: int) -> DoubtKind:
    if before is not None and _jumps(gathered, before, part):
        return DoubtKind.JUMP
    if begins[part] == "crossing":
        return DoubtKind.CROSSING
    if before is not None and gathered.parts.begin_s[part] - gathered.parts.end_s[before] > GAP_S:
        return DoubtKind.GAP
    return DoubtKind.LOW_IDENTITY


def _jumps(gathered: Gathered, a: int, b: int) -> bool:
    ends = gathered.ends
    gap = float(ends.begin_s[b] - ends.end_s[a])
    off = float(np.hypot(*(ends.begin_xy[b] - ends.end_xy[a]))) / float(np.sqrt(ends.size[a, 1] * ends.size[b, 0]))
    return gap < JUMP_S and off > max(JUMP_SIZES, JUMP_SPREADS * spread_at(ends.ways.spread, max(0.04, gap)))


def _joined(doubts: list[Doubt]) -> list[Doubt]:
    """Make one doubt of two that are each other's: two birds that may have been exchanged at one meeting."""
    kept: list[Doubt] = []
    waiting: dict[tuple[int, int], list[Doubt]] = {}
    for doubt in doubts:
        if len(doubt.tracks) < 2:
            kept.append(doubt)
            continue
        partner = next(
            (other for other in waiting.get(doubt.tracks[::-1], []) if _overlap(doubt, other)),
            None,
        )
        if partner is None:
            waiting.setdefault(doubt.tracks, []).append(doubt)
            continue
        waiting[doubt.tracks[::-1]].remove(partner)
        kept.append(
            Doubt(
                DoubtKind.CROSSING if DoubtKind.CROSSING in (doubt.kind, partner.kind) else partner.kind,
                min(partner.from_at, doubt.from_at),
                max(partner.to_at, doubt.to_at),
                max(partner.until_at, doubt.until_at),
                partner.tracks,
                partner.before + doubt.before,
                partner.after + doubt.after,
                max(partner.p_error, doubt.p_error),
            )
        )
    return kept + [doubt for each in waiting.values() for doubt in each]


def _overlap(a: Doubt, b: Doubt) -> bool:
    return a.from_at < b.until_at and b.from_at < a.until_at
