"""The search for who is who: sweeps of exact moves over all pairs of birds, at a temperature."""

from dataclasses import dataclass

import numpy as np

from backend.tracking.linking.appearance_model import AppearanceModel, Means, birds, fit_of, fit_of_anybody
from backend.tracking.linking.clusters import BIRD_S, evidence_of, groups_of, one_at_a_time, whitened
from backend.tracking.linking.gibbs_moves import NOBODY, sweep
from backend.tracking.linking.motion_model import Ends, chain_score

WINDOW = 300  # tracklets of two birds that are shared out at once
PINNED_NATS = 1e5  # against what people said
REBIRTH = np.array([1.0, 0.0, 0.0])  # temperatures of a trial


@dataclass(frozen=True)
class Problem:
    """What is known of M tracklets, and the number of birds."""

    ends: Ends
    mean: Means
    model: AppearanceModel | None  # None: motion alone
    nobody: np.ndarray  # (M,) nats against a tracklet being no bird, or none that is told apart
    pins: np.ndarray  # (M,) int64, the bird that people said it is; -1: they said nothing
    n_birds: int

    def precisions(self) -> np.ndarray | None:
        """Return (M, D, D), how exactly each tracklet is known."""
        return None if self.model is None else self.model.precisions(self.mean.seconds)


def search(
    problem: Problem,
    who: np.ndarray,
    temperatures: np.ndarray,
    rng: np.random.Generator,
    only: tuple[int, ...] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Improve ``who`` (M,) by a sweep at each of ``temperatures`` (0: the best way is taken instead of drawn).

    ``only``: moves of these birds alone. Returns the last state (M,) int64, and all of them, (sweeps, M) int16.
    """
    m, n = len(who), problem.n_birds
    who = who.astype(np.int64).copy()
    pairs = np.array([(a, b) for a in range(n) for b in range(-1, a) if not only or a in only or b in only], np.int64)
    precision = problem.precisions()
    anybody = np.zeros(m) if problem.model is None else fit_of_anybody(problem.model, problem.mean, precision)
    states = np.empty((len(temperatures), m), np.int16)
    pinned = np.flatnonzero(problem.pins >= 0)
    for turn, temperature in enumerate(temperatures):
        fit = np.zeros((m, n + 1))
        if problem.model is not None:
            centres, covariances = birds(problem.model, problem.mean.x, precision, who, n)
            if temperature > 0:
                roots = np.linalg.cholesky(covariances * min(temperature, 1.0))
                centres = centres + np.einsum("nde,ne->nd", roots, rng.standard_normal(centres.shape))
            fit[:, :-1] = fit_of(problem.mean.x, precision, centres)
        fit[:, -1] = anybody - problem.nobody
        fit[pinned] -= PINNED_NATS
        fit[pinned, problem.pins[pinned]] += PINNED_NATS
        cold = 1.0 if temperature == 0 else 1.0 / temperature
        order, chance = rng.permutation(pairs), rng.random(m + 1)
        sweep(order, fit, problem.ends, cold, temperature == 0, WINDOW, rng.random(len(order)), chance, who)
        states[turn] = who
    return who, states


def score(problem: Problem, who: np.ndarray) -> float:
    """Return the log posterior of ``who`` up to a constant; what the birds look like is integrated out."""
    total = -float(problem.nobody[who < 0].sum())
    for bird in range(problem.n_birds):
        total += chain_score(problem.ends, np.flatnonzero(who == bird))
    if problem.model is None:
        return total
    model, mean, precision = problem.model, problem.mean, problem.precisions()
    off = mean.x - model.mean
    alone = -0.5 * np.einsum("md,mde,me->m", off, precision, off)
    total += float(fit_of_anybody(model, mean, precision)[who < 0].sum() + alone[who >= 0].sum())
    precisions, pulls = _summed(problem, who)
    return total + sum(evidence_of(precisions[k], pulls[k]) for k in range(problem.n_birds))


def rebirth(problem: Problem, who: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where nobody's tracklets look like one more bird, try to make room for it; return the better ``who``.

    Room is made by joining the two birds that look most alike, or by giving up the one that is seen least.
    """
    if problem.model is None:
        return who
    mean, ends, n = problem.mean, problem.ends, problem.n_birds
    free = np.flatnonzero((who < 0) & (mean.seconds >= 1.0))
    best = score(problem, who)
    for group in groups_of(problem.model, mean, ends, [free[k : k + 1] for k in range(len(free))], 1)[:2]:
        if mean.seconds[group].sum() < BIRD_S:
            break
        size = np.bincount(who[who >= 0], mean.seconds[who >= 0], n)
        for gone, into in [*_alike(problem, who)[:2], (int(np.argmin(size)), NOBODY)]:
            trial = who.copy()
            trial[who == gone] = NOBODY
            if into != NOBODY:
                own = np.flatnonzero((who == into) | (who == gone))
                trial[own] = NOBODY
                trial[own[one_at_a_time(np.arange(len(own)), ends.first[own], ends.last[own] + 1)]] = into
            trial[group[trial[group] < 0]] = gone
            trial, _ = search(problem, trial, REBIRTH, rng, only=(gone, into) if into != NOBODY else (gone,))
            value = score(problem, trial)
            if value > best:
                who, best = trial, value
                break
    return who


def whitened_parts(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return precision (M, D, D) and pull (M, D) of each tracklet, where birds are standard normal."""
    return whitened(problem.model, problem.mean, np.arange(len(problem.nobody))[:, None])


def _summed(problem: Problem, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whitened precision (N, D, D) and pull (N, D) of each bird's tracklets together."""
    total, pull = whitened_parts(problem)
    birds_of = [np.flatnonzero(who == bird) for bird in range(problem.n_birds)]
    return np.stack([total[own].sum(0) for own in birds_of]), np.stack([pull[own].sum(0) for own in birds_of])


def _alike(problem: Problem, who: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of birds, those first that look most like one."""
    total, pull = _summed(problem, who)
    own = [evidence_of(total[k], pull[k]) for k in range(problem.n_birds)]
    pairs = [(a, b) for a in range(problem.n_birds) for b in range(a)]
    gain = [evidence_of(total[a] + total[b], pull[a] + pull[b]) - own[a] - own[b] for a, b in pairs]
    return [pairs[k] for k in np.argsort(-np.array(gain), kind="stable")]
