"""Pair affinity: the log-likelihood ratio that one segment continues as another, by motion and box size alone.

Where there are no embeddings, linking compares four things across the gap: the position (half of the path is predicted
from the velocity before, half from that after), the velocity, the width and the height of the box. Deviations follow
Student t distributions. Their scales for one bird are learnt from this video, within segments and, as boxes are worse
there, at contacts through which the online tracker followed a bird; their scales between birds come from all segments.
So where all birds have one size, or turn suddenly, size or velocity says nothing.

Velocity and size correlate with position, so their log-likelihood is weighted 0.6.
"""

import math
from typing import NamedTuple

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.linking.link_cost import Endpoints, link_score
from backend.tracking.linking.linking_input import LinkingInput
from backend.tracking.linking.motion_model import PRIOR_SAMPLES, effective_gap
from backend.tracking.online.tracklets import ENDS

LAGS_S = np.array([0.08, 0.2, 0.5, 1.0, 2.0, 4.0])
PRIOR_SCALES = np.array(  # after `LAGS_S`: position and velocity, body sizes; log width; log height
    [
        [0.04, 0.08, 0.16, 0.30, 0.50, 0.80],
        [0.50, 0.60, 0.70, 0.80, 0.80, 0.80],
        [0.06, 0.08, 0.10, 0.14, 0.18, 0.20],
        [0.05, 0.06, 0.08, 0.10, 0.13, 0.15],
    ]
)
T2_MEDIAN, T3_MEDIAN = (
    math.sqrt(2.0),
    0.765,
)  # median distance of a Student t, 2 degrees of freedom in the plane; 3 on a line
MIN_GAP_S = 0.8  # a shorter gap counts as this one: where a segment ends, something unusual happened
CONTACT_S = 0.5  # a longer gap within a tracklet is a miss, not a contact
MAX_SAMPLES = 50_000
CORRELATION_WEIGHT = 0.6  # velocity and size correlate with position, so their log-likelihood is weighted


class KinematicStates(NamedTuple):
    """Motion and size at a moment, from `ENDS` sightings in a row; arrays of one length."""

    seconds: np.ndarray  # (n,)
    position: np.ndarray  # (n, 2) px
    velocity: np.ndarray  # (n, 2) px/s
    log_size: np.ndarray  # (n, 2) logs of width and height, px


