"""How likely it is, by motion and size alone, that one part goes on as another: what linking has where it has no looks.

Four things are compared across the gap: the place (half of the way is told by the velocity before, half by that
after), the velocity, the width and the height of the box. How much each changes for one bird is learnt from the video,
within parts and, as boxes are worse there, where stage 1 followed a bird through a contact; how much they differ
between birds, from all parts. So where birds are all of one size, or turn at once, that says nothing.
"""

import math
from typing import NamedTuple

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.linking.learn_motion import LEAST_SAMPLES, glide
from backend.tracking.linking.linking_input import Gathered
from backend.tracking.linking.motion_model import Ends, link_score
from backend.tracking.online.tracklets import ENDS

LAGS_S = np.array([0.08, 0.2, 0.5, 1.0, 2.0, 4.0])
USUAL = np.array(  # scales of what changes meanwhile, where nothing is known: place, velocity, logs of width and height
    [
        [0.04, 0.08, 0.16, 0.30, 0.50, 0.80],
        [0.50, 0.60, 0.70, 0.80, 0.80, 0.80],
        [0.06, 0.08, 0.10, 0.14, 0.18, 0.20],
        [0.05, 0.06, 0.08, 0.10, 0.13, 0.15],
    ]
)
HALF_OF_T2, HALF_OF_T3 = math.sqrt(2.0), 0.765  # medians of distances of Student t in the plane, and on a line
SURE_S = 0.8  # a shorter gap says no more than this one: where parts end something is unusual
CONTACT_S = 0.5  # a longer gap within a tracklet is a miss, not a contact
MOST_SAMPLES = 50_000
SHARE = 0.6  # of the nats of velocities and sides that count, for none is independent of the others


class Windows(NamedTuple):
    """What `ENDS` sightings in a row tell of a moment; arrays of one length."""

    seconds: np.ndarray  # (n,)
    place: np.ndarray  # (n, 2) px
    velocity: np.ndarray  # (n, 2) px/s
    sides: np.ndarray  # (n, 2) logs of width and height, px


