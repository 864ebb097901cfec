"""Who is where in each frame: zones with thresholds in and out, a least stay, hidden zones, and lost birds.

Rules, in this order, for each bird on its own:

1. In a frame in which it is seen (or interpolated) a bird is in a zone by its ground point, its centre, or the share
   of its mask inside: in from ``in_share`` on, out below ``out_share``, between the two as before.
2. Not seen for fewer than ``lost_after`` samples in a row: it stays where it was. For longer: it is lost (zone 0) from
   the first of these samples on, unless it was last seen in the entry zone of a hidden zone or, on its way in, within
   the outline of that zone. Then it is in the hidden zone until it is seen again; a bird that is seen is in none.
3. Stays shorter than ``min_stay_s`` do not count.
4. Seen (or bridged by rule 2) and in no zone: outside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from backend.pipeline.detections import DetectionsRun
from backend.project.errors import InputError
from backend.project.kernels import kernel
from backend.tracking.tracks.schemas import State
from backend.zones.bird_sequences import Recording
from backend.zones.geometry import box_shares, joined, mask_shares, pixels_before, points_inside
from backend.zones.zone_file import ANY, LOST, OUTSIDE, ZoneKind, Zones

By = Literal["ground point", "centre", "mask"]


@dataclass(frozen=True)
class Place:
    """Something that time is counted in: a zone, several zones taken together, outside, lost.

    ``zones`` are places in the file of zones; ``kind`` is zone, hidden zone, group, union, any, outside or lost.
    """

    name: str
    kind: str
    zones: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Membership:
    """Where every row of a recording is.

    ``inside`` (N, P) bool: one column a `Place`, in the order of ``places``; ``zones`` first. Each row is in any zone,
    outside or lost, and in exactly one of these three. ``n_zones``: how many of the places are single zones.
    """

    places: tuple[Place, ...]
    inside: np.ndarray
    n_zones: int

    def column(self, name: str) -> np.ndarray:
        """Return (N,) bool of one place."""
        return self.inside[:, [place.name for place in self.places].index(name)]


def find_membership(
    recording: Recording,
    zones: Zones,
    by: By = "ground point",
    lost_after: int = 3,
    unions: Mapping[str, Sequence[str]] | None = None,
    masks: DetectionsRun | None = None,
) -> Membership:
    """Decide where every row is; see the module's text.

    ``unions``: zones to be counted together (cumulative zones), by a name of their own; groups of the file are always
    counted. ``masks``: the detections run behind the tracks, needed for ``by="mask"``.

    Raises
    ------
    InputError
        If there are no zones, a union names none of them, or masks are wanted and not there.
    """
    if not zones.zones:
        raise InputError("there are no zones; draw some on the Zones page")
    places = places_of(zones, unions or {})
    shares = _shares(recording, zones, by, masks)
    by_share = by == "mask"
    in_share, out_share = (  # shares are float32: 0.7 must reach 0.7
        np.array([getattr(zone, name) if by_share else 0.5 for zone in zones.zones], np.float32)
        for name in ("in_share", "out_share")
    )
    stay = np.array([zone.min_stay_s if recording.tracked else 0.0 for zone in zones.zones])
    n = len(zones.zones)
    hidden = np.array([zone.kind is ZoneKind.HIDDEN for zone in zones.zones])
    entry = np.zeros((n, n), bool)  # [hidden, where a bird was last seen]
    for place in np.flatnonzero(hidden):
        entry[place, [place, *zones.entries_of(place)]] = True
    lost = recording.state == State.LOST
    seconds = recording.seconds[recording.place]
    inside, gone = _decide(shares, lost, recording.starts, in_share, out_share, hidden, entry, lost_after)
    _drop_short(inside, recording.starts, seconds, stay)
    gone &= ~inside.any(axis=1)
    columns = [inside[:, list(place.zones)].any(axis=1) for place in places[:-2]]
    columns += [~columns[-1] & ~gone, gone]
    return Membership(places, np.column_stack(columns), n)


def places_of(zones: Zones, unions: Mapping[str, Sequence[str]]) -> tuple[Place, ...]:
    """Return what time is counted in: zones, groups, unions, any zone, outside, lost."""
    number = {zone.name: place for place, zone in enumerate(zones.zones)}
    kinds = {ZoneKind.HIDDEN: "hidden zone"}
    found = [Place(zone.name, kinds.get(zone.kind, "zone"), (k,)) for k, zone in enumerate(zones.zones)]
    found += [Place(name, "group", tuple(each)) for name, each in zones.groups.items()]
    taken = {place.name for place in found} | {OUTSIDE, LOST, ANY}
    for name, members in unions.items():
        unknown = [member for member in members if member not in number]
        if unknown or not members:
            raise InputError(f"zones together {name!r}: there is no zone {unknown[:1]}; there are {', '.join(number)}")
        if name in taken:
            raise InputError(f"zones together {name!r}: the name is taken; choose another")
        found.append(Place(name, "union", tuple(number[member] for member in members)))
    found += [Place(ANY, "any", tuple(number.values())), Place(OUTSIDE, "outside"), Place(LOST, "lost")]
    return tuple(found)


def _shares(recording: Recording, zones: Zones, by: By, masks: DetectionsRun | None) -> np.ndarray:
    """Return (N, Z) float32 or uint8: share of each bird inside each zone; 0 or 1 for points."""
    corners, ends = joined([zone.polygon for zone in zones.zones])
    if by != "mask":
        points = recording.ground_points if by == "ground point" else recording.centres
        return points_inside(points, corners, ends)
    if masks is None:
        raise InputError("membership by mask needs the detections behind the tracks, and they are not there")
    width, height = zones.image_size
    if (masks.facts.width, masks.facts.height) != (width, height):
        raise InputError(f"{masks.folder}: {masks.facts.width}x{masks.facts.height}, zones are for {width}x{height}")
    before = pixels_before(corners, ends, width, height)
    shares = box_shares(recording.boxes, before, height)  # where a bird is only interpolated it has no mask
    order = np.argsort(recording.place, kind="stable")
    order = order[(recording.detection[order] >= 0) & ~np.isin(order, list(recording.drawn))]
    key = recording.frames[recording.place[order]].astype(np.int64) << 32 | recording.detection[order]
    order, key = order[np.argsort(key, kind="stable")], np.sort(key)
    for part in masks:
        found = part.found
        own = found.frame.astype(np.int64) << 32 | found.detection
        at = np.searchsorted(key, own)
        used = np.flatnonzero((at < len(key)) & (key[np.minimum(at, len(key) - 1)] == own)) if len(key) else []
        if len(used):
            text = found.rle.take(pa.array(used)).cast(pa.large_binary())
            offsets = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
            shares[order[at[used]]] = mask_shares(np.frombuffer(text.buffers()[2], np.uint8), offsets, before)
    for row, counts in recording.drawn.items():
        if counts is not None:  # else its box decides
            shares[row] = mask_shares(np.frombuffer(counts, np.uint8), np.array([0, len(counts)]), before)[0]
    return shares


@kernel
def _decide(shares, lost, starts, in_share, out_share, hidden, entry, lost_after):
    """Apply rules 1 and 2; return inside (N, Z) bool and gone (N,) bool."""
    n, zones = shares.shape
    inside = np.zeros((n, zones), np.bool_)
    gone = np.zeros(n, np.bool_)
    now = np.zeros(zones, np.bool_)
    for sequence in range(len(starts) - 1):
        first, end = starts[sequence], starts[sequence + 1]
        row = first
        now[:] = False
        while row < end:
            if not lost[row]:
                _look(shares[row], in_share, out_share, hidden, now, inside[row])
                row += 1
                continue
            stop = row
            while stop < end and lost[stop]:
                stop += 1
            known = row > first
            if known and stop - row < lost_after:
                for k in range(row, stop):
                    inside[k] = inside[row - 1]
            else:
                gone[row:stop] = True
                if known:
                    _hide(inside[row:stop], now, hidden, entry)
                now[:] = False
            row = stop
    return inside, gone


@kernel
def _look(shares, in_share, out_share, hidden, now, inside):
    """Decide one frame in which the bird is seen; ``now`` is what held before."""
    for zone in range(len(shares)):
        if shares[zone] >= in_share[zone]:
            now[zone] = True
        elif not shares[zone] >= out_share[zone]:
            now[zone] = False
        inside[zone] = now[zone] and not hidden[zone]


@kernel
def _hide(inside, now, hidden, entry):
    """Put a bird that vanished into the hidden zones that it was last seen in (``now``) or in the entry of."""
    for zone in range(len(hidden)):
        if hidden[zone] and (entry[zone] & now).any():
            inside[:, zone] = True


@kernel
def _drop_short(inside, starts, seconds, stay):
    """Apply rule 3 in place."""
    for zone in range(inside.shape[1]):
        if stay[zone] <= 0:
            continue
        for sequence in range(len(starts) - 1):
            row, end = starts[sequence], starts[sequence + 1]
            while row < end:
                if not inside[row, zone]:
                    row += 1
                    continue
                stop, length = row, 0.0
                while stop < end and inside[stop, zone]:
                    length += seconds[stop]
                    stop += 1
                if length < stay[zone] - 1e-9:
                    inside[row:stop, zone] = False
                row = stop
