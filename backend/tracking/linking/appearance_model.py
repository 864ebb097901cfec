"""Appearance model: what animals look like, learnt from this video without labels.

A two-covariance model (probabilistic linear discriminant analysis; Ioffe 2006, doi 10.1007/11744085_41): the embedding
of an animal is normal with covariance ``between``; the mean embedding over a stretch of time is normal about that, with
a covariance ``within`` that falls with the length of the stretch. Errors of neighbouring frames are correlated, so how
it falls is measured: two stretches of one tracklet show the same animal. What changes all animals at once (the light)
is measured from all animals in view and subtracted.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

LENGTHS_S = np.array([0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])  # of stretches whose covariance is measured
DRIFT_BIN_S = 1.0  # resolution of the drift
DRIFT_SMOOTHING_S = 6.0  # standard deviation of the Gaussian that smooths it
PAIR_GAP_S = 8.0  # least gap between the two stretches of a tracklet that are compared
MIN_PAIR_GAP_S, PAIR_GAP_EXPONENT = 0.5, 0.2  # least gap where tracklets are short; variance grows as gap^exponent
MIN_VARIANCE = 1e-3  # share of the total variance
MIN_SHARE = 1e-12  # share of the total variance that a constant dimension is given


@dataclass(frozen=True)
class Embeddings:
    """Embeddings that are used, sorted by segment, then time."""

    x: np.ndarray  # (N, D) float64
    segment: np.ndarray  # (N,)
    seconds: np.ndarray  # (N,) float64
    starts: np.ndarray  # (M + 1,)
    step_s: float  # median time between two of a segment


@dataclass(frozen=True)
class MeanEmbeddings:
    """Mean embedding of each segment."""

    x: np.ndarray  # (M, D) float64, 0 where there is none
    seconds: np.ndarray  # (M,) float64 that they cover: number of embeddings times `Embeddings.step_s`; 0: none


@dataclass(frozen=True)
class AppearanceModel:
    """Distribution of birds' embeddings, and covariances of a mean over each of `LENGTHS_S`."""

    mean: np.ndarray  # (D,) of all birds
    between: np.ndarray  # (D, D)
    within: np.ndarray  # (L, D, D)
    evidence_weight: float = 1.0  # of a segment's precision: errors of neighbouring segments are correlated

    def precisions(self, seconds: np.ndarray) -> np.ndarray:
        """Return (M, D, D), ``evidence_weight`` times the inverse covariance of means over ``seconds`` (M,); 0 at 0."""
        grid = np.exp(np.linspace(np.log(LENGTHS_S[0] / 4), np.log(LENGTHS_S[-1] * 16), 40))
        inverse = np.linalg.inv(self.covariances(grid))
        nearest = np.abs(np.log(grid)[:, None] - np.log(np.maximum(seconds, 1e-3))[None]).argmin(0)
        return np.where((seconds > 0)[:, None, None], self.evidence_weight * inverse[nearest], 0.0)

    def covariances(self, seconds: np.ndarray) -> np.ndarray:
        """Return (M, D, D) covariances of means over ``seconds`` (M,), linear in the logarithm between `LENGTHS_S`."""
        logs = np.log(LENGTHS_S)
        value = np.log(np.maximum(seconds, 1e-3))
        k = np.clip(np.searchsorted(logs, value) - 1, 0, len(logs) - 2)
        share = np.clip((value - logs[k]) / (logs[k + 1] - logs[k]), 0, 1)[:, None, None]
        beyond = np.exp(np.minimum(0, logs[-1] - value))[:, None, None]  # beyond the longest: errors average out
        return ((1 - share) * self.within[k] + share * self.within[k + 1]) * beyond


