"""Gibbs sampling of identities: sweeps over all pairs of birds at a temperature, the posterior, and a birth move.

The posterior of an assignment of segments to birds is the product of the evidence of each bird's embeddings
(`appearance_model`, mean embedding integrated out), the links along its segments (`link_cost`) and the cost of
unassigned segments. A sweep draws each bird's mean embedding given its segments, then reassigns the segments of two
birds at a time exactly (`gibbs_moves`). Temperature 0 maximises instead of sampling.
"""

from dataclasses import dataclass

import numpy as np

from backend.tracking.linking.appearance_model import (
    AppearanceModel,
    MeanEmbeddings,
    bird_posteriors,
    log_likelihood_of_new_bird,
    log_likelihoods,
)
from backend.tracking.linking.clusters import MIN_BIRD_S, group_by_appearance, log_evidence, whitened, without_overlap
from backend.tracking.linking.gibbs_moves import UNASSIGNED, gibbs_sweep
from backend.tracking.linking.link_cost import Endpoints, chain_score

WINDOW = 300  # segments of two birds that are reassigned at once
LABEL_NATS = 1e5  # against another bird than the reviewer's label
TRIAL_TEMPERATURES = np.array([1.0, 0.0, 0.0])  # of the sweeps of a trial move
BIRTH_TRIALS, BIRTH_MIN_S = 2, 1.0  # of a birth move: groups and pairs of birds tried; least length of segments


@dataclass(frozen=True)
class LinkingProblem:
    """The data about M segments, and the number of birds."""

    endpoints: Endpoints
    mean: MeanEmbeddings
    model: AppearanceModel | None  # None: motion alone
    unassigned_cost: np.ndarray  # (M,) nats
    labels: np.ndarray  # (M,) int64, the bird that a reviewer gave; -1: free
    n_birds: int

    def precisions(self) -> np.ndarray | None:
        """Return the precision of each segment's mean embedding, (M, D, D)."""
        return None if self.model is None else self.model.precisions(self.mean.seconds)


