"""Agglomerative clustering of segments by appearance, where they do not overlap in time.

The gain of joining two clusters is the log Bayes factor that they show one animal rather than two, with the animal's
mean embedding integrated out (two-covariance model, `appearance_model`).
"""

from collections.abc import Sequence

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.linking.appearance_model import AppearanceModel, MeanEmbeddings
from backend.tracking.linking.link_cost import Endpoints

MAX_OVERLAP = 0.05  # share of the shorter of two groups of one bird in which both may be seen
MIN_BIRD_S = 5.0  # segments that last less, in all, make no bird of their own


def group_by_appearance(
    model: AppearanceModel, mean: MeanEmbeddings, endpoints: Endpoints, units: Sequence[np.ndarray], min_groups: int
) -> list[np.ndarray]:
    """Return groups of segments that look like one bird, the longest group first.

    Each of ``units`` is an array of segments that stay together; joining stops at ``min_groups`` groups.
    """
    if not len(units):
        return []
    total, weighted_sum = whitened(model, mean, units)
    first = np.array([endpoints.first[unit].min() for unit in units])
    last = np.array([endpoints.last[unit].max() + 1 for unit in units])
    common = np.minimum(last[:, None], last[None]) - np.maximum(first[:, None], first[None])
    size = (last - first).astype(np.float64)
    label = agglomerate(
        total,
        weighted_sum,
        np.maximum(common, 0).astype(np.float64),
        size.copy(),
        MAX_OVERLAP,
        min_groups,
        0.0,
    )
    groups = [np.flatnonzero(label == name) for name in np.unique(label)]
    groups.sort(key=lambda group: -size[group].sum())
    return [np.concatenate([units[k] for k in without_overlap(group, first, last)]) for group in groups]


def without_overlap(group: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the members of ``group`` that do not overlap, longer ones first served; ``last`` (K,) is not included."""
    kept: list[int] = []
    for k in group[np.argsort(first[group] - last[group], kind="stable")]:
        if all(last[k] <= first[j] or last[j] <= first[k] for j in kept):
            kept.append(int(k))
    return np.array(sorted(kept), np.int64)


def whitened(
    model: AppearanceModel, mean: MeanEmbeddings, units: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the natural parameters of each unit, in coordinates in which birds are standard normal.

    They are the summed precision (K, D, D) of its segments, and the sum of their precision times embedding (K, D).
    """
    root = np.linalg.cholesky(model.between)
    segments = np.concatenate(units)
    precision = root.T @ model.precisions(mean.seconds[segments]) @ root
    white = np.linalg.solve(root, (mean.x[segments] - model.mean).T).T
    weighted_sum = np.einsum("mde,me->md", precision, white)
    starts = np.concatenate([[0], np.cumsum([len(unit) for unit in units])[:-1]]).astype(np.int64)
    return np.add.reduceat(precision, starts), np.add.reduceat(weighted_sum, starts)


@kernel
def log_evidence(total, weighted_sum):
    """Return the log evidence, nats, of a cluster with natural parameters as of `whitened`, relative to no data.

    The prior of a bird is standard normal: ``-1/2 log det(I + total) + 1/2 b' (I + total)^-1 b``, where b is the
    weighted sum; by Cholesky decomposition.
    """
    d = len(weighted_sum)
    lower = np.zeros((d, d))
    half = np.zeros(d)
    value = 0.0
    for i in range(d):
        for j in range(i + 1):
            entry = total[i, j] + (1.0 if i == j else 0.0)
            for k in range(j):
                entry -= lower[i, k] * lower[j, k]
            lower[i, j] = np.sqrt(max(entry, 1e-12)) if i == j else entry / lower[j, j]
        entry = weighted_sum[i]
        for k in range(i):
            entry -= lower[i, k] * half[k]
        half[i] = entry / lower[i, i]
        value += 0.5 * half[i] * half[i] - np.log(lower[i, i])
    return value


@kernel
def update_gains(gain, a, end, total, weighted_sum, evidence, common, size, tolerance, alive):
    """Write what joining cluster ``a`` with each of the first ``end`` gains, nats; -inf where they overlap."""
    for j in range(end):
        gain[a, j] = gain[j, a] = -np.inf
        if alive[j] and j != a and common[a, j] <= tolerance * min(size[a], size[j]):
            gain[a, j] = gain[j, a] = (
                log_evidence(total[a] + total[j], weighted_sum[a] + weighted_sum[j]) - evidence[a] - evidence[j]
            )


@kernel
def agglomerate(total, weighted_sum, common, size, tolerance, min_clusters, min_gain):
    """Join clusters greedily, the pair with the largest gain first.

    Parameters
    ----------
    total, weighted_sum
        (K, D, D) and (K, D) float64, as of `whitened`; overwritten.
    common, size
        (K, K) and (K,) float64: frames that two clusters share, and frames of each; overwritten.
    tolerance
        Share of the smaller cluster's frames that two clusters of one bird may share: some tracklets are wrong.
    min_clusters
        Stop at this number of clusters.
    min_gain
        Stop when the best pair gains less, nats.

    Returns
    -------
    (K,) int64
        Cluster of each, named after one of its members.
    """
    n = len(weighted_sum)
    label = np.arange(n)
    alive = np.ones(n, np.bool_)
    evidence = np.empty(n)
    for i in range(n):
        evidence[i] = log_evidence(total[i], weighted_sum[i])
    gain = np.full((n, n), -np.inf)
    best = np.full(n, -1)
    for i in range(n):
        update_gains(gain, i, i, total, weighted_sum, evidence, common, size, tolerance, alive)
    for i in range(n):
        best[i] = np.argmax(gain[i])
    left = n
    while left > min_clusters:
        a, top = -1, min_gain
        for i in range(n):
            if alive[i] and gain[i, best[i]] > top:
                a, top = i, gain[i, best[i]]
        if a < 0:
            break
        b = best[a]
        total[a] += total[b]
        weighted_sum[a] += weighted_sum[b]
        size[a] += size[b]
        evidence[a] = log_evidence(total[a], weighted_sum[a])
        alive[b] = False
        label[label == b] = a
        gain[b] = -np.inf
        gain[:, b] = -np.inf
        common[a] += common[b]
        common[:, a] = common[a]
        update_gains(gain, a, n, total, weighted_sum, evidence, common, size, tolerance, alive)
        for j in range(n):
            if alive[j] and (j == a or best[j] == a or best[j] == b):
                best[j] = np.argmax(gain[j])
            elif alive[j] and gain[j, a] > gain[j, best[j]]:
                best[j] = a
        left -= 1
    return label
