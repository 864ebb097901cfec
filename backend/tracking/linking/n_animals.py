"""The number of animals: how many are seen at once, and, with embeddings, how many explain the video best.

Estimate the number of animals: add or merge identities while the posterior increases. Each animal costs `BIRD_NATS`.
Its mean embedding is integrated out, so an animal that nothing tells from another one does not pay for itself (model
evidence; MacKay 2003, Information Theory, Inference, and Learning Algorithms, chapter 28).
"""

from dataclasses import replace

import numpy as np

from backend.tracking.linking.clusters import agglomerate, group_by_appearance, log_evidence
from backend.tracking.linking.entry_exit import EntryExit
from backend.tracking.linking.initialise import initialise
from backend.tracking.linking.link_cost import chain_score
from backend.tracking.linking.linking_input import LinkingInput
from backend.tracking.linking.search import (
    TRIAL_TEMPERATURES,
    LinkingProblem,
    log_posterior,
    run_sweeps,
    whitened_segments,
)
from backend.tracking.linking.segments import SHORT_S

BIRD_NATS = 6.0  # cost of an animal: as much as of an unassigned segment
NO_ENTRY_NATS = 6.0  # of an animal that appears where it cannot enter, and of one that vanishes where it cannot leave
MAX_TRIALS = 4  # best splits, and best pairs, that are tried
MAX_SEGMENTS = 200  # longest segments of an animal, or unassigned ones, by which a split is found
SIMULTANEOUS_SHARE = 0.002  # share of the time: more animals at once than are seen for so long are an error


def max_simultaneous(inputs: LinkingInput) -> int:
    """Return how many animals there are at least: the most that are seen at once, but for `SIMULTANEOUS_SHARE`."""
    change = np.zeros(len(inputs.frames) + 1)
    long = inputs.segments.n * inputs.frame_s >= SHORT_S
    np.add.at(change, inputs.segments.first[long], 1)
    np.add.at(change, inputs.segments.last[long] + 1, -1)
    return max(1, int(np.quantile(np.cumsum(change[:-1]), 1 - SIMULTANEOUS_SHARE, method="lower")))


def estimate_n_birds(
    problem: LinkingProblem,
    parent: np.ndarray,
    entry_exit: EntryExit,
    rng: np.random.Generator,
    temperatures: np.ndarray,
    max_birds: int,
) -> int:
    """Return the estimated number of birds, at least ``problem.n_birds`` with a segment and at most ``max_birds``.

    The appearance model is not fitted again before there are enough birds: two that were taken for one would teach it
    that birds vary that much. ``parent`` (M,) is as for `initialise`.
    """
    ids = initialise(problem.model, problem.mean, problem.endpoints, parent, problem.labels, problem.n_birds)
    ids, _ = run_sweeps(problem, ids, temperatures, rng)
    _, ids = add_birds(problem, ids, entry_exit, rng, max_birds)
    return max(1, int(problem.labels.max()) + 1, len(np.unique(ids[ids >= 0])))


def cost_of_birds(ids: np.ndarray, n_birds: int, entry_exit: EntryExit) -> float:
    """Return the cost, nats, of the number of birds in ``ids`` (M,), and of where they first and last are."""
    total = 0.0
    for bird in range(n_birds):
        own = np.flatnonzero(ids == bird)
        if len(own):
            no_entry = int(not entry_exit.can_enter[own[0]]) + int(not entry_exit.can_leave[own[-1]])
            total += BIRD_NATS + NO_ENTRY_NATS * no_entry
    return total


def add_birds(
    problem: LinkingProblem, ids: np.ndarray, entry_exit: EntryExit, rng: np.random.Generator, max_birds: int
) -> tuple[LinkingProblem, np.ndarray]:
    """Add birds, up to ``max_birds``, while the posterior increases; return the problem and ``ids`` (M,)."""
    while problem.n_birds < max_birds:
        larger = _one_more(problem, ids, entry_exit, rng)
        if larger is None:
            break
        problem, ids = larger
    return problem, ids


def merge_birds(
    problem: LinkingProblem, ids: np.ndarray, entry_exit: EntryExit, rng: np.random.Generator, n_labelled: int
) -> tuple[LinkingProblem, np.ndarray]:
    """Merge birds while the posterior increases, never two of the first ``n_labelled``; return problem and ``ids``."""
    while problem.n_birds > max(1, n_labelled):
        smaller = _one_less(problem, ids, entry_exit, rng, n_labelled)
        if smaller is None:
            break
        problem, ids = smaller
    return problem, ids