def common_drift(embeddings: Embeddings, bird_mean: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return (bins, D), what shifts the embeddings of all birds at once in each `DRIFT_BIN_S` of the video.

    ``bird_mean`` (M, D) is the mean embedding of each segment's bird, ``weight`` (M,) how much the segment counts.
    """
    bin_index = (embeddings.seconds / DRIFT_BIN_S).astype(np.int64)
    bins = int(bin_index.max(initial=0)) + 1
    off = np.zeros((bins, embeddings.x.shape[1]))
    count = np.zeros(bins)
    rest = (embeddings.x - bird_mean[embeddings.segment]) * weight[embeddings.segment][:, None]
    for axis in range(off.shape[1]):
        off[:, axis] = np.bincount(bin_index, rest[:, axis], bins)
    count = np.bincount(bin_index, weight[embeddings.segment], bins)
    width = DRIFT_SMOOTHING_S / DRIFT_BIN_S
    off = gaussian_filter1d(off, width, axis=0, mode="constant")
    count = gaussian_filter1d(count, width, mode="constant")
    return off / np.maximum(count, 1e-6)[:, None]


def remove_drift(embeddings: Embeddings, drift_of_bins: np.ndarray) -> Embeddings:
    """Subtract the drift (bins, D), linear between the middles of the bins."""
    at = np.clip(embeddings.seconds / DRIFT_BIN_S - 0.5, 0, len(drift_of_bins) - 1)
    low = np.minimum(at.astype(np.int64), len(drift_of_bins) - 1)
    high = np.minimum(low + 1, len(drift_of_bins) - 1)
    share = (at - low)[:, None]
    x = embeddings.x - (1 - share) * drift_of_bins[low] - share * drift_of_bins[high]
    return replace(embeddings, x=x)


def mean_embeddings(embeddings: Embeddings) -> MeanEmbeddings:
    """Return the mean of each segment."""
    n = np.diff(embeddings.starts)
    total = np.concatenate([np.zeros((1, embeddings.x.shape[1])), np.cumsum(embeddings.x, axis=0)])
    x = (total[embeddings.starts[1:]] - total[embeddings.starts[:-1]]) / np.maximum(n, 1)[:, None]
    return MeanEmbeddings(x, n * embeddings.step_s)


def fit_appearance(embeddings: Embeddings, mean: MeanEmbeddings) -> AppearanceModel:
    """Fit the model to segments alone, without identities (method of moments, with shrinkage)."""
    d = embeddings.x.shape[1]
    whole = (
        np.atleast_2d(np.cov(embeddings.x[:: max(1, len(embeddings.x) // 50000)].T))
        if len(embeddings.x) > 1
        else np.eye(d)
    )
    whole += MIN_VARIANCE * np.diag(np.maximum(np.diag(whole), MIN_SHARE * np.trace(whole)))
    within, before, pair_gap_s = [], None, pair_gap(embeddings, 2 * d)
    total = np.concatenate([np.zeros((1, d)), np.cumsum(embeddings.x, axis=0)])
    for seconds in LENGTHS_S:
        prior = before if before is not None else 0.5 * np.diag(np.diag(whole))
        pairs = stretch_pairs(embeddings, seconds, pair_gap_s)
        if len(pairs):
            n = pairs[:, 1] - pairs[:, 0]
            first_mean = (total[pairs[:, 1]] - total[pairs[:, 0]]) / n[:, None]
            second_mean = (total[pairs[:, 3]] - total[pairs[:, 2]]) / n[:, None]
            off = first_mean - second_mean
            measured = off.T @ off / 2 * (PAIR_GAP_S / pair_gap_s) ** PAIR_GAP_EXPONENT
            prior = (measured + 2 * d * prior) / (len(pairs) + 2 * d)
        elif before is not None:
            prior = before / 1.6
        before = floor_eigenvalues(prior, 0.2 * MIN_VARIANCE, whole)
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
    between = floor_eigenvalues(spread - noise, MIN_VARIANCE, whole)
    return AppearanceModel(centre, between, model.within)


def pair_gap(embeddings: Embeddings, min_pairs: int) -> float:
    """Return the gap, s, of stretches that are compared: `PAIR_GAP_S`, halved until there are ``min_pairs`` pairs."""
    pair_gap_s = PAIR_GAP_S
    while pair_gap_s > MIN_PAIR_GAP_S and len(stretch_pairs(embeddings, LENGTHS_S[0], pair_gap_s)) < min_pairs:
        pair_gap_s /= 2
    return pair_gap_s


def stretch_pairs(embeddings: Embeddings, seconds: float, pair_gap_s: float) -> np.ndarray:
    """Return (P, 4) int64 rows: begin and end of two stretches of a segment, at least ``pair_gap_s`` between them."""
    n = max(1, round(seconds / embeddings.step_s))
    gap = round(max(pair_gap_s, seconds) / embeddings.step_s)
    pairs = []
    for start, end in zip(embeddings.starts[:-1], embeddings.starts[1:], strict=True):
        step = n + gap
        at = start
        while at + step + n <= end:
            pairs.append((at, at + n, at + step, at + step + n))
            at += 2 * step if seconds >= 4 else step
    return np.array(pairs, np.int64).reshape(-1, 4)


def refit_appearance(
    model: AppearanceModel, mean: MeanEmbeddings, bird: np.ndarray, n_birds: int, sure: np.ndarray
) -> AppearanceModel:
    """Fit the model again to segments whose ``bird`` (M,) is ``sure`` (M,) bool; -1: unassigned."""
    d = mean.x.shape[1]
    known = sure & (bird >= 0) & (mean.seconds > 0)
    if known.sum() < 3 * n_birds:
        return model
    precision = model.precisions(mean.seconds)
    centres, covariances = bird_posteriors(model, mean.x, precision, np.where(known, bird, -1), n_birds)
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
    present = np.unique(bird[known])
    centre_of_all = centres[present].mean(0)
    apart = (centres[present] - centre_of_all).T @ (centres[present] - centre_of_all) + covariances[present].sum(0)
    between = (apart + 2 * np.trace(apart) / len(present) / d * np.eye(d)) / (len(present) + 2)
    return replace(
        model,
        mean=centre_of_all,
        between=floor_eigenvalues(between, MIN_VARIANCE * np.trace(between) / d),
        within=within,
    )


def bird_posteriors(
    model: AppearanceModel, x: np.ndarray, precision: np.ndarray, bird: np.ndarray, n_birds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return posterior mean (N, D) and covariance (N, D, D) of each bird's embedding, given its segments.

    ``x`` (M, D) and ``precision`` (M, D, D) are those of segments, ``bird`` (M,) their birds; -1: unassigned.
    """
    d = x.shape[1]
    prior_precision = np.linalg.inv(model.between)
    total = np.tile(prior_precision, (n_birds, 1, 1))
    weighted_sum = np.tile(prior_precision @ model.mean, (n_birds, 1))
    for k in range(n_birds):
        rows = np.flatnonzero(bird == k)
        total[k] += precision[rows].sum(0)
        weighted_sum[k] += np.einsum("mde,me->d", precision[rows], x[rows])
    covariance = np.linalg.inv(total)
    return np.einsum("nde,ne->nd", covariance, weighted_sum), covariance.reshape(n_birds, d, d)


def log_likelihoods(x: np.ndarray, precision: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return (M, N) float64 log-likelihoods, nats, of segments by bird, up to a constant for each segment."""
    values = np.empty((len(x), len(centres)))
    for k, centre in enumerate(centres):
        off = x - centre
        values[:, k] = -0.5 * np.einsum("md,mde,me->m", off, precision, off, optimize=True)
    return values


def log_likelihood_of_new_bird(model: AppearanceModel, mean: MeanEmbeddings, precision: np.ndarray) -> np.ndarray:
    """Return (M,) log-likelihoods, as `log_likelihoods`, of a bird not seen before: its mean is integrated out."""
    off = mean.x - model.mean
    inner = np.eye(off.shape[1]) + model.between @ precision
    _, log_det = np.linalg.slogdet(inner)
    both = precision @ np.linalg.inv(inner)
    return -0.5 * log_det - 0.5 * np.einsum("md,mde,me->m", off, both, off)


def floor_eigenvalues(matrix: np.ndarray, min_value: float, unit: np.ndarray | None = None) -> np.ndarray:
    """Return the symmetric matrix with eigenvalues of at least ``min_value``, relative to the covariance ``unit``."""
    if unit is not None:
        root = np.linalg.cholesky(unit)
        inner = np.linalg.solve(root, np.linalg.solve(root, matrix).T)
        return root @ floor_eigenvalues(inner, min_value) @ root.T
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.maximum(values, min_value)) @ vectors.T