def pair_affinity(inputs: LinkingInput, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return (L,) log-likelihood ratios, nats, that the bird of segment ``i`` (L,) is next seen as segment ``j`` (L,).

    The ratio is against a bird that appears anywhere (`link_score`); -inf where it is impossible.
    """
    starts, endpoints = inputs.sightings.starts, inputs.endpoints
    boxes, seconds = inputs.sightings.boxes.astype(np.float64), inputs.times[inputs.sightings.at]
    first, last = starts[:-1], np.maximum(starts[1:] - ENDS, starts[:-1])
    begin = _states(boxes, seconds, first, starts[1:], 0)
    end = _states(boxes, seconds, last, starts[1:], -1)
    damping_s = endpoints.motion.damping_s
    scales = _scales_within(inputs, boxes, seconds, damping_s)
    floors = np.array([_interpolated(scale, np.array([MIN_GAP_S]))[0] for scale in scales])
    floors[1:] = np.maximum(floors[1:], _scales_at_contacts(inputs, begin, end, damping_s, floors)[1:])
    speed_between, *size_between = _scales_between(begin, end)
    gap, size, residuals = _residuals(end, begin, i, j, damping_s)
    position, velocity, width, height = (
        np.maximum(_interpolated(scale, gap), floor) for scale, floor in zip(scales, floors, strict=True)
    )
    nats = _log_t2(residuals[:, :2], position) + np.log(endpoints.image_area / (2.0 * math.pi * (position * size) ** 2))
    other = np.maximum(speed_between, velocity)
    own_velocity = begin.velocity[j] / size[:, None]
    nats += CORRELATION_WEIGHT * (
        _log_t2(residuals[:, 2:4], velocity)
        - 2.0 * np.log(velocity)
        - _log_t2(own_velocity, other)
        + 2.0 * np.log(other)
    )
    for column, scale, between in ((4, width, size_between[0]), (5, height, size_between[1])):
        other = np.maximum(between, scale)
        nats += CORRELATION_WEIGHT * (_log_t3(residuals[:, column], scale) - _log_t3(residuals[:, column], other))
    return _link_scores(endpoints, i, j, np.exp(np.minimum(nats, 50.0)))


def _scales_within(inputs: LinkingInput, boxes: np.ndarray, seconds: np.ndarray, damping_s: float) -> np.ndarray:
    """Return (4, lags) scales of residuals within segments, ascending, near `PRIOR_SCALES` if samples are few."""
    starts, segment = inputs.sightings.starts, inputs.sightings.tracklet
    row_number = np.arange(len(segment))
    long = np.flatnonzero(row_number - starts[segment] >= ENDS - 1)
    key = seconds + segment * (2.0 * seconds.max(initial=0.0) + 1.0)
    scales = PRIOR_SCALES.copy()
    for k, gap in enumerate(LAGS_S):
        row = long[:: max(1, len(long) // MAX_SAMPLES)]
        after = np.searchsorted(key, key[row] + gap - 1e-6)
        complete = after + ENDS <= starts[segment[row] + 1]
        n = (
            complete.sum() * len(long) / max(1, len(row)) * min(1.0, inputs.frame_s / gap)
        )  # effective number: samples nearer than the gap overlap
        if not complete.any():
            continue
        row, after = row[complete], after[complete]
        before = _states(boxes, seconds, row - ENDS + 1, row + 1, -1)
        later = _states(boxes, seconds, after, after + ENDS, 0)
        pairs = np.arange(len(row))
        weight = PRIOR_SAMPLES / (PRIOR_SAMPLES + n)
        measured = _scales(_residuals(before, later, pairs, pairs, damping_s)[2])
        scales[:, k] = np.exp(weight * np.log(scales[:, k]) + (1 - weight) * np.log(measured))
    return np.maximum.accumulate(scales, axis=1)


def _scales_at_contacts(
    inputs: LinkingInput, begin: KinematicStates, end: KinematicStates, damping_s: float, prior: np.ndarray
) -> np.ndarray:
    """Return (4,) scales of residuals from segment to segment of one tracklet without a gap."""
    order = np.lexsort((inputs.segments.first, inputs.parent))
    i, j = order[:-1], order[1:]
    contact = (inputs.parent[i] == inputs.parent[j]) & (begin.seconds[j] - end.seconds[i] < CONTACT_S)
    if not contact.any():
        return prior
    weight = PRIOR_SAMPLES / (PRIOR_SAMPLES + contact.sum())
    measured = _scales(_residuals(end, begin, i[contact], j[contact], damping_s)[2])
    return np.exp(weight * np.log(prior) + (1 - weight) * np.log(measured))


def _scales_between(begin: KinematicStates, end: KinematicStates) -> tuple[float, float, float]:
    """Return scales of velocity, body sizes/s, and of differences between segments in log width and log height."""
    log_size = np.concatenate([begin.log_size, end.log_size])
    speed = np.concatenate([begin.velocity, end.velocity]) / np.exp(log_size.mean(1))[:, None]
    off = np.abs(log_size - np.median(log_size, axis=0)) if len(log_size) else np.zeros((1, 2))
    width, height = math.sqrt(2.0) * np.median(off, axis=0) / T3_MEDIAN
    return float(np.median(np.hypot(*speed.T)) / T2_MEDIAN) if len(speed) else 1.0, float(width), float(height)


def _states(boxes: np.ndarray, seconds: np.ndarray, first: np.ndarray, stop: np.ndarray, at: int) -> KinematicStates:
    """Return the state at the first (``at`` 0) or last (-1) of `ENDS` rows from ``first`` (n,) on, before ``stop``."""
    rows = np.minimum(first[:, None] + np.arange(ENDS), stop[:, None] - 1)
    sides = boxes[rows, 2:] - boxes[rows, :2]
    centre = (boxes[rows, :2] + boxes[rows, 2:]) / 2
    mean, mean_s = centre.mean(1), seconds[rows].mean(1)
    off = seconds[rows] - mean_s[:, None]
    slope = (off[:, :, None] * (centre - mean[:, None])).sum(1)
    slope /= np.maximum((off**2).sum(1) * (1.0 + 2.0 / ENDS), 1e-12)[:, None]  # shrunk towards zero as in `tracklets`
    at_s = seconds[rows[:, at]]
    position = mean + slope * (at_s - mean_s)[:, None]
    return KinematicStates(at_s, position, slope, np.log(np.maximum(1.0, sides)).mean(1))


def _residuals(
    before: KinematicStates, after: KinematicStates, i: np.ndarray, j: np.ndarray, damping_s: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return gaps (n,) s, body sizes (n,) px, and residuals (n, 6).

    Residuals are of position and velocity against the prediction, body sizes, and of log width and log height.
    """
    gap = np.maximum(0.0, after.seconds[j] - before.seconds[i])
    size = np.exp((before.log_size[i] + after.log_size[j]).mean(1) / 2)
    predicted = effective_gap(gap, damping_s)[:, None] * (before.velocity[i] + after.velocity[j]) / 2
    off = after.position[j] - before.position[i] - predicted
    velocity_change = after.velocity[j] - np.exp(-gap / damping_s)[:, None] * before.velocity[i]
    residuals = np.column_stack(
        [off / size[:, None], velocity_change / size[:, None], after.log_size[j] - before.log_size[i]]
    )
    return gap, size, residuals


def _scales(residuals: np.ndarray) -> np.ndarray:
    """Return (4,) scales of position, velocity, log width and log height in ``residuals`` (n, 6)."""
    position, velocity = (np.median(np.hypot(*residuals[:, k : k + 2].T)) / T2_MEDIAN for k in (0, 2))
    width, height = np.median(np.abs(residuals[:, 4:]), axis=0) / T3_MEDIAN
    return np.maximum(1e-3, np.array([position, velocity, width, height]))


def _interpolated(scale: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Return scales (n,) after ``gap`` (n,) s: log-log interpolation between `LAGS_S`."""
    return np.exp(np.interp(np.log(np.maximum(gap, LAGS_S[0])), np.log(LAGS_S), np.log(scale)))


def _log_t2(off: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return (n,) log densities of a bivariate Student t, 2 degrees of freedom, up to its constant and scale."""
    return -2.0 * np.log1p((off**2).sum(1) / (2.0 * scale**2))


def _log_t3(off: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return (n,) log densities of a Student t, 3 degrees of freedom, up to its constant."""
    return -2.0 * np.log1p((off / scale) ** 2 / 3.0) - np.log(scale)


@kernel
def _link_scores(endpoints: Endpoints, i, j, position_ratio):
    nats = np.empty(len(i))
    for k in range(len(i)):
        nats[k] = link_score(endpoints, i[k], j[k], position_ratio[k])
    return nats
