"""Tracklets put together by appearance where they never meet in time."""

from collections.abc import Sequence

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.linking.appearance_model import AppearanceModel, Means
from backend.tracking.linking.motion_model import Ends

TOLERANCE = 0.05  # share of the frames of two groups of one bird that may be the same
BIRD_S = 5.0  # what was seen for less time makes no bird of its own


def groups_of(
    model: AppearanceModel, mean: Means, ends: Ends, units: Sequence[np.ndarray], least: int
) -> list[np.ndarray]:
    """Return groups of tracklets (each unit an array of parts) that look like one bird, those seen longest first."""
    if not len(units):
        return []
    total, pull = whitened(model, mean, units)
    first = np.array([ends.first[unit].min() for unit in units])
    last = np.array([ends.last[unit].max() + 1 for unit in units])
    common = np.minimum(last[:, None], last[None]) - np.maximum(first[:, None], first[None])
    size = (last - first).astype(np.float64)
    label = agglomerate(
        total,
        pull,
        np.maximum(common, 0).astype(np.float64),
        size.copy(),
        TOLERANCE,
        least,
        0.0,
    )
    groups = [np.flatnonzero(label == each) for each in np.unique(label)]
    groups.sort(key=lambda group: -size[group].sum())
    return [np.concatenate([units[k] for k in one_at_a_time(group, first, last)]) for group in groups]


def one_at_a_time(group: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return those of a group that do not overlap (``last`` is not included), longer ones before shorter ones."""
    kept: list[int] = []
    for k in group[np.argsort(first[group] - last[group], kind="stable")]:
        if all(last[k] <= first[j] or last[j] <= first[k] for j in kept):
            kept.append(int(k))
    return np.array(sorted(kept), np.int64)


def whitened(model: AppearanceModel, mean: Means, units: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return summed precision (K, D, D) and pull (K, D) of each unit, where birds are standard normal."""
    root = np.linalg.cholesky(model.between)
    every = np.concatenate(units)
    precision = root.T @ model.precisions(mean.seconds[every]) @ root
    white = np.linalg.solve(root, (mean.x[every] - model.mean).T).T
    pull = np.einsum("mde,me->md", precision, white)
    starts = np.concatenate([[0], np.cumsum([len(unit) for unit in units])[:-1]]).astype(np.int64)
    return np.add.reduceat(precision, starts), np.add.reduceat(pull, starts)


@kernel
def evidence_of(total, pull):
    """Return the log evidence of a cluster with whitened summed precision and pull, relative to no data.

    The prior of a bird is standard normal: ``-1/2 log det(I + total) + 1/2 pull' (I + total)^-1 pull``.
    """
    d = len(pull)
    lower = np.zeros((d, d))
    half = np.zeros(d)
    value = 0.0
    for i in range(d):
        for j in range(i + 1):
            entry = total[i, j] + (1.0 if i == j else 0.0)
            for k in range(j):
                entry -= lower[i, k] * lower[j, k]
            lower[i, j] = np.sqrt(max(entry, 1e-12)) if i == j else entry / lower[j, j]
        entry = pull[i]
        for k in range(i):
            entry -= lower[i, k] * half[k]
        half[i] = entry / lower[i, i]
        value += 0.5 * half[i] * half[i] - np.log(lower[i, i])
    return value


@kernel
def measure_gains(gain, a, end, total, pull, own, common, size, tolerance, alive):
    """Fill in what joining cluster a with each of the first ``end`` would gain, nats."""
    for j in range(end):
        gain[a, j] = gain[j, a] = -np.inf
        if alive[j] and j != a and common[a, j] <= tolerance * min(size[a], size[j]):
            gain[a, j] = gain[j, a] = evidence_of(total[a] + total[j], pull[a] + pull[j]) - own[a] - own[j]


@kernel
def agglomerate(total, pull, common, size, tolerance, least_clusters, worst):
    """Join clusters, the best pair first.

    Parameters
    ----------
    total, pull
        (K, D, D) and (K, D) float64: whitened precisions, and precisions times what was seen; used up.
    common, size
        (K, K) and (K,) float64: frames that two have in common, and frames of each; used up.
    tolerance
        Share of the smaller one's frames that two of one bird may have in common: now and then a tracklet is wrong.
    least_clusters
        Stop when there are no more than these.
    worst
        Stop when the best pair gains less, nats.

    Returns
    -------
    (K,) int64
        Cluster of each, by the number of one of its members.
    """
    n = len(pull)
    label = np.arange(n)
    alive = np.ones(n, np.bool_)
    own = np.empty(n)
    for i in range(n):
        own[i] = evidence_of(total[i], pull[i])
    gain = np.full((n, n), -np.inf)
    best = np.full(n, -1)
    for i in range(n):
        measure_gains(gain, i, i, total, pull, own, common, size, tolerance, alive)
    for i in range(n):
        best[i] = np.argmax(gain[i])
    left = n
    while left > least_clusters:
        a, top = -1, worst
        for i in range(n):
            if alive[i] and gain[i, best[i]] > top:
                a, top = i, gain[i, best[i]]
        if a < 0:
            break
        b = best[a]
        total[a] += total[b]
        pull[a] += pull[b]
        size[a] += size[b]
        own[a] = evidence_of(total[a], pull[a])
        alive[b] = False
        label[label == b] = a
        gain[b] = -np.inf
        gain[:, b] = -np.inf
        common[a] += common[b]
        common[:, a] = common[a]
        measure_gains(gain, a, n, total, pull, own, common, size, tolerance, alive)
        for j in range(n):
            if alive[j] and (j == a or best[j] == a or best[j] == b):
                best[j] = np.argmax(gain[j])
            elif alive[j] and gain[j, a] > gain[j, best[j]]:
                best[j] = a
        left -= 1
    return label
