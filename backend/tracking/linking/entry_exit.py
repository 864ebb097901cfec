"""Where tracklets begin and end: in a contact, at a hidden zone, at the border of the picture or in the open."""

from dataclasses import replace

import numpy as np

from backend.tracking.linking.linking_input import Gathered
from backend.tracking.linking.segments import CONTACT
from backend.tracking.online.track_state import GAP
from backend.zones.geometry import join_polygons, points_inside
from backend.zones.zone_file import ZoneKind, Zones

BORDER = 0.01  # of the picture's sides
AT_ONCE_S = 0.5  # from the video's first frame or to its last
WAYS_IN, WAYS_OUT = ("start", "entry", "hidden_zone"), ("end", "exit", "hidden_zone")  # of a bird; else it was there


def with_zones(gathered: Gathered, zones: Zones) -> Gathered:
    """Return the same with the hidden zone that each part begins and ends at (its entry zones included)."""
    hidden = [place for place, zone in enumerate(zones.zones) if zone.kind is ZoneKind.HIDDEN]
    ends, boxes = gathered.ends, gathered.sightings.boxes.astype(np.float64)
    starts = gathered.sightings.starts
    at, room = np.zeros((len(gathered.parts), 2), np.int64), [1.0]
    for number, place in enumerate(hidden, 1):
        polygons = [zones.zones[k].polygon for k in (place, *zones.entries_of(place))]
        corners, stops = join_polygons(polygons)
        for end, rows in enumerate((starts[:-1], starts[1:] - 1)):
            box = boxes[rows]
            middle, foot = (box[:, :2] + box[:, 2:]) / 2, np.column_stack([box[:, [0, 2]].mean(1), box[:, 3]])
            inside = points_inside(middle, corners, stops) | points_inside(foot, corners, stops)
            at[inside.any(axis=1), end] = number
        low, high = np.concatenate(polygons).min(0), np.concatenate(polygons).max(0)
        room.append(max(1.0, float(np.prod(high - low))))
    return replace(gathered, ends=ends._replace(zone=at, zone_room=np.array(room)))


def how_it_began(gathered: Gathered, size: tuple[int, int]) -> np.ndarray:
    """Return (M,) words: start, entry, hidden_zone, crossing, gap. ``size`` is (width, height), px."""
    starts = gathered.sightings.starts[:-1]
    early = gathered.parts.begin_s <= gathered.times[0] + AT_ONCE_S
    return _words(gathered, starts, 1, gathered.ends.zone[:, 0], early, size, ("start", "entry"))


def how_it_ended(gathered: Gathered, size: tuple[int, int]) -> np.ndarray:
    """Return (M,) words: end, exit, hidden_zone, crossing, gap."""
    rows = gathered.sightings.starts[1:] - 1
    late = gathered.parts.end_s >= gathered.times[-1] - AT_ONCE_S
    doubtful = _is_last(gathered.parent) & (gathered.parts.reason != GAP)
    return _words(gathered, rows, -1, gathered.ends.zone[:, 1], late, size, ("end", "exit"), doubtful)


def _words(
    gathered: Gathered,
    rows: np.ndarray,
    inward: int,
    zone: np.ndarray,
    outermost: np.ndarray,
    size: tuple[int, int],
    names: tuple[str, str],
    doubtful: np.ndarray | bool = False,
) -> np.ndarray:
    boxes = gathered.sightings.boxes[rows]
    hidden = gathered.detections.hidden[gathered.rows]
    touch = np.zeros(len(rows), bool)
    for step in range(3):
        touch |= hidden[np.clip(rows + inward * step, 0, len(hidden) - 1)] > CONTACT
    near, far = BORDER * np.array(size), (1 - BORDER) * np.array(size)
    at_border = (boxes[:, :2] <= near).any(axis=1) | (boxes[:, 2:] >= far).any(axis=1)
    words = np.full(len(rows), "gap", object)
    words[at_border] = names[1]
    words[touch | doubtful] = "crossing"
    words[zone > 0] = "hidden_zone"
    words[outermost] = names[0]
    return words


def _is_last(parent: np.ndarray) -> np.ndarray:
    """Return (M,) bool: the last part of its tracklet (parts are sorted by first frame)."""
    last = np.zeros(len(parent), bool)
    _, places = np.unique(parent[::-1], return_index=True)
    last[len(parent) - 1 - places] = True
    return last
