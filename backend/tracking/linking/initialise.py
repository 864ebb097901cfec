"""A first guess of who is who: tracklets that are there at one moment are shared out among the birds, all at once.

Birds that are seen together are different ones, so the tracklets of one moment are given to birds one to one, so that
the evidence (what birds look like integrated out) is greatest. This begins at a moment when many long tracklets are
there, goes on with all others, and is repeated until nothing changes. From several such beginnings the best is taken.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.project.kernels import kernel
from backend.tracking.linking.appearance_model import AppearanceModel, Means
from backend.tracking.linking.clusters import evidence_of, whitened
from backend.tracking.linking.gibbs_moves import NOBODY
from backend.tracking.linking.motion_model import Ends

LEAST_S, MOST = 1.0, 1200  # tracklets that are looked at: at least this long, at most this many
STARTS, APART_S, PASSES = 8, 10.0, 8  # beginnings, at least so far from each other; repetitions
MEET_FRAMES, MEET_SHARE = 12, 0.05  # two tracklets of one bird overlap by no more than the larger of both
PRESENT = 1e5  # one more tracklet at a moment counts for more than how long they are
SETTLED = 0.5  # nats


@dataclass(frozen=True)
class Units:
    """Tracklets that are shared out as wholes; K of them, with D numbers that describe a look."""

    total: np.ndarray  # (K, D, D) whitened precision
    pull: np.ndarray  # (K, D)
    alone: np.ndarray  # (K,) evidence of each as a bird of its own, nats
    seconds: np.ndarray  # (K,)
    together: list[np.ndarray]  # those that are there in the middle of each one
    middle_s: np.ndarray  # (K,)
    clash: np.ndarray  # (K, K) bool: cannot be one bird
    pinned: np.ndarray  # (K,) int64, the bird that people said it is; -1: they said nothing


def first_guess(
    model: AppearanceModel, mean: Means, ends: Ends, parent: np.ndarray, pins: np.ndarray, n_birds: int
) -> np.ndarray:
    """Return the bird of each part (M,), -1 for those of short tracklets.

    ``parent`` (M,) are the tracklets that the parts were cut from, ``pins`` (M,) birds that people named, or -1.
    """
    who = np.full(len(parent), NOBODY)
    seconds = np.bincount(parent, mean.seconds)
    chosen = np.flatnonzero(seconds >= LEAST_S)
    if len(chosen) < 3 * n_birds:
        chosen = np.flatnonzero(seconds > 0)
    chosen = chosen[np.argsort(-seconds[chosen], kind="stable")][:MOST]
    if len(chosen):
        order = np.argsort(parent, kind="stable")
        bounds = np.searchsorted(parent[order], [chosen, chosen + 1])
        parts = [order[a:b] for a, b in bounds.T]
        units = _units(model, mean, ends, parts, pins, seconds[chosen])
        longest = np.argsort(-units.seconds, kind="stable")
        trials = [_settle(units, units.pinned, np.append(k, longest), n_birds) for k in _beginnings(units)]
        _, label = max(trials, key=lambda trial: trial[0])
        for own, bird in zip(parts, label, strict=True):
            who[own] = bird
    who[pins >= 0] = pins[pins >= 0]
    return who


def _units(
    model: AppearanceModel, mean: Means, ends: Ends, parts: list[np.ndarray], pins: np.ndarray, seconds: np.ndarray
) -> Units:
    total, pull = whitened(model, mean, parts)
    first = np.array([ends.first[own].min() for own in parts])
    last = np.array([ends.last[own].max() + 1 for own in parts])
    common = np.minimum(last[:, None], last) - np.maximum(first[:, None], first)
    shorter = np.minimum((last - first)[:, None], last - first)
    clash = common > np.maximum(MEET_FRAMES, MEET_SHARE * shorter)
    np.fill_diagonal(clash, False)
    middle = (first + last) // 2
    return Units(
        total,
        pull,
        np.array([evidence_of(total[k], pull[k]) for k in range(len(parts))]),
        seconds,
        [np.flatnonzero((first <= at) & (last > at)) for at in middle],
        np.array([(ends.begin_s[own].min() + ends.end_s[own].max()) / 2 for own in parts]),
        clash,
        np.array([max(pins[own].max(), NOBODY) for own in parts]),
    )


def _beginnings(units: Units) -> list[int]:
    """Return tracklets in whose middle many long ones are there, the best first."""
    worth = [len(there) * PRESENT + units.seconds[there].sum() for there in units.together]
    found: list[int] = []
    for k in np.argsort(-np.array(worth), kind="stable").tolist():
        if all(abs(units.middle_s[k] - units.middle_s[j]) > APART_S for j in found):
            found.append(k)
        if len(found) == STARTS:
            break
    return found


def _settle(units: Units, label: np.ndarray, first: np.ndarray, n_birds: int) -> tuple[float, np.ndarray]:
    """Share tracklets out until nothing changes, ``label`` (K,) to begin with, at first in the order ``first``.

    Returns evidence, nats, and the bird of each tracklet, (K,) int64, -1: none was left for it.
    """
    rng = np.random.default_rng(len(first))
    label = label.copy()
    total = np.stack([units.total[label == bird].sum(0) for bird in range(n_birds)])
    pull = np.stack([units.pull[label == bird].sum(0) for bird in range(n_birds)])
    evidence = np.array([evidence_of(total[k], pull[k]) for k in range(n_birds)])

    def put(unit: int, bird: int, sign: int) -> None:
        label[unit] = bird if sign > 0 else NOBODY
        total[bird] += sign * units.total[unit]
        pull[bird] += sign * units.pull[unit]
        evidence[bird] = evidence_of(total[bird], pull[bird])

    now, before = 0.0, -np.inf
    for turn in range(PASSES):
        waiting = units.pinned < 0
        for unit in (rng.permutation(len(label)) if turn else first).tolist():
            if not waiting[unit]:
                continue
            there = np.union1d(units.together[unit], unit)
            there = there[waiting[there]] if turn == 0 else there[units.pinned[there] < 0]
            waiting[there] = False
            for each in there[label[there] >= 0].tolist():
                put(each, label[each], -1)
            free = np.ones((len(there), n_birds), np.bool_)
            for row, each in enumerate(there.tolist()):
                rivals = label[units.clash[each]]
                free[row, rivals[rivals >= 0]] = False
            gain = _gains(units.total, units.pull, units.alone, total, pull, evidence, there, free)
            worth = np.where(free, gain + PRESENT, 0.0)  # any bird rather than none
            for row, bird in zip(*linear_sum_assignment(-worth), strict=True):
                if free[row, bird]:
                    put(there[row], bird, 1)
        now = float(evidence.sum() + units.alone[label < 0].sum())
        if abs(now - before) < SETTLED:
            break
        before = now
    return now, label


@kernel
def _gains(totals, pulls, alone, total, pull, evidence, there, free):
    """Return (n, birds), nats, by which a bird that is joined by a tracklet is more likely than both apart."""
    gain = np.zeros(free.shape)
    for row in range(len(there)):
        unit = there[row]
        for bird in range(len(evidence)):
            if free[row, bird]:
                both = evidence_of(total[bird] + totals[unit], pull[bird] + pulls[unit])
                gain[row, bird] = both - evidence[bird] - alone[unit]
    return gain
