"""Zone membership in each frame: thresholds with hysteresis, a minimum stay, hidden zones, and lost birds.

Rules, in this order, for each bird separately:

1. In a frame in which it is seen (or interpolated) a bird is in a zone by its ground point, its centre, or the share
   of its mask inside: in from ``in_share`` on, out below ``out_share``, between the two as before.
2. Not seen for fewer than ``lost_after`` samples in a row: it stays where it was. For longer: it is lost (zone 0) from
   the first of these samples on, unless it was last seen in the entry zone of a hidden zone or, on its way in, within
   the outline of that zone. Then it is in the hidden zone until it is seen again; a bird that is seen is in none.
3. Stays shorter than ``min_stay_s`` are removed.
4. A bird that is seen (or bridged by rule 2) and in no zone is outside.
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
from backend.zones.geometry import box_shares, join_polygons, mask_shares, pixels_before, points_inside
from backend.zones.zone_file import ANY, LOST, OUTSIDE, ZoneKind, Zones

ReferencePoint = Literal["ground point", "centre", "mask"]


@dataclass(frozen=True)
class Location:
    """What time is counted in: a zone, several zones together, outside, or lost.

    ``zones`` are indices into the zone file; ``kind`` is zone, hidden zone, group, union, any, outside or lost.
    """

    name: str
    kind: str
    zones: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Membership:
    """Locations of every row of a recording.

    ``inside`` (N, P) bool: one column per `Location`, in the order of ``locations``; the last three are any zone,
    outside and lost, of which every row is in exactly one. ``n_zones``: the first n locations are the single zones.
    """

    locations: tuple[Location, ...]
    inside: np.ndarray
    n_zones: int

    def column(self, name: str) -> np.ndarray:
        """Return (N,) bool: which rows are at the location ``name``."""
        return self.inside[:, [location.name for location in self.locations].index(name)]


def find_membership(
    recording: Recording,
    zones: Zones,
    by: ReferencePoint = "ground point",
    lost_after: int = 3,
    unions: Mapping[str, Sequence[str]] | None = None,
    masks: DetectionsRun | None = None,
) -> Membership:
    """Compute the zone membership of every row by the rules in the module's docstring.

    ``by``: the reference point of a bird. ``unions``: zones counted together, by the name of the union; groups of the
    zone file are always counted. ``masks``: the detections that the tracks were made from, needed for ``by="mask"``.

    Raises
    ------
    InputError
        If there are no zones, a union names an unknown zone, or the masks are missing.
    """
    if not zones.zones:
        raise InputError("the zone file has no zones; draw at least one on the Zones page")
    locations = list_locations(zones, unions or {})
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
    for zone in np.flatnonzero(hidden):
        entry[zone, [zone, *zones.entries_of(zone)]] = True
    lost = recording.state == State.LOST
    seconds = recording.seconds[recording.frame_index]
    inside, gone = _decide(shares, lost, recording.starts, in_share, out_share, hidden, entry, lost_after)
    _drop_short(inside, recording.starts, seconds, stay)
    gone &= ~inside.any(axis=1)
    columns = [inside[:, list(location.zones)].any(axis=1) for location in locations[:-2]]
    columns += [~columns[-1] & ~gone, gone]
    return Membership(locations, np.column_stack(columns), n)


def list_locations(zones: Zones, unions: Mapping[str, Sequence[str]]) -> tuple[Location, ...]:
    """Return zones, groups, unions, any zone, outside and lost, in this order."""
    number = {zone.name: index for index, zone in enumerate(zones.zones)}
    kinds = {ZoneKind.HIDDEN: "hidden zone"}
    locations = [Location(zone.name, kinds.get(zone.kind, "zone"), (k,)) for k, zone in enumerate(zones.zones)]
    locations += [Location(name, "group", tuple(members)) for name, members in zones.groups.items()]
    taken = {location.name for location in locations} | {OUTSIDE, LOST, ANY}
    for name, members in unions.items():
        unknown = [member for member in members if member not in number]
        if unknown or not members:
            raise InputError(f"--together {name}: there is no zone {unknown[:1]}; the zones are {', '.join(number)}")
        if name in taken:
            raise InputError(f"--together {name}: a zone or group has this name already; choose another")
        locations.append(Location(name, "union", tuple(number[member] for member in members)))
    locations += [Location(ANY, "any", tuple(number.values())), Location(OUTSIDE, "outside"), Location(LOST, "lost")]
    return tuple(locations)


def _shares(recording: Recording, zones: Zones, by: ReferencePoint, masks: DetectionsRun | None) -> np.ndarray:
    """Return (N, Z) float32, share of each bird's mask inside each zone; (N, Z) uint8, 0 or 1, for points."""
    corners, ends = join_polygons([zone.polygon for zone in zones.zones])
    if by != "mask":
        points = recording.ground_points if by == "ground point" else recording.centres
        return points_inside(_within_picture(points, zones.image_size), corners, ends)
    if masks is None:
        raise InputError("reference point 'mask' needs the inference run that the tracks were made from; it is missing")
    width, height = zones.image_size
    if (masks.facts.width, masks.facts.height) != (width, height):
        size = f"{masks.facts.width}x{masks.facts.height}"
        raise InputError(f"{masks.folder} is for frames of {size} px, the zones are for {width}x{height} px")
    before = pixels_before(corners, ends, width, height)
    shares = box_shares(recording.boxes, before, height)  # where a bird is only interpolated it has no mask
    order = np.argsort(recording.frame_index, kind="stable")
    order = order[(recording.detection[order] >= 0) & ~np.isin(order, list(recording.drawn))]
    key = recording.frames[recording.frame_index[order]].astype(np.int64) << 32 | recording.detection[order]
    order, key = order[np.argsort(key, kind="stable")], np.sort(key)
    for part in masks:
        detections = part.detections
        own = detections.frame.astype(np.int64) << 32 | detections.detection
        at = np.searchsorted(key, own)
        used = np.flatnonzero((at < len(key)) & (key[np.minimum(at, len(key) - 1)] == own)) if len(key) else []
        if len(used):
            text = detections.rle.take(pa.array(used)).cast(pa.large_binary())
            offsets = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
            shares[order[at[used]]] = mask_shares(np.frombuffer(text.buffers()[2], np.uint8), offsets, before)
    for row, counts in recording.drawn.items():
        if counts is not None:  # else its box decides
            shares[row] = mask_shares(np.frombuffer(counts, np.uint8), np.array([0, len(counts)]), before)[0]
    return shares


