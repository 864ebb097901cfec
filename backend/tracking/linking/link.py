"""Linking: decide for all segments of a video at once which animal each one is (stage 2 of tracking).

Each segment is one of N animals, or unassigned. Its probability comes from how well its embedding fits the animal's
(given all segments of this animal), from how plausible the link from the animal's segment before is, and from the rule
that an animal is in one place at a time. Starting from `initialise`, Gibbs sampling (`search`) draws assignments from
the posterior, whose shares are each segment's probabilities; then sweeps that maximise give the best assignment.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.tracking.linking.appearance_model import (
    MeanEmbeddings,
    bird_posteriors,
    common_drift,
    fit_appearance,
    mean_embeddings,
    refit_appearance,
    remove_drift,
)
from backend.tracking.linking.constraints import Constraints
from backend.tracking.linking.entry_exit import EntryExit
from backend.tracking.linking.false_positives import unassigned_cost
from backend.tracking.linking.gibbs_moves import UNASSIGNED
from backend.tracking.linking.initialise import initialise
from backend.tracking.linking.linking_input import LinkingInput
from backend.tracking.linking.n_animals import estimate_n_birds, merge_birds
from backend.tracking.linking.result import BirdAppearances, LinkingResult
from backend.tracking.linking.search import LinkingProblem, birth_move, run_sweeps

ROUNDS = 3  # of fitting the appearance model and reassigning identities in turn
INITIAL_ROUNDS = 3  # of the same by `initialise`, before any sweep
BURN_IN = np.ones(7)  # temperatures of the sweeps after `initialise`
ANNEALING = np.geomspace(4, 1, 30)  # temperatures of the sweeps by motion alone
SETTLING_SWEEPS, SAMPLES, MAXIMISING_SWEEPS = 10, 60, 6
# Factors of each segment's precision while searching, and while sampling: errors of neighbouring segments correlate.
EVIDENCE_WHILE_SEARCHING, EVIDENCE_WHILE_SAMPLING = 0.3, 0.5
MIN_PRESENT = 0.7  # share of the birds in view; of fewer, the mean embedding says which ones they are, not the light
SURE = 0.9  # least probability of segments that models are fitted to


def link(
    inputs: LinkingInput,
    n_birds: int,
    seed: int = 0,
    constraints: Constraints | None = None,
    report: Callable[[int], None] = lambda sweeps: None,
    entry_exit: EntryExit | None = None,
    max_birds: int = 0,
) -> LinkingResult:
    """Assign an animal to each segment.

    Parameters
    ----------
    inputs
        Segments with their endpoints and, if there are any, embeddings.
    n_birds
        Number of animals.
    seed
        Of the random numbers; the same seed gives the same result.
    constraints
        What reviewers decided.
    report
        Called with the number of sweeps done, of `n_sweeps`.
    entry_exit
        Where animals can enter and leave. With it and embeddings the number of animals is estimated, too: from
        ``n_birds`` on, up to ``max_birds``.
    max_birds
        Largest number of animals that is estimated.
    """
    m, rng = len(inputs.segments), np.random.default_rng(seed)
    constraints = constraints or Constraints.none(m)
    no_embeddings = MeanEmbeddings(np.zeros((m, 0)), np.zeros(m))
    endpoints, labels = constraints.on_order(inputs.endpoints), constraints.labels
    problem = LinkingProblem(endpoints, no_embeddings, None, unassigned_cost(inputs), labels, n_birds)
    done, n_labelled = 0, int(labels.max(initial=UNASSIGNED)) + 1

    def sweeps(ids: np.ndarray, temperatures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal done
        samples = []
        for temperature in temperatures:
            ids, states = run_sweeps(problem, ids, np.array([temperature]), rng)
            samples.append(states)
            done += 1
            report(done)
        return ids, np.concatenate(samples)

    if not m:
        return LinkingResult(np.zeros(0, np.int64), np.zeros((1, 0), np.int16), np.zeros((0, n_birds + 1)), None)
    if inputs.embeddings is None:
        ids, _ = sweeps(labels, ANNEALING)
    else:
        ids, p, drift = None, None, _initial_drift(inputs, n_birds)
        for turn in range(ROUNDS):
            embeddings = remove_drift(inputs.embeddings, drift)
            mean = mean_embeddings(embeddings)
            if turn == 0:
                model = replace(fit_appearance(embeddings, mean), evidence_weight=EVIDENCE_WHILE_SEARCHING)
                problem = replace(problem, mean=mean, model=model)
                if entry_exit:
                    n_birds = estimate_n_birds(problem, inputs.parent, entry_exit, rng, BURN_IN, max_birds)
                    problem = replace(problem, n_birds=n_birds)
                for _ in range(INITIAL_ROUNDS):
                    ids = initialise(problem.model, mean, endpoints, inputs.parent, labels, n_birds)
                    problem = replace(problem, model=refit_appearance(problem.model, mean, ids, n_birds, ids >= 0))
            else:
                model = refit_appearance(problem.model, mean, ids, n_birds, p[np.arange(m), ids] > SURE)
                problem = replace(problem, mean=mean, model=model)
            ids, _ = sweeps(ids, BURN_IN)
            if entry_exit:
                problem, ids = merge_birds(problem, ids, entry_exit, rng, n_labelled)
                n_birds = problem.n_birds
            ids, samples = sweeps(birth_move(problem, ids, rng), np.ones(SETTLING_SWEEPS))
            p = shares(samples, n_birds)
            drift = _drift(inputs, problem, ids, p[np.arange(m), ids] > SURE)
        problem = replace(problem, model=replace(problem.model, evidence_weight=EVIDENCE_WHILE_SAMPLING))
    ids, samples = sweeps(ids, np.ones(SAMPLES))
    most_likely = shares(relabelled(samples, ids, inputs.segments.n, n_birds), n_birds).argmax(1)
    ids, _ = sweeps(np.where(most_likely == n_birds, UNASSIGNED, most_likely), np.zeros(MAXIMISING_SWEEPS))
    samples = relabelled(samples, ids, inputs.segments.n, n_birds)
    return LinkingResult(ids, samples, shares(samples, n_birds), _appearances(problem, ids))


def n_sweeps(inputs: LinkingInput) -> int:
    """Return the number of sweeps of `link`."""
    search = len(ANNEALING) if inputs.embeddings is None else ROUNDS * (len(BURN_IN) + SETTLING_SWEEPS)
    return search + SAMPLES + MAXIMISING_SWEEPS


def shares(samples: np.ndarray, n_birds: int) -> np.ndarray:
    """Return (M, N + 1) the share of ``samples`` (S, M) in which each segment is each bird; last column: unassigned."""
    count = np.zeros((samples.shape[1], n_birds + 1))
    for ids in samples:
        count[np.arange(len(ids)), ids] += 1
    return count / len(samples)


def relabelled(samples: np.ndarray, ids: np.ndarray, n: np.ndarray, n_birds: int) -> np.ndarray:
    """Renumber the birds of each of ``samples`` (S, M) such that it agrees with ``ids`` (M,) for most detections.

    Without embeddings the posterior is symmetric in the birds, and their numbers change from sample to sample (label
    switching; Stephens 2000, doi 10.1111/1467-9868.00265). ``n`` (M,) is the number of detections of each segment.
    """
    renumbered = np.empty_like(samples)
    for k, sample in enumerate(samples):
        both = (sample >= 0) & (ids >= 0)
        together = np.zeros((n_birds, n_birds))
        np.add.at(together, (sample[both], ids[both]), n[both])
        own, new = linear_sum_assignment(-together)
        renumbered[k] = np.append(new[np.argsort(own)], UNASSIGNED)[sample]
    return renumbered


def _initial_drift(inputs: LinkingInput, n_birds: int) -> np.ndarray:
    """Return the common drift, (bins, D), if most birds are always in view; else 0, as it depends on which ones are."""
    embeddings, m = inputs.embeddings, len(inputs.segments)
    drift = common_drift(embeddings, np.tile(embeddings.x.mean(0), (m, 1)), np.ones(m))
    present = len(embeddings.x) * embeddings.step_s / (n_birds * len(inputs.frames) * inputs.frame_s)
    return drift if present > MIN_PRESENT else np.zeros_like(drift)


def _drift(inputs: LinkingInput, problem: LinkingProblem, ids: np.ndarray, sure: np.ndarray) -> np.ndarray:
    centres, _ = bird_posteriors(problem.model, problem.mean.x, problem.precisions(), ids, problem.n_birds)
    return common_drift(inputs.embeddings, centres[np.maximum(ids, 0)], np.where(sure & (ids >= 0), 1.0, 0.0))


def _appearances(problem: LinkingProblem, ids: np.ndarray) -> BirdAppearances | None:
    if problem.model is None:
        return None
    posterior = bird_posteriors(problem.model, problem.mean.x, problem.precisions(), ids, problem.n_birds)
    return BirdAppearances(problem.model, *posterior)
