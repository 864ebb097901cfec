"""Motion model: how far animals stray from their predicted position after a gap, learnt from this video's tracklets.

Within a tracklet it is the same animal, so its displacement over a time lag can be measured there. The prediction is a
damped constant velocity: a velocity v dies away as exp(-t / damping_s) (animals stop, people walk on). Deviations from
it follow a bivariate Student t with two degrees of freedom, whose scale grows with the lag. Where there are few
samples, the estimate is drawn towards a prior.
"""

import math
from typing import NamedTuple

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.online.motion import DAMPING_S
from backend.tracking.online.tracklets import ENDS, Sightings

DAMPING_CANDIDATES_S = DAMPING_S * 2.0 ** np.arange(6)
DAMPING_LAGS_S = (0.5, 1.0, 2.0)  # lags on which the candidates are compared
DAMPING_PRIOR_NATS = 0.3  # against a damping time, for each squared doubling of `DAMPING_S`
LAGS_S = np.array([0.08, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
PRIOR_SPREAD = np.array([0.05, 0.09, 0.18, 0.33, 0.55, 0.85, 1.25, 1.7, 2.3, 3.0])  # scale after `LAGS_S`, body sizes
PRIOR_SAMPLES = 50  # samples that the prior counts for


class MotionModel(NamedTuple):
    """How animals move. A NamedTuple for compiled code."""

    damping_s: float  # time constant with which a velocity dies away
    spread: np.ndarray  # (len(LAGS_S),) scale of distances from the predicted position, body sizes, ascending


def learn_motion(sightings: Sightings, times: np.ndarray) -> MotionModel:
    """Estimate the motion model from tracklets; ``times`` (F,) s are those of the frames."""
    boxes = sightings.boxes.astype(np.float64)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    size = np.sqrt(np.maximum(1.0, np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)))
    seconds = times[sightings.at]

    def samples_at(lag: float) -> tuple[np.ndarray, ...]:
        return np.split(_displacements(sightings.starts, centre, size, seconds, lag), (1, 3), axis=1)

    samples = [samples_at(lag) for lag in DAMPING_LAGS_S]
    damping_s = float(max(DAMPING_CANDIDATES_S, key=lambda damping_s: _log_posterior(samples, damping_s)))
    spread = PRIOR_SPREAD.copy()
    for k, lag in enumerate(LAGS_S):
        gap, displacement, velocity_before = samples_at(lag)
        if len(gap):
            off = displacement - effective_gap(gap, damping_s) * velocity_before
            weight = PRIOR_SAMPLES / (PRIOR_SAMPLES + len(gap))
            spread[k] = np.exp(weight * np.log(PRIOR_SPREAD[k]) + (1 - weight) * np.log(_scale(off)))
    return MotionModel(damping_s, np.maximum.accumulate(spread))


@kernel(nogil=True)
def effective_gap(gap, damping_s):
    """Return the time, s, for which an undamped velocity covers the distance that a damped one covers in ``gap`` s."""
    return damping_s * (1.0 - np.exp(-gap / damping_s))


@kernel(nogil=True)
def spread_at(spread, gap):
    """Return the scale of distances after ``gap`` s, body sizes: log-log interpolation between `LAGS_S`."""
    k = 0
    while k < len(LAGS_S) - 2 and gap > LAGS_S[k + 1]:
        k += 1
    share = math.log(max(gap, LAGS_S[0]) / LAGS_S[k]) / math.log(LAGS_S[k + 1] / LAGS_S[k])
    share = min(1.0, share)
    return math.exp((1.0 - share) * math.log(spread[k]) + share * math.log(spread[k + 1]))


def _log_posterior(samples: list[tuple[np.ndarray, ...]], damping_s: float) -> float:
    """Return the log posterior, nats, of a damping time, with its mode at `DAMPING_S` before any sample."""
    total = -DAMPING_PRIOR_NATS * math.log2(damping_s / DAMPING_S) ** 2
    for gap, displacement, velocity_before in samples:
        if len(gap):
            off = displacement - effective_gap(gap, damping_s) * velocity_before
            scale = _scale(off)
            total -= 2 * (len(gap) * math.log(scale) + np.log1p((off**2).sum(1) / (2 * scale**2)).sum())
    return total


def _scale(off: np.ndarray) -> float:
    """Return the scale of deviations (n, 2): of a bivariate Student t it is the median distance / sqrt 2."""
    return max(1e-3, float(np.median(np.hypot(off[:, 0], off[:, 1])))) / math.sqrt(2)


@kernel
def _displacements(starts, centre, size, seconds, lag):
    """Return (n, 5) for sightings ``lag`` s apart: gap, displacement and velocity before, in s and body sizes."""
    samples = np.empty((len(seconds), 5))
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
            samples[n, 0] = seconds[after] - seconds[row]
            for axis in range(2):
                samples[n, 1 + axis] = (centre[after, axis] - centre[row, axis]) / scale
            samples[n, 3:5] = velocity(centre, seconds, row - ENDS + 1, row + 1) / scale
            n += 1
            row = after
    return samples[:n]


@kernel
def velocity(centre, seconds, first, last):
    """Return (2,) the slope of a line through rows, px/s, shrunk towards zero where they are few."""
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