def run_sweeps(
    problem: LinkingProblem,
    ids: np.ndarray,
    temperatures: np.ndarray,
    rng: np.random.Generator,
    only: tuple[int, ...] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Reassign ``ids`` (M,) in one Gibbs sweep at each of ``temperatures``; 0: take the maximum instead of sampling.

    ``only``: moves of these birds alone. Returns the last state, (M,) int64, and all states, (sweeps, M) int16.
    """
    m, n = len(ids), problem.n_birds
    ids = ids.astype(np.int64).copy()
    pairs = np.array([(a, b) for a in range(n) for b in range(-1, a) if not only or a in only or b in only], np.int64)
    precision = problem.precisions()
    new_bird = np.zeros(m)
    if problem.model is not None:
        new_bird = log_likelihood_of_new_bird(problem.model, problem.mean, precision)
    states = np.empty((len(temperatures), m), np.int16)
    labelled = np.flatnonzero(problem.labels >= 0)
    for turn, temperature in enumerate(temperatures):
        loglik = np.zeros((m, n + 1))
        if problem.model is not None:
            centres, covariances = bird_posteriors(problem.model, problem.mean.x, precision, ids, n)
            if temperature > 0:
                roots = np.linalg.cholesky(covariances * min(temperature, 1.0))
                centres = centres + np.einsum("nde,ne->nd", roots, rng.standard_normal(centres.shape))
            loglik[:, :-1] = log_likelihoods(problem.mean.x, precision, centres)
        loglik[:, -1] = new_bird - problem.unassigned_cost
        loglik[labelled] -= LABEL_NATS
        loglik[labelled, problem.labels[labelled]] += LABEL_NATS
        beta = 1.0 if temperature == 0 else 1.0 / temperature
        order, uniforms = rng.permutation(pairs), rng.random(m + 1)
        offsets = rng.random(len(order))
        gibbs_sweep(order, loglik, problem.endpoints, beta, temperature == 0, WINDOW, offsets, uniforms, ids)
        states[turn] = ids
    return ids, states


def log_posterior(problem: LinkingProblem, ids: np.ndarray) -> float:
    """Return the log posterior, nats, of ``ids`` (M,) up to a constant; mean embeddings are integrated out."""
    total = -float(problem.unassigned_cost[ids < 0].sum())
    for bird in range(problem.n_birds):
        total += chain_score(problem.endpoints, np.flatnonzero(ids == bird))
    if problem.model is None:
        return total
    model, mean, precision = problem.model, problem.mean, problem.precisions()
    off = mean.x - model.mean
    alone = -0.5 * np.einsum("md,mde,me->m", off, precision, off)
    total += float(log_likelihood_of_new_bird(model, mean, precision)[ids < 0].sum() + alone[ids >= 0].sum())
    precisions, weighted_sums = _summed(problem, ids)
    return total + sum(log_evidence(precisions[k], weighted_sums[k]) for k in range(problem.n_birds))


def birth_move(problem: LinkingProblem, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give an identity to unassigned segments that look like one more bird, where that raises the posterior.

    The number of birds stays: the two birds most alike are merged, or the one seen least is given up. Returns the
    better of the old and new ids, (M,).
    """
    if problem.model is None:
        return ids
    mean, endpoints, n = problem.mean, problem.endpoints, problem.n_birds
    free = np.flatnonzero((ids < 0) & (mean.seconds >= BIRTH_MIN_S))
    best = log_posterior(problem, ids)
    units = [free[k : k + 1] for k in range(len(free))]
    for group in group_by_appearance(problem.model, mean, endpoints, units, 1)[:BIRTH_TRIALS]:
        if mean.seconds[group].sum() < MIN_BIRD_S:
            break
        size = np.bincount(ids[ids >= 0], mean.seconds[ids >= 0], n)
        for gone, into in [*_most_alike(problem, ids)[:BIRTH_TRIALS], (int(np.argmin(size)), UNASSIGNED)]:
            trial = ids.copy()
            trial[ids == gone] = UNASSIGNED
            if into != UNASSIGNED:
                own = np.flatnonzero((ids == into) | (ids == gone))
                trial[own] = UNASSIGNED
                trial[own[without_overlap(np.arange(len(own)), endpoints.first[own], endpoints.last[own] + 1)]] = into
            trial[group[trial[group] < 0]] = gone
            only = (gone, into) if into != UNASSIGNED else (gone,)
            trial, _ = run_sweeps(problem, trial, TRIAL_TEMPERATURES, rng, only=only)
            value = log_posterior(problem, trial)
            if value > best:
                ids, best = trial, value
                break
    return ids


def whitened_segments(problem: LinkingProblem) -> tuple[np.ndarray, np.ndarray]:
    """Return the natural parameters of each segment as of `whitened`: (M, D, D) and (M, D)."""
    return whitened(problem.model, problem.mean, np.arange(len(problem.unassigned_cost))[:, None])


def _summed(problem: LinkingProblem, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the natural parameters of each bird's segments together: (N, D, D) and (N, D)."""
    total, weighted_sum = whitened_segments(problem)
    segments_of = [np.flatnonzero(ids == bird) for bird in range(problem.n_birds)]
    return np.stack([total[own].sum(0) for own in segments_of]), np.stack(
        [weighted_sum[own].sum(0) for own in segments_of]
    )


def _most_alike(problem: LinkingProblem, ids: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of birds, those first for which the log Bayes factor of being one bird is largest."""
    total, weighted_sum = _summed(problem, ids)
    own = [log_evidence(total[k], weighted_sum[k]) for k in range(problem.n_birds)]
    pairs = [(a, b) for a in range(problem.n_birds) for b in range(a)]
    gain = [log_evidence(total[a] + total[b], weighted_sum[a] + weighted_sum[b]) - own[a] - own[b] for a, b in pairs]
    return [pairs[k] for k in np.argsort(-np.array(gain), kind="stable")]