def _within_picture(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return (N, 2) float64 with points on the right or lower border of the picture moved just inside of it.

    A bird that is cut off by the border has its lower side, and so its ground point, exactly on it. A polygon does not
    hold its own lower and right sides, so that of two neighbouring zones one has a point; but beyond the picture there
    is no neighbour. A point that lies beyond the picture stays there.
    """
    moved, border = points.astype(np.float64), np.array(size, np.float64)
    return np.where(moved == border, np.nextafter(border, 0.0), moved)


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
                _update_seen(shares[row], in_share, out_share, hidden, now, inside[row])
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
                    _enter_hidden(inside[row:stop], now, hidden, entry)
                now[:] = False
            row = stop
    return inside, gone


@kernel
def _update_seen(shares, in_share, out_share, hidden, now, inside):
    """Apply rule 1 to a frame in which the bird is seen; ``now`` (Z,) is the membership before, updated in place."""
    for zone in range(len(shares)):
        if shares[zone] >= in_share[zone]:
            now[zone] = True
        elif not shares[zone] >= out_share[zone]:
            now[zone] = False
        inside[zone] = now[zone] and not hidden[zone]


@kernel
def _enter_hidden(inside, now, hidden, entry):
    """Put a bird that vanished into the hidden zones whose entry, or outline, it was last seen in (``now``)."""
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
