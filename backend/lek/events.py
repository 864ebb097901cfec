"""Event log, derived from the states: contacts, fights, displacements, zones, flights, box visits."""

import json
from collections.abc import Iterator

import numpy as np

from backend.lek.arena import zone_polygons
from backend.lek.bird import Behaviour
from backend.lek.camera import apply_homography, image_to_ground
from backend.lek.world import Lek
from backend.project.kernels import kernel
from backend.zones.geometry import point_in_polygon

CONTACT_M, APART_M = 0.20, 0.25  # ground points: a contact begins below the first and ends above the second
KINDS = (
    "contact_start",
    "contact_end",
    "fight_start",
    "fight_end",  # bird: the winner
    "displacement",  # bird: who gave way, other: before whom
    "enter_zone",
    "leave_zone",
    "fly_out",
    "gone",
    "fly_in",
    "box_in",
    "box_out",
)
(
    CONTACT_START,
    CONTACT_END,
    FIGHT_START,
    FIGHT_END,
    DISPLACEMENT,
    ENTER_ZONE,
    LEAVE_ZONE,
    FLY_OUT,
    GONE,
    FLY_IN,
    BOX_IN,
    BOX_OUT,
) = range(len(KINDS))
NO_PARTNER = -1


class EventLog:
    """Follows a lek chunk by chunk. What holds in frame 0 is logged as starting there."""

    def __init__(self, lek: Lek, zones: dict):
        n = lek.settings.birds
        to_ground = image_to_ground(lek.camera)
        polygons = [apply_homography(to_ground, polygon) for polygon in zone_polygons(zones)]
        self._corners = np.concatenate(polygons)
        self._ends = np.cumsum([len(polygon) for polygon in polygons])
        self._fps = lek.settings.fps
        self._before = np.full(n, NO_PARTNER, np.int64)
        self._partner = np.full(n, NO_PARTNER, np.int64)
        self._touching = np.zeros((n, n), bool)
        self._inside = np.zeros((n, len(polygons)), bool)

    def follow(self, first: int, states: np.ndarray) -> Iterator[dict]:
        """Yield the events of (frames, n) BIRD states that begin at frame ``first``, in order. Ids start at 1."""
        memory = (self._before, self._partner, self._touching, self._inside)
        for frame, kind, bird, other, zone in _events(states, *memory, self._corners, self._ends):
            event = {"frame": int(first + frame), "time_s": round((first + frame) / self._fps, 3), "kind": KINDS[kind]}
            event["bird"] = int(bird + 1)
            if other != NO_PARTNER:
                event["other"] = int(other + 1)
            if zone != NO_PARTNER:
                event["zone"] = int(zone + 1)
            yield event


def as_line(event: dict) -> bytes:
    """Return an event as one line of ``events.jsonl``."""
    return (json.dumps(event) + "\n").encode()


@kernel
def _events(states, before, partner, touching, inside, corners, ends):
    rows = np.empty((1024, 5), np.int64)
    count = 0
    for frame in range(len(states)):
        birds = states[frame]
        n = len(birds)
        most = n * (4 + len(ends)) + n * n
        if count + most > len(rows):
            rows = np.concatenate((rows, np.empty((len(rows) + most, 5), np.int64)))
        for i in range(n):
            count = _acts(i, birds, before, partner, frame, rows, count)
            count = _zones(i, birds[i], inside, corners, ends, frame, rows, count)
            for j in range(i + 1, n):
                count = _contact(i, j, birds, touching, frame, rows, count)
        for i in range(n):
            before[i] = birds[i].behaviour
            partner[i] = birds[i].partner
    return rows[:count]


@kernel
def _log(rows, count, frame, kind, bird, other, zone):
    rows[count, 0], rows[count, 1], rows[count, 2], rows[count, 3], rows[count, 4] = frame, kind, bird, other, zone
    return count + 1


@kernel
def _acts(i, birds, before, partner, frame, rows, count):
    now, was, other = birds[i].behaviour, before[i], birds[i].partner
    if was == Behaviour.FIGHT and now == Behaviour.FLEE:  # every fight ends with one bird in flight
        count = _log(rows, count, frame, FIGHT_END, partner[i], i, NO_PARTNER)
    if now == was and (now != Behaviour.FLEE or other == partner[i]):
        return count
    if now == Behaviour.FIGHT and i < other:
        count = _log(rows, count, frame, FIGHT_START, i, other, NO_PARTNER)
    elif now == Behaviour.FLEE:
        count = _log(rows, count, frame, DISPLACEMENT, i, other, NO_PARTNER)
    elif now == Behaviour.FLY_OUT:
        count = _log(rows, count, frame, FLY_OUT, i, NO_PARTNER, NO_PARTNER)
    elif now == Behaviour.AWAY:
        count = _log(rows, count, frame, GONE, i, NO_PARTNER, NO_PARTNER)
    elif now == Behaviour.FLY_IN:
        count = _log(rows, count, frame, FLY_IN, i, NO_PARTNER, NO_PARTNER)
    elif now == Behaviour.IN_BOX:
        count = _log(rows, count, frame, BOX_IN, i, NO_PARTNER, NO_PARTNER)
    elif was == Behaviour.IN_BOX:
        count = _log(rows, count, frame, BOX_OUT, i, NO_PARTNER, NO_PARTNER)
    return count


@kernel
def _contact(i, j, birds, touching, frame, rows, count):
    limit = APART_M if touching[i, j] else CONTACT_M
    dx, dy = birds[i].x - birds[j].x, birds[i].y - birds[j].y
    close = dx * dx + dy * dy < limit * limit and _is_out(birds[i]) and _is_out(birds[j])
    if close != touching[i, j]:
        touching[i, j] = close
        count = _log(rows, count, frame, CONTACT_START if close else CONTACT_END, i, j, NO_PARTNER)
    return count


@kernel
def _is_out(bird):
    """Return whether the bird is where another can touch it: near the ground, not in the box, not away."""
    return bird.z < 0.25 and bird.behaviour != Behaviour.IN_BOX and bird.behaviour != Behaviour.AWAY


@kernel
def _zones(i, bird, inside, corners, ends, frame, rows, count):
    on_ground = bird.z < 0.25 and bird.behaviour != Behaviour.AWAY
    for zone in range(len(ends)):
        polygon = corners[(ends[zone - 1] if zone else 0) : ends[zone]]
        is_in = on_ground and point_in_polygon(polygon, bird.x, bird.y)
        if is_in != inside[i, zone]:
            inside[i, zone] = is_in
            count = _log(rows, count, frame, ENTER_ZONE if is_in else LEAVE_ZONE, i, NO_PARTNER, zone)
    return count
