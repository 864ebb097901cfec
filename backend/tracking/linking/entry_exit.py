"""Entry and exit: where segments begin and end - a contact, a hidden zone, the image border, or in the open.

An animal enters the scene at the start of the video, at the border or from a hidden zone, and leaves it likewise
(sources and sinks of multi-object tracking). Where a segment begins elsewhere, its animal was there before.
"""

from dataclasses import dataclass, replace

import numpy as np

from backend.tracking.linking.linking_input import LinkingInput
from backend.tracking.linking.segments import CONTACT_OVERLAP
from backend.tracking.online.track_state import GAP
from backend.zones.geometry import join_polygons, points_inside
from backend.zones.zone_file import ZoneKind, Zones

BORDER = 0.01  # share of the image's sides
START_S = 0.5  # a segment begins at the start of the video if it begins this soon after it; likewise at its end
CONTACT_SIGHTINGS = 3  # at the end of a segment, in which a contact counts
ENTRY_REASONS, EXIT_REASONS = ("start", "entry", "hidden_zone"), ("end", "exit", "hidden_zone")


@dataclass(frozen=True)
class EntryExit:
    """Which segments begin where an animal can enter, and end where it can leave: (M,) bool each."""

    can_enter: np.ndarray
    can_leave: np.ndarray


def entry_exit(begins: np.ndarray, ends: np.ndarray) -> EntryExit:
    """Return where animals can enter and leave, from the words of `begin_reasons` and `end_reasons`, (M,) each."""
    return EntryExit(np.isin(begins, ENTRY_REASONS), np.isin(ends, EXIT_REASONS))


def with_hidden_zones(inputs: LinkingInput, zones: Zones) -> LinkingInput:
    """Return the input with the hidden zone that each segment begins and ends at (entry zones count as their zone)."""
    hidden = [index for index, zone in enumerate(zones.zones) if zone.kind is ZoneKind.HIDDEN]
    endpoints, boxes = inputs.endpoints, inputs.sightings.boxes.astype(np.float64)
    starts = inputs.sightings.starts
    zone_of, area = np.zeros((len(inputs.segments), 2), np.int64), [1.0]
    for number, index in enumerate(hidden, 1):
        polygons = [zones.zones[k].polygon for k in (index, *zones.entries_of(index))]
        corners, stops = join_polygons(polygons)
        for end, rows in enumerate((starts[:-1], starts[1:] - 1)):
            box = boxes[rows]
            middle, foot = (box[:, :2] + box[:, 2:]) / 2, np.column_stack([box[:, [0, 2]].mean(1), box[:, 3]])
            inside = points_inside(middle, corners, stops) | points_inside(foot, corners, stops)
            zone_of[inside.any(axis=1), end] = number
        low, high = np.concatenate(polygons).min(0), np.concatenate(polygons).max(0)
        area.append(max(1.0, float(np.prod(high - low))))
    return replace(inputs, endpoints=endpoints._replace(zone=zone_of, zone_area=np.array(area)))


def begin_reasons(inputs: LinkingInput, size: tuple[int, int]) -> np.ndarray:
    """Return how each segment begins, (M,) words: start, entry, hidden_zone, crossing or gap.

    ``size`` is (width, height) of the image, px.
    """
    rows = inputs.sightings.starts[:-1]
    early = inputs.segments.begin_s <= inputs.times[0] + START_S
    return _reasons(inputs, rows, 1, inputs.endpoints.zone[:, 0], early, size, ("start", "entry"))


def end_reasons(inputs: LinkingInput, size: tuple[int, int]) -> np.ndarray:
    """Return how each segment ends, (M,) words: end, exit, hidden_zone, crossing or gap."""
    rows = inputs.sightings.starts[1:] - 1
    late = inputs.segments.end_s >= inputs.times[-1] - START_S
    ambiguous = _is_last(inputs.parent) & (inputs.segments.reason != GAP)
    return _reasons(inputs, rows, -1, inputs.endpoints.zone[:, 1], late, size, ("end", "exit"), ambiguous)


def _reasons(
    inputs: LinkingInput,
    rows: np.ndarray,
    inward: int,
    zone: np.ndarray,
    at_video_end: np.ndarray,
    size: tuple[int, int],
    names: tuple[str, str],
    ambiguous: np.ndarray | bool = False,
) -> np.ndarray:
    boxes = inputs.sightings.boxes[rows]
    overlap = inputs.detections.overlap[inputs.rows]
    contact = np.zeros(len(rows), bool)
    for step in range(CONTACT_SIGHTINGS):
        contact |= overlap[np.clip(rows + inward * step, 0, len(overlap) - 1)] > CONTACT_OVERLAP
    near, far = BORDER * np.array(size), (1 - BORDER) * np.array(size)
    at_border = (boxes[:, :2] <= near).any(axis=1) | (boxes[:, 2:] >= far).any(axis=1)
    reasons = np.full(len(rows), "gap", object)
    reasons[at_border] = names[1]
    reasons[contact | ambiguous] = "crossing"
    reasons[zone > 0] = "hidden_zone"
    reasons[at_video_end] = names[0]
    return reasons


def _is_last(parent: np.ndarray) -> np.ndarray:
    """Return (M,) bool: the last segment of its tracklet (segments are sorted by first frame)."""
    last = np.zeros(len(parent), bool)
    _, index = np.unique(parent[::-1], return_index=True)
    last[len(parent) - 1 - index] = True
    return last