def _penalised(problem: LinkingProblem, ids: np.ndarray, entry_exit: EntryExit) -> float:
    """Return the log posterior including the prior of the number of birds, nats."""
    return log_posterior(problem, ids) - cost_of_birds(ids, problem.n_birds, entry_exit)


def _one_more(
    problem: LinkingProblem, ids: np.ndarray, entry_exit: EntryExit, rng: np.random.Generator
) -> tuple[LinkingProblem, np.ndarray] | None:
    new, now = problem.n_birds, _penalised(problem, ids, entry_exit)
    larger = replace(problem, n_birds=new + 1)
    trials = []
    for segments in _candidates(problem, ids):
        trial = ids.copy()
        trial[segments] = new
        changed = np.unique(ids[segments])
        only = (new, *changed[changed >= 0].tolist())
        trial, _ = run_sweeps(larger, trial, TRIAL_TEMPERATURES, rng, only=only)
        trials.append((_penalised(larger, trial, entry_exit), len(trials), trial))
    if not trials or max(trials)[0] <= now:
        return None
    return larger, max(trials)[2]


def _one_less(
    problem: LinkingProblem, ids: np.ndarray, entry_exit: EntryExit, rng: np.random.Generator, n_labelled: int
) -> tuple[LinkingProblem, np.ndarray] | None:
    """Merge the two birds whose appearances agree best and that never overlap in time, if the posterior increases."""
    endpoints, n, now = problem.endpoints, problem.n_birds, _penalised(problem, ids, entry_exit)
    total, weighted_sum = whitened_segments(problem)
    own = [np.flatnonzero(ids == bird) for bird in range(n)]
    sums = [(total[segments].sum(0), weighted_sum[segments].sum(0)) for segments in own]
    alone = [log_evidence(*parameters) for parameters in sums]
    pairs = []
    for a in range(n):
        for b in range(max(a + 1, n_labelled), n):
            both = np.union1d(own[a], own[b])  # segments are sorted by first frame
            if (endpoints.last[both[:-1]] < endpoints.first[both[1:]]).all():
                gain = log_evidence(sums[a][0] + sums[b][0], sums[a][1] + sums[b][1]) - alone[a] - alone[b]
                pairs.append((gain, a, b))
    smaller = replace(problem, n_birds=n - 1)
    for _, a, b in sorted(pairs, reverse=True)[:MAX_TRIALS]:
        trial = np.where(ids == b, a, ids)
        trial[trial > b] -= 1
        trial, _ = run_sweeps(smaller, trial, TRIAL_TEMPERATURES, rng, only=(a,))
        if _penalised(smaller, trial, entry_exit) > now:
            return smaller, trial
    return None


def _candidates(problem: LinkingProblem, ids: np.ndarray) -> list[np.ndarray]:
    """Return sets of segments that could be one more bird, those first that gain most by themselves."""
    endpoints = problem.endpoints
    total, weighted_sum = whitened_segments(problem)
    candidates: list[tuple[float, np.ndarray]] = []
    free = _longest(problem, np.flatnonzero((ids < 0) & (problem.mean.seconds > 0)))
    units = [free[k : k + 1] for k in range(len(free))]
    for group in group_by_appearance(problem.model, problem.mean, endpoints, units, 1)[:1]:
        gain = log_evidence(total[group].sum(0), weighted_sum[group].sum(0)) + problem.unassigned_cost[group].sum()
        gain -= sum(log_evidence(total[segment], weighted_sum[segment]) for segment in group)
        candidates.append((gain, group))
    for bird in range(problem.n_birds):
        own = _longest(problem, np.flatnonzero((ids == bird) & (problem.labels < 0)))
        if len(own) < 2:
            continue
        no_overlap = np.zeros((len(own), len(own)))
        label = agglomerate(total[own], weighted_sum[own], no_overlap, np.ones(len(own)), 1.0, 2, -np.inf)
        halves = [own[label == label[0]], own[label != label[0]]]
        apart = [log_evidence(total[half].sum(0), weighted_sum[half].sum(0)) for half in halves]
        links = sum(chain_score(endpoints, half) for half in halves) - chain_score(endpoints, own)
        gain = sum(apart) - log_evidence(total[own].sum(0), weighted_sum[own].sum(0)) + links
        candidates.append((gain, min(halves, key=lambda half: problem.mean.seconds[half].sum())))
    candidates.sort(key=lambda candidate: -candidate[0])
    return [segments for gain, segments in candidates[:MAX_TRIALS] if gain > 0]


def _longest(problem: LinkingProblem, segments: np.ndarray) -> np.ndarray:
    """Return the `MAX_SEGMENTS` longest of ``segments``, ascending."""
    return np.sort(segments[np.argsort(-problem.mean.seconds[segments], kind="stable")[:MAX_SEGMENTS]])
