"""What birds look like, learnt from the video itself without labels: within a tracklet it is the same bird.

Two-covariance model (Ioffe 2006): what a bird looks like is normal with covariance ``between``; the mean of its
descriptors over a stretch of time is normal about that, with a covariance that falls with the length of the stretch.
How it falls is measured, because errors of neighbouring frames are alike. What moves all birds at once, light, is
measured from all birds that are there and taken off.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

LENGTHS_S = np.array([0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])  # stretches whose covariance is measured
BIN_S = 1.0  # drift is known this finely
DRIFT_S = 6.0  # and smoothed over this
APART_S = 8.0  # two stretches of one tracklet at least this far apart say how much a bird varies
LEAST_APART_S, GROWTH = 0.5, 0.2  # where tracklets are short: the least distance, and how variance grows with it
LEAST = 1e-3  # of a variance, share of the whole variance
TINY = 1e-12  # share of all variance that a number that never changes is taken to have


@dataclass(frozen=True)
class Look:
    """Descriptors of sightings that are used, sorted by tracklet, then time."""

    x: np.ndarray  # (N, D) float64
    tracklet: np.ndarray  # (N,)
    seconds: np.ndarray  # (N,) float64
    starts: np.ndarray  # (M + 1,)
    step_s: float  # usual distance of two


@dataclass(frozen=True)
class Means:
    """What tracklets look like on average."""

    x: np.ndarray  # (M, D), 0 where nothing is known
    seconds: np.ndarray  # (M,) that were looked at: number of descriptors times `Look.step_s`; 0: none


@dataclass(frozen=True)
class AppearanceModel:
    """Mean and covariance of birds, and covariances of a mean over each of `LENGTHS_S`."""

    mean: np.ndarray  # (D,)
    between: np.ndarray  # (D, D)
    within: np.ndarray  # (L, D, D)
    counts: float = 1.0  # share of what a stretch says that is taken for new: a bird's errors outlast a stretch

    def precisions(self, seconds: np.ndarray) -> np.ndarray:
        """Return (M, D, D), ``counts`` times the inverse covariances of means over so many seconds; 0 for none."""
        grid = np.exp(np.linspace(np.log(LENGTHS_S[0] / 4), np.log(LENGTHS_S[-1] * 16), 40))
        inverse = np.linalg.inv(self.covariances(grid))
        place = np.abs(np.log(grid)[:, None] - np.log(np.maximum(seconds, 1e-3))[None]).argmin(0)
        return np.where((seconds > 0)[:, None, None], self.counts * inverse[place], 0.0)

    def covariances(self, seconds: np.ndarray) -> np.ndarray:
        """Return (M, D, D), covariances of means over so many seconds, by straight lines in their logarithm."""
        logs = np.log(LENGTHS_S)
        value = np.log(np.maximum(seconds, 1e-3))
        k = np.clip(np.searchsorted(logs, value) - 1, 0, len(logs) - 2)
        share = np.clip((value - logs[k]) / (logs[k + 1] - logs[k]), 0, 1)[:, None, None]
        beyond = np.exp(np.minimum(0, logs[-1] - value))[:, None, None]  # longer still: errors average out
        return ((1 - share) * self.within[k] + share * self.within[k + 1]) * beyond


def drift(look: Look, bird_mean: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return (bins, D), what moves all birds at once in each `BIN_S` of the video.

    ``bird_mean`` (M, D) is what the bird of each tracklet looks like as far as is known, ``weight`` (M,) how much it
    counts.
    """
    place = (look.seconds / BIN_S).astype(np.int64)
    bins = int(place.max(initial=0)) + 1
    off = np.zeros((bins, look.x.shape[1]))
    count = np.zeros(bins)
    rest = (look.x - bird_mean[look.tracklet]) * weight[look.tracklet][:, None]
    for axis in range(off.shape[1]):
        off[:, axis] = np.bincount(place, rest[:, axis], bins)
    count = np.bincount(place, weight[look.tracklet], bins)
    width = DRIFT_S / BIN_S
    off = gaussian_filter1d(off, width, axis=0, mode="constant")
    count = gaussian_filter1d(count, width, mode="constant")
    return off / np.maximum(count, 1e-6)[:, None]


