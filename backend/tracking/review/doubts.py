"""Doubts: moments that a reviewer should look at, where identities may be wrong - why, how likely, and for how long.

The kinds are those of `DoubtKind`: a bird whose identity is less than sure, from the moment it became so (a crossing, a
gap, or low identity: its appearance alone); a jump, too far for the motion model; a duplicate, two tracks on one bird;
and low identity of a stretch that is unassigned and probably one of the birds. To add a kind, add it to `DoubtKind` and
its rows to `find_doubts`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from backend.tracking.linking.linking_input import LinkingInput
from backend.tracking.linking.motion_model import spread_at
from backend.tracking.linking.result import Identities, track_ids, tracklet_numbers
from backend.tracking.review.duplicate_tracks import Duplicate
from backend.tracking.tracks.schemas import DOUBT_COLUMNS, DoubtKind
from backend.tracking.tracks.track_folder import name_column

SURE = 0.98  # an identity of at least this probability is no doubt
JUMP_SPREADS, JUMP_SIZES, JUMP_S = (
    12.0,
    3.0,
    5.0,
)  # a jump: this far (scales of the motion model, body sizes) within this time
GAP_S = 1.0
UNNAMED_S = 1.0  # a shorter stretch without identity is no doubt


@dataclass(frozen=True)
class Doubt:
    """One row of `DOUBT_COLUMNS`; ``before`` and ``after`` are segments; ``_at`` are indices of frames."""

    kind: DoubtKind
    from_at: int
    to_at: int  # not included
    until_at: int  # not included
    tracks: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    p_error: float


def find_doubts(
    inputs: LinkingInput,
    identities: Identities,
    begin_reason: np.ndarray,
    p_bird: np.ndarray,
    duplicates: Sequence[Duplicate],
) -> list[Doubt]:
    """Return all doubts, those first with the largest probability of error times bird-time.

    ``begin_reason`` (M,) is of `begin_reasons`, ``p_bird`` (M,) the probability that a segment is any of the birds.
    """
    doubts: list[Doubt] = []
    for bird in range(len(identities.names)):
        doubts += _doubts_of_bird(inputs, identities, begin_reason, bird)
    doubts = _merge_reciprocal(doubts) + _doubts_unassigned(inputs, identities, p_bird)
    for duplicate in duplicates:
        span = (duplicate.from_at, duplicate.to_at, duplicate.to_at)
        doubts.append(Doubt(DoubtKind.DUPLICATE, *span, duplicate.tracks, (), (), duplicate.share))
    doubts.sort(
        key=lambda doubt: (-doubt.p_error * (doubt.until_at - doubt.from_at) * len(doubt.tracks), doubt.from_at)
    )
    return doubts


def expected_error(inputs: LinkingInput, identities: Identities) -> float | None:
    """Return the expected share of identified bird-time with a wrong identity, by p_identity; None without any."""
    assigned = identities.bird >= 0
    frames = inputs.segments.n[assigned]
    return float(np.sum(frames * (1 - identities.p[assigned])) / frames.sum()) if assigned.any() else None


def doubt_table(inputs: LinkingInput, identities: Identities, doubts: list[Doubt]) -> pa.Table:
    """Return `DOUBT_COLUMNS`."""
    tracklet = tracklet_numbers(inputs, identities) + 1
    frames = np.append(inputs.frames, inputs.frames[-1] + 1)
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


def _doubts_of_bird(inputs: LinkingInput, identities: Identities, begin_reason: np.ndarray, bird: int) -> list[Doubt]:
    own = np.flatnonzero(identities.bird == bird)
    segments, doubts = inputs.segments, []
    unsure = identities.p[own] < SURE
    k = 0
    while k < len(own):
        last = k
        if unsure[k]:
            while last + 1 < len(own) and unsure[last + 1]:
                last += 1
            segment, before = own[k], own[k - 1] if k else None
            start = int(segments.last[before]) if before is not None else int(segments.first[segment])
            start = min(start, int(segments.first[segment]))
            p = float(1 - identities.p[own[k : last + 1]].min())
            kind = _kind(inputs, begin_reason, before, segment)
            other = int(identities.second[segment])
            tracks = (bird + 1, other + 1) if other >= 0 else (bird + 1,)
            ahead = () if before is None else (int(before),)
            end = int(segments.first[segment]) + 1
            doubts.append(Doubt(kind, start, end, int(segments.last[own[last]]) + 1, tracks, ahead, (int(segment),), p))
        elif k and _jumps(inputs, own[k - 1], own[k]):
            a, b = own[k - 1], own[k]
            p = float(1 - min(identities.p[a], identities.p[b]))
            spot = int(min(segments.last[a], segments.first[b])), int(segments.first[b]) + 1
            doubts.append(Doubt(DoubtKind.JUMP, *spot, int(segments.last[b]) + 1, (bird + 1,), (int(a),), (int(b),), p))
        k = last + 1
    return doubts


def _doubts_unassigned(inputs: LinkingInput, identities: Identities, p_bird: np.ndarray) -> list[Doubt]:
    """Return a doubt for each unassigned stretch that is probably a bird."""
    track, segments, doubts = track_ids(inputs, identities), inputs.segments, []
    for number in np.unique(track[identities.bird < 0]).tolist():
        own = np.flatnonzero(track == number)
        p = float(p_bird[own].max())
        if segments.end_s[own].max() - segments.begin_s[own].min() < UNNAMED_S or p < 1 - SURE:
            continue
        first, likely = int(segments.first[own].min()), int(own[identities.p_second[own].argmax()])
        other = (int(identities.second[likely]) + 1,) if identities.second[likely] >= 0 else ()
        until = int(segments.last[own].max()) + 1
        doubts.append(Doubt(DoubtKind.LOW_IDENTITY, first, first + 1, until, (number, *other), (), (int(own[0]),), p))
    return doubts


def _kind(inputs: LinkingInput, begin_reason: np.ndarray, before: int | None, segment: int) -> DoubtKind:
    if before is not None and _jumps(inputs, before, segment):
        return DoubtKind.JUMP
    if begin_reason[segment] == "crossing":
        return DoubtKind.CROSSING
    if before is not None and inputs.segments.begin_s[segment] - inputs.segments.end_s[before] > GAP_S:
        return DoubtKind.GAP
    return DoubtKind.LOW_IDENTITY


def _jumps(inputs: LinkingInput, a: int, b: int) -> bool:
    endpoints = inputs.endpoints
    gap = float(endpoints.begin_s[b] - endpoints.end_s[a])
    size = float(np.sqrt(endpoints.size[a, 1] * endpoints.size[b, 0]))
    off = float(np.hypot(*(endpoints.begin_xy[b] - endpoints.end_xy[a]))) / size
    return gap < JUMP_S and off > max(JUMP_SIZES, JUMP_SPREADS * spread_at(endpoints.motion.spread, max(0.04, gap)))


def _merge_reciprocal(doubts: list[Doubt]) -> list[Doubt]:
    """Merge two doubts that name each other: two birds that may have been exchanged at one meeting."""
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
    return kept + [doubt for pair in waiting.values() for doubt in pair]


def _overlap(a: Doubt, b: Doubt) -> bool:
    return a.from_at < b.until_at and b.from_at < a.until_at