def between(gathered: Gathered, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return (L,) nats that the bird of part ``i`` (L,) is next seen as part ``j``; -inf: it cannot be."""
    starts, ends = gathered.sightings.starts, gathered.ends
    boxes, seconds = gathered.sightings.boxes.astype(np.float64), gathered.times[gathered.sightings.at]
    first, last = starts[:-1], np.maximum(starts[1:] - ENDS, starts[:-1])
    begin = _windows(boxes, seconds, first, starts[1:], 0)
    end = _windows(boxes, seconds, last, starts[1:], -1)
    damping_s = ends.ways.damping_s
    scales = _learn(gathered, boxes, seconds, damping_s)
    least = np.array([_at(each, np.array([SURE_S]))[0] for each in scales])
    least[1:] = np.maximum(least[1:], _in_contacts(gathered, begin, end, damping_s, least)[1:])
    others = _others(begin, end)
    lag, size, changes = _changes(end, begin, i, j, damping_s)
    place, velocity, width, height = (
        np.maximum(_at(each, lag), floor) for each, floor in zip(scales, least, strict=True)
    )
    nats = _in_plane(changes[:, :2], place) + np.log(ends.room / (2.0 * math.pi * (place * size) ** 2))
    other = np.maximum(others[0], velocity)
    own = begin.velocity[j] / size[:, None]
    nats += SHARE * (
        _in_plane(changes[:, 2:4], velocity) - 2.0 * np.log(velocity) - _in_plane(own, other) + 2.0 * np.log(other)
    )
    for column, scale, wide in ((4, width, others[1]), (5, height, others[2])):
        other = np.maximum(wide, scale)
        nats += SHARE * (_on_line(changes[:, column], scale) - _on_line(changes[:, column], other))
    return _evidence(ends, i, j, np.exp(np.minimum(nats, 50.0)))


def _learn(gathered: Gathered, boxes: np.ndarray, seconds: np.ndarray, damping_s: float) -> np.ndarray:
    """Return (4, lags) scales of changes within parts, ascending, as `USUAL` where there are few."""
    starts, part = gathered.sightings.starts, gathered.sightings.tracklet
    position = np.arange(len(part))
    long = np.flatnonzero(position - starts[part] >= ENDS - 1)
    key = seconds + part * (2.0 * seconds.max(initial=0.0) + 1.0)
    scales = USUAL.copy()
    for k, lag in enumerate(LAGS_S):
        row = long[:: max(1, len(long) // MOST_SAMPLES)]
        after = np.searchsorted(key, key[row] + lag - 1e-6)
        whole = after + ENDS <= starts[part[row] + 1]
        n = whole.sum() * len(long) / max(1, len(row)) * min(1.0, gathered.frame_s / lag)  # that overlap less
        if not whole.any():
            continue
        row, after = row[whole], after[whole]
        before = _windows(boxes, seconds, row - ENDS + 1, row + 1, -1)
        later = _windows(boxes, seconds, after, after + ENDS, 0)
        every = np.arange(len(row))
        weight = LEAST_SAMPLES / (LEAST_SAMPLES + n)
        found = _scales(_changes(before, later, every, every, damping_s)[2])
        scales[:, k] = np.exp(weight * np.log(scales[:, k]) + (1 - weight) * np.log(found))
    return np.maximum.accumulate(scales, axis=1)


def _in_contacts(gathered: Gathered, begin: Windows, end: Windows, damping_s: float, usual: np.ndarray) -> np.ndarray:
    """Return (4,) scales of changes from part to part of one tracklet, without a gap."""
    order = np.lexsort((gathered.parts.first, gathered.parent))
    i, j = order[:-1], order[1:]
    near = (gathered.parent[i] == gathered.parent[j]) & (begin.seconds[j] - end.seconds[i] < CONTACT_S)
    if not near.any():
        return usual
    weight = LEAST_SAMPLES / (LEAST_SAMPLES + near.sum())
    found = _scales(_changes(end, begin, i[near], j[near], damping_s)[2])
    return np.exp(weight * np.log(usual) + (1 - weight) * np.log(found))


def _others(begin: Windows, end: Windows) -> tuple[float, float, float]:
    """Return scales of velocity, body sizes/s, and of differences of log width and height between any two parts."""
    sides = np.concatenate([begin.sides, end.sides])
    pace = np.concatenate([begin.velocity, end.velocity]) / np.exp(sides.mean(1))[:, None]
    off = np.abs(sides - np.median(sides, axis=0)) if len(sides) else np.zeros((1, 2))
    wide, tall = math.sqrt(2.0) * np.median(off, axis=0) / HALF_OF_T3
    return float(np.median(np.hypot(*pace.T)) / HALF_OF_T2) if len(pace) else 1.0, float(wide), float(tall)


def _windows(boxes: np.ndarray, seconds: np.ndarray, first: np.ndarray, stop: np.ndarray, at: int) -> Windows:
    """Return what `ENDS` rows from ``first`` (n,) on, before ``stop``, tell of the first (``at`` 0) or last (-1)."""
    rows = np.minimum(first[:, None] + np.arange(ENDS), stop[:, None] - 1)
    sides = boxes[rows, 2:] - boxes[rows, :2]
    centre = (boxes[rows, :2] + boxes[rows, 2:]) / 2
    mean, moment = centre.mean(1), seconds[rows].mean(1)
    off = seconds[rows] - moment[:, None]
    slope = (off[:, :, None] * (centre - mean[:, None])).sum(1)
    slope /= np.maximum((off**2).sum(1) * (1.0 + 2.0 / ENDS), 1e-12)[:, None]  # a little shrunk, as in `tracklets`
    there = seconds[rows[:, at]]
    place = mean + slope * (there - moment)[:, None]
    return Windows(there, place, slope, np.log(np.maximum(1.0, sides)).mean(1))


def _changes(
    before: Windows, after: Windows, i: np.ndarray, j: np.ndarray, damping_s: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return gaps (n,) s, sizes (n,) px, and (n, 6): place and velocity against the expected, log width and height."""
    lag = np.maximum(0.0, after.seconds[j] - before.seconds[i])
    size = np.exp((before.sides[i] + after.sides[j]).mean(1) / 2)
    way = (
        after.place[j] - before.place[i] - glide(lag, damping_s)[:, None] * (before.velocity[i] + after.velocity[j]) / 2
    )
    turn = after.velocity[j] - np.exp(-lag / damping_s)[:, None] * before.velocity[i]
    changes = np.column_stack([way / size[:, None], turn / size[:, None], after.sides[j] - before.sides[i]])
    return lag, size, changes


def _scales(changes: np.ndarray) -> np.ndarray:
    """Return (4,) scales of place, velocity, log width and height in ``changes`` (n, 6)."""
    far, turned = (np.median(np.hypot(*changes[:, k : k + 2].T)) / HALF_OF_T2 for k in (0, 2))
    wide, tall = np.median(np.abs(changes[:, 4:]), axis=0) / HALF_OF_T3
    return np.maximum(1e-3, np.array([far, turned, wide, tall]))


def _at(scale: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """Return scales (n,) after ``lag`` (n,) s: straight lines between `LAGS_S` on log scales."""
    return np.exp(np.interp(np.log(np.maximum(lag, LAGS_S[0])), np.log(LAGS_S), np.log(scale)))


def _in_plane(off: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return (n,) the log density of a Student t with two degrees of freedom, without its constant and scale."""
    return -2.0 * np.log1p((off**2).sum(1) / (2.0 * scale**2))


def _on_line(off: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return (n,) the log density of a Student t with three degrees of freedom, without its constant."""
    return -2.0 * np.log1p((off / scale) ** 2 / 3.0) - np.log(scale)


@kernel
def _evidence(ends: Ends, i, j, near):
    nats = np.empty(len(i))
    for k in range(len(i)):
        nats[k] = link_score(ends, i[k], j[k], near[k])
    return nats