def without(look: Look, moved: np.ndarray) -> Look:
    """Return descriptors with the drift taken off, straight lines between the bins."""
    at = np.clip(look.seconds / BIN_S - 0.5, 0, len(moved) - 1)
    low = np.minimum(at.astype(np.int64), len(moved) - 1)
    high = np.minimum(low + 1, len(moved) - 1)
    share = (at - low)[:, None]
    x = look.x - (1 - share) * moved[low] - share * moved[high]
    return replace(look, x=x)


def means(look: Look) -> Means:
    """Return the mean of each tracklet."""
    n = np.diff(look.starts)
    total = np.concatenate([np.zeros((1, look.x.shape[1])), np.cumsum(look.x, axis=0)])
    x = (total[look.starts[1:]] - total[look.starts[:-1]]) / np.maximum(n, 1)[:, None]
    return Means(x, n * look.step_s)


def learn(look: Look, mean: Means) -> AppearanceModel:
    """Learn the model from tracklets alone."""
    d = look.x.shape[1]
    whole = np.atleast_2d(np.cov(look.x[:: max(1, len(look.x) // 50000)].T)) if len(look.x) > 1 else np.eye(d)
    whole += LEAST * np.diag(np.maximum(np.diag(whole), TINY * np.trace(whole)))
    within, before, apart_s = [], None, usual_distance(look, 2 * d)
    total = np.concatenate([np.zeros((1, d)), np.cumsum(look.x, axis=0)])
    for seconds in LENGTHS_S:
        prior = before if before is not None else 0.5 * np.diag(np.diag(whole))
        pairs = stretch_pairs(look, seconds, apart_s)
        if len(pairs):
            n = pairs[:, 1] - pairs[:, 0]
            one = (total[pairs[:, 1]] - total[pairs[:, 0]]) / n[:, None]
            other = (total[pairs[:, 3]] - total[pairs[:, 2]]) / n[:, None]
            off = one - other
            measured = off.T @ off / 2 * (APART_S / apart_s) ** GROWTH
            prior = (measured + 2 * d * prior) / (len(pairs) + 2 * d)
        elif before is not None:
            prior = before / 1.6
        before = floored(prior, 0.2 * LEAST, whole)
        within.append(before)
    model = AppearanceModel(np.zeros(d), np.eye(d), np.stack(within))
    known = mean.seconds >= 1.0
    if known.sum() < 3:
        known = mean.seconds > 0
    weight = np.minimum(mean.seconds[known], 20.0)
    if not len(weight):
        return model
    centre = np.average(mean.x[known], axis=0, weights=weight)
    off = mean.x[known] - centre
    spread = (off * weight[:, None]).T @ off / weight.sum()
    noise = np.einsum("m,mde->de", weight, model.covariances(mean.seconds[known])) / weight.sum()
    between = floored(spread - noise, LEAST, whole)
    return AppearanceModel(centre, between, model.within)


def usual_distance(look: Look, least: int) -> float:
    """Return how far apart in time stretches are compared: `APART_S`, or less for at least ``least`` pairs."""
    apart_s = APART_S
    while apart_s > LEAST_APART_S and len(stretch_pairs(look, LENGTHS_S[0], apart_s)) < least:
        apart_s /= 2
    return apart_s


def stretch_pairs(look: Look, seconds: float, apart_s: float) -> np.ndarray:
    """Return (P, 4) int64 rows: begin and end of two stretches of a tracklet, at least ``apart_s`` between them."""
    n = max(1, round(seconds / look.step_s))
    gap = round(max(apart_s, seconds) / look.step_s)
    pairs = []
    for start, end in zip(look.starts[:-1], look.starts[1:], strict=True):
        step = n + gap
        at = start
        while at + step + n <= end:
            pairs.append((at, at + n, at + step, at + step + n))
            at += 2 * step if seconds >= 4 else step
    return np.array(pairs, np.int64).reshape(-1, 4)


def relearn(model: AppearanceModel, mean: Means, bird: np.ndarray, n_birds: int, sure: np.ndarray) -> AppearanceModel:
    """Learn the model again from tracklets and their birds (-1: nobody), as far as they are ``sure``."""
    d = mean.x.shape[1]
    known = sure & (bird >= 0) & (mean.seconds > 0)
    if known.sum() < 3 * n_birds:
        return model
    precision = model.precisions(mean.seconds)
    centres, covariances = birds(model, mean.x, precision, np.where(known, bird, -1), n_birds)
    off = mean.x - centres[np.maximum(bird, 0)]
    within = model.within.copy()
    logs = np.log(LENGTHS_S)
    nearest = np.abs(logs[:, None] - np.log(np.maximum(mean.seconds, 1e-3))).argmin(0)
    for k in range(len(LENGTHS_S)):
        rows = known & (nearest == k)
        if k == len(LENGTHS_S) - 1:
            rows &= mean.seconds < 1.5 * LENGTHS_S[-1]
        measured = off[rows].T @ off[rows]
        within[k] = (measured + 3 * d * model.within[k]) / (rows.sum() + 3 * d)
    there = np.unique(bird[known])
    middle = centres[there].mean(0)
    apart = (centres[there] - middle).T @ (centres[there] - middle) + covariances[there].sum(0)
    between = (apart + 2 * np.trace(apart) / len(there) / d * np.eye(d)) / (len(there) + 2)
    return replace(model, mean=middle, between=floored(between, LEAST * np.trace(between) / d), within=within)


def birds(
    model: AppearanceModel, x: np.ndarray, precision: np.ndarray, bird: np.ndarray, n_birds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (N, D) and covariance (N, D, D) of what each bird looks like, given its tracklets."""
    d = x.shape[1]
    own = np.linalg.inv(model.between)
    total = np.tile(own, (n_birds, 1, 1))
    pull = np.tile(own @ model.mean, (n_birds, 1))
    for k in range(n_birds):
        rows = np.flatnonzero(bird == k)
        total[k] += precision[rows].sum(0)
        pull[k] += np.einsum("mde,me->d", precision[rows], x[rows])
    covariance = np.linalg.inv(total)
    return np.einsum("nde,ne->nd", covariance, pull), covariance.reshape(n_birds, d, d)


def fit_of(x: np.ndarray, precision: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return (M, N) float64 log likelihood of tracklets by bird, up to a constant a tracklet."""
    fit = np.empty((len(x), len(centres)))
    for k, centre in enumerate(centres):
        off = x - centre
        fit[:, k] = -0.5 * np.einsum("md,mde,me->m", off, precision, off, optimize=True)
    return fit


def fit_of_anybody(model: AppearanceModel, mean: Means, precision: np.ndarray) -> np.ndarray:
    """Return (M,), the same for a bird that nobody knows: with covariance ``between`` about the mean of all."""
    off = mean.x - model.mean
    inner = np.eye(off.shape[1]) + model.between @ precision
    _, log_det = np.linalg.slogdet(inner)
    both = precision @ np.linalg.inv(inner)
    return -0.5 * log_det - 0.5 * np.einsum("md,mde,me->m", off, both, off)


def floored(matrix: np.ndarray, least: float, unit: np.ndarray | None = None) -> np.ndarray:
    """Return the symmetric matrix with eigenvalues of at least ``least``, measured by the covariance ``unit``."""
    if unit is not None:
        root = np.linalg.cholesky(unit)
        inner = np.linalg.solve(root, np.linalg.solve(root, matrix).T)
        return root @ floored(inner, least) @ root.T
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.maximum(values, least)) @ vectors.T
