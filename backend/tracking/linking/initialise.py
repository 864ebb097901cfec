"""Initial identities: the tracklets of one moment are assigned to birds one to one, by appearance.

Animals seen at the same time are different ones (cannot-link), so the tracklets of a moment are matched with birds by
the Hungarian method, such that the log evidence (mean embeddings integrated out) is largest. This starts at a moment
with many long tracklets, goes on with all others, and is repeated until it converges. The best of several starts is
used.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.project.kernels import kernel
from backend.tracking.linking.appearance_model import AppearanceModel, MeanEmbeddings
from backend.tracking.linking.clusters import log_evidence, whitened
from backend.tracking.linking.gibbs_moves import UNASSIGNED
from backend.tracking.linking.link_cost import Endpoints

MIN_S, MAX_TRACKLETS = 1.0, 1200  # tracklets that are used: at least this long, at most this many
STARTS, START_GAP_S, PASSES = 8, 10.0, 8  # starting moments, at least so far apart; passes over all tracklets
MAX_OVERLAP_FRAMES, MAX_OVERLAP = 12, 0.05  # two tracklets of one bird overlap by no more than the larger of both
ASSIGNED_NATS = 1e5  # for an assigned tracklet rather than an unassigned one: more than any evidence
CONVERGED_NATS = 0.5


@dataclass(frozen=True)
class Units:
    """Tracklets that are assigned as wholes; K of them, with embeddings of D dimensions."""

    total: np.ndarray  # (K, D, D) whitened precision
    weighted_sum: np.ndarray  # (K, D)
    own_evidence: np.ndarray  # (K,) log evidence of each as a bird of its own, nats
    seconds: np.ndarray  # (K,)
    simultaneous: list[np.ndarray]  # (K,) units present in the middle of each
    middle_s: np.ndarray  # (K,)
    cannot_link: np.ndarray  # (K, K) bool: they overlap, so they are two birds
    labels: np.ndarray  # (K,) int64, the bird that reviewers gave it; -1: free


def initialise(
    model: AppearanceModel,
    mean: MeanEmbeddings,
    endpoints: Endpoints,
    parent: np.ndarray,
    labels: np.ndarray,
    n_birds: int,
) -> np.ndarray:
    """Return the bird of each segment, (M,) int64, -1 for those of short tracklets.

    ``parent`` (M,) are the tracklets that segments were split from, ``labels`` (M,) the birds that reviewers gave; -1:
    free.
    """
    ids = np.full(len(parent), UNASSIGNED)
    seconds = np.bincount(parent, mean.seconds)
    chosen = np.flatnonzero(seconds >= MIN_S)
    if len(chosen) < 3 * n_birds:
        chosen = np.flatnonzero(seconds > 0)
    chosen = chosen[np.argsort(-seconds[chosen], kind="stable")][:MAX_TRACKLETS]
    if len(chosen):
        order = np.argsort(parent, kind="stable")
        bounds = np.searchsorted(parent[order], [chosen, chosen + 1])
        units_segments = [order[a:b] for a, b in bounds.T]
        units = _units(model, mean, endpoints, units_segments, labels, seconds[chosen])
        longest = np.argsort(-units.seconds, kind="stable")
        trials = [_converge(units, units.labels, np.append(k, longest), n_birds) for k in _starts(units)]
        _, bird_of_unit = max(trials, key=lambda trial: trial[0])
        for own, bird in zip(units_segments, bird_of_unit, strict=True):
            ids[own] = bird
    ids[labels >= 0] = labels[labels >= 0]
    return ids


def _units(
    model: AppearanceModel,
    mean: MeanEmbeddings,
    endpoints: Endpoints,
    segments: list[np.ndarray],
    labels: np.ndarray,
    seconds: np.ndarray,
) -> Units:
    total, weighted_sum = whitened(model, mean, segments)
    first = np.array([endpoints.first[own].min() for own in segments])
    last = np.array([endpoints.last[own].max() + 1 for own in segments])
    common = np.minimum(last[:, None], last) - np.maximum(first[:, None], first)
    shorter = np.minimum((last - first)[:, None], last - first)
    cannot_link = common > np.maximum(MAX_OVERLAP_FRAMES, MAX_OVERLAP * shorter)
    np.fill_diagonal(cannot_link, False)
    middle = (first + last) // 2
    return Units(
        total,
        weighted_sum,
        np.array([log_evidence(total[k], weighted_sum[k]) for k in range(len(segments))]),
        seconds,
        [np.flatnonzero((first <= at) & (last > at)) for at in middle],
        np.array([(endpoints.begin_s[own].min() + endpoints.end_s[own].max()) / 2 for own in segments]),
        cannot_link,
        np.array([max(labels[own].max(), UNASSIGNED) for own in segments]),
    )


def _starts(units: Units) -> list[int]:
    """Return units in the middle of which many long ones are present, the best first."""
    weight = [len(present) * ASSIGNED_NATS + units.seconds[present].sum() for present in units.simultaneous]
    starts: list[int] = []
    for k in np.argsort(-np.array(weight), kind="stable").tolist():
        if all(abs(units.middle_s[k] - units.middle_s[j]) > START_GAP_S for j in starts):
            starts.append(k)
        if len(starts) == STARTS:
            break
    return starts


def _converge(units: Units, labels: np.ndarray, first: np.ndarray, n_birds: int) -> tuple[float, np.ndarray]:
    """Assign units to birds until nothing changes; ``labels`` (K,) are the first ones, ``first`` (K,) the first order.

    Returns log evidence, nats, and the bird of each unit, (K,) int64; -1: unassigned.
    """
    rng = np.random.default_rng(len(first))
    labels = labels.copy()
    total = np.stack([units.total[labels == bird].sum(0) for bird in range(n_birds)])
    weighted_sum = np.stack([units.weighted_sum[labels == bird].sum(0) for bird in range(n_birds)])
    evidence = np.array([log_evidence(total[k], weighted_sum[k]) for k in range(n_birds)])

    def update(unit: int, bird: int, sign: int) -> None:
        labels[unit] = bird if sign > 0 else UNASSIGNED
        total[bird] += sign * units.total[unit]
        weighted_sum[bird] += sign * units.weighted_sum[unit]
        evidence[bird] = log_evidence(total[bird], weighted_sum[bird])

    now, before = 0.0, -np.inf
    for turn in range(PASSES):
        waiting = units.labels < 0
        for unit in (rng.permutation(len(labels)) if turn else first).tolist():
            if not waiting[unit]:
                continue
            present = np.union1d(units.simultaneous[unit], unit)
            present = present[waiting[present]] if turn == 0 else present[units.labels[present] < 0]
            waiting[present] = False
            for other in present[labels[present] >= 0].tolist():
                update(other, labels[other], -1)
            free = np.ones((len(present), n_birds), np.bool_)
            for row, other in enumerate(present.tolist()):
                rivals = labels[units.cannot_link[other]]
                free[row, rivals[rivals >= 0]] = False
            gain = _log_bayes_factors(
                units.total, units.weighted_sum, units.own_evidence, total, weighted_sum, evidence, present, free
            )
            weight = np.where(free, gain + ASSIGNED_NATS, 0.0)  # any bird rather than none
            for row, bird in zip(*linear_sum_assignment(-weight), strict=True):
                if free[row, bird]:
                    update(present[row], bird, 1)
        now = float(evidence.sum() + units.own_evidence[labels < 0].sum())
        if abs(now - before) < CONVERGED_NATS:
            break
        before = now
    return now, labels


@kernel
def _log_bayes_factors(totals, weighted_sums, own_evidence, total, weighted_sum, evidence, present, free):
    """Return (n, birds), nats: that a bird and a unit are one animal rather than two."""
    gain = np.zeros(free.shape)
    for row in range(len(present)):
        unit = present[row]
        for bird in range(len(evidence)):
            if free[row, bird]:
                joint = log_evidence(total[bird] + totals[unit], weighted_sum[bird] + weighted_sums[unit])
                gain[row, bird] = joint - evidence[bird] - own_evidence[unit]
    return gain
