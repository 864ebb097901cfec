"""How birds of this video move, learnt from its tracklets, within which it is the same bird.

What is learnt: in which time a velocity dies away (birds stop, people walk on), and how far birds stray from where they
were expected after a gap. Where there is little to learn from, the usual holds.
"""

import math
from typing import NamedTuple

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.online.motion import DAMPING_S
from backend.tracking.online.tracklets import ENDS, Sightings

DAMPINGS_S = DAMPING_S * 2.0 ** np.arange(6)  # that are tried
DAMPED_AFTER_S = (0.5, 1.0, 2.0)  # on gaps of
DOUBLED_NATS = 0.3  # against a damping time, for each squared doubling of the usual one
LAGS_S = np.array([0.08, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
USUAL_SPREAD = np.array([0.05, 0.09, 0.18, 0.33, 0.55, 0.85, 1.25, 1.7, 2.3, 3.0])  # body sizes, where nothing is known
LEAST_SAMPLES = 50


class Ways(NamedTuple):
    """How birds move. Distances have a Student t in the plane with two degrees of freedom. For compiled code."""

    damping_s: float  # in which a velocity dies away
    spread: np.ndarray  # (len(LAGS_S),) scale of distances from the expected place after them, body sizes, ascending


def learn_ways(sightings: Sightings, times: np.ndarray) -> Ways:
    """Return how the birds of these tracklets move."""
    boxes = sightings.boxes.astype(np.float64)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    size = np.sqrt(np.maximum(1.0, np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)))
    seconds = times[sightings.at]

    def after(lag: float) -> tuple[np.ndarray, ...]:
        return np.split(_pairs(sightings.starts, centre, size, seconds, lag), (1, 3), axis=1)

    apart = [after(lag) for lag in DAMPED_AFTER_S]
    damping_s = float(max(DAMPINGS_S, key=lambda damping_s: _worth(apart, damping_s)))
    spread = USUAL_SPREAD.copy()
    for k, lag in enumerate(LAGS_S):
        gap, way, before = after(lag)
        if len(gap):
            off = way - glide(gap, damping_s) * before
            weight = LEAST_SAMPLES / (LEAST_SAMPLES + len(gap))
            spread[k] = np.exp(weight * np.log(USUAL_SPREAD[k]) + (1 - weight) * np.log(_scale(off)))
    return Ways(damping_s, np.maximum.accumulate(spread))


@kernel(nogil=True)
def glide(gap, damping_s):
    """Return for how long, s, a velocity would have to last to go as far as it does in ``gap`` s while it dies away."""
    return damping_s * (1.0 - np.exp(-gap / damping_s))


def _worth(apart: list[tuple[np.ndarray, ...]], damping_s: float) -> float:
    """Return the log likelihood of a damping time, the usual one being the likeliest beforehand."""
    total = -DOUBLED_NATS * math.log2(damping_s / DAMPING_S) ** 2
    for gap, way, before in apart:
        if len(gap):
            off = way - glide(gap, damping_s) * before
            scale = _scale(off)
            total -= 2 * (len(gap) * math.log(scale) + np.log1p((off**2).sum(1) / (2 * scale**2)).sum())
    return total


def _scale(off: np.ndarray) -> float:
    """Return the scale of deviations (n, 2), whose median distance is sqrt(2) scales."""
    return max(1e-3, float(np.median(np.hypot(off[:, 0], off[:, 1])))) / math.sqrt(2)


@kernel
def _pairs(starts, centre, size, seconds, lag):
    """Return (n, 5) of pairs ``lag`` apart: gap, way over it and velocity before it, in s and body sizes."""
    found = np.empty((len(seconds), 5))
    n = 0
    for m in range(len(starts) - 1):
        row = starts[m] + ENDS - 1
        while row < starts[m + 1]:
            after = row + 1
            while after < starts[m + 1] and seconds[after] < seconds[row] + lag - 1e-6:
                after += 1
            if after == starts[m + 1]:
                break
            scale = math.sqrt(size[row] * size[after])
            found[n, 0] = seconds[after] - seconds[row]
            for axis in range(2):
                found[n, 1 + axis] = (centre[after, axis] - centre[row, axis]) / scale
            found[n, 3:5] = velocity(centre, seconds, row - ENDS + 1, row + 1) / scale
            n += 1
            row = after
    return found[:n]


@kernel
def velocity(centre, seconds, first, last):
    """Return (2,) the slope of a line through rows, px/s, shrunk towards standing still where they are few."""
    n = last - first
    mean_t = variance = 0.0
    mean, slope = np.zeros(2), np.zeros(2)
    for row in range(first, last):
        mean_t += (seconds[row] - seconds[first]) / n
        mean += centre[row] / n
    for row in range(first, last):
        off = seconds[row] - seconds[first] - mean_t
        variance += off * off
        slope += off * (centre[row] - mean)
    return slope / max(variance * (1.0 + 2.0 / n), 1e-12)
