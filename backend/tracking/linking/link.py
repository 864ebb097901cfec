"""Stage 2: who is who, decided for the whole video at once.

Each tracklet is one of N birds, or nobody. What speaks for it: how well its appearance fits the bird (all tracklets
of a bird together say what it looks like), how plausible the way from the bird's last tracklet is, and that a bird is
in one place at a time. The search begins with a guess (`linking_start`), draws from the posterior, which gives each
tracklet's probabilities, and then takes the best way at each step, which gives the best explanation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.tracking.linking.appearance_model import (
    AppearanceModel,
    Means,
    birds,
    drift,
    learn,
    means,
    relearn,
    without,
)
from backend.tracking.linking.gibbs_moves import NOBODY
from backend.tracking.linking.initialise import first_guess
from backend.tracking.linking.linking_input import Gathered
from backend.tracking.linking.motion_model import Ends
from backend.tracking.linking.n_animals import Doors, fewer_birds, more_birds
from backend.tracking.linking.pair_affinity import HALF_OF_T3
from backend.tracking.linking.search import Problem, rebirth, search

ROUNDS = 3  # of learning what birds look like and who is who in turn
TURN, ALONE = np.ones(7), np.geomspace(4, 1, 30)  # temperatures of sweeps: after a first guess, by motion alone
SEARCHED, DRAWN = 0.3, 0.5  # of what each part's looks say, what counts: errors of neighbouring parts are alike
MOST_THERE = 0.7  # share of the birds; of fewer, the mean says who is there rather than what light does
GUESSES = 3  # of who is who and of what birds look like in turn, before the search
SETTLE, SAMPLES, COLD = 10, 60, 6  # sweeps
SURE = 0.9  # probability of tracklets that models are learnt from
FALSE_NATS, FALSE_SHORT_NATS, SHORT_S = 6.0, 2.0, 1.0  # against a tracklet being nobody, and a short one
NO_BIRD_NATS = 3.0  # what is nobody's and said to be false by so much is no bird, rather than one not told apart
LEAST_SPREAD = 0.02  # of scores
TOGETHER_SHARE = 0.002  # of the time: more birds at once than are seen for so long are an error


@dataclass(frozen=True)
class Birds:
    """What each bird looks like: mean (N, D) and covariance (N, D, D) of what is known of it."""

    model: AppearanceModel
    centres: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class Linked:
    """Who is who.

    Attributes
    ----------
    bird
        (M,) int64, of each part in the best explanation; -1: nobody.
    states
        (samples, M) int16, explanations drawn from the posterior.
    p
        (M, N + 1) shares of ``states`` in which a part is each bird, the last of nobody. Not calibrated yet.
    birds
        None without descriptors.
    chain
        (M,) int64, track of each part that is nobody's; None: each tracklet is one of its own.
    """

    bird: np.ndarray
    states: np.ndarray
    p: np.ndarray
    birds: Birds | None
    chain: np.ndarray | None = None


@dataclass(frozen=True)
class Known:
    """What people said: the bird of each part (-1: nothing), and pairs (n, 2) of parts that follow each other."""

    pins: np.ndarray
    follow: np.ndarray


def link(
    gathered: Gathered,
    n_birds: int,
    seed: int = 0,
    known: Known | None = None,
    report: Callable[[int], None] = lambda sweeps: None,
    doors: Doors | None = None,
    most: int = 0,
) -> Linked:
    """Find out who is who; see the module's text.

    With ``doors`` and descriptors the number is looked for, too: from ``n_birds`` on, at ``most`` so many.
    ``report`` is told how many of `all_sweeps` are done.
    """
    m, rng = len(gathered.parts), np.random.default_rng(seed)
    known = known or Known(np.full(m, NOBODY), np.zeros((0, 2), np.int64))
    seconds = gathered.parts.n * gathered.frame_s
    nobody = np.where(seconds < SHORT_S, FALSE_SHORT_NATS, FALSE_NATS)
    nobody -= said_false(gathered)
    ends = with_order(gathered, known)
    problem = Problem(ends, Means(np.zeros((m, 0)), np.zeros(m)), None, nobody, known.pins, n_birds)
    done, named = 0, int(known.pins.max(initial=NOBODY)) + 1

    def look_for(who: np.ndarray, temperatures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal done
        found = []
        for temperature in temperatures:
            who, states = search(problem, who, np.array([temperature]), rng)
            found.append(states)
            done += 1
            report(done)
        return who, np.concatenate(found)

    if not m:
        return Linked(np.zeros(0, np.int64), np.zeros((1, 0), np.int16), np.zeros((0, n_birds + 1)), None)
    if gathered.look is None:
        who, _ = look_for(known.pins, ALONE)
    else:
        who, p, moved = None, None, _first_drift(gathered, n_birds)
        for turn in range(ROUNDS):
            look = without(gathered.look, moved)
            mean = means(look)
            if turn == 0:
                problem = replace(problem, mean=mean, model=replace(learn(look, mean), counts=SEARCHED))
                if doors:
                    n_birds = how_many(problem, gathered.parent, doors, rng, most)
                    problem = replace(problem, n_birds=n_birds)
                for _ in range(GUESSES):
                    who = first_guess(problem.model, mean, ends, gathered.parent, known.pins, n_birds)
                    problem = replace(problem, model=relearn(problem.model, mean, who, n_birds, who >= 0))
            else:
                model = relearn(problem.model, mean, who, n_birds, p[np.arange(m), who] > SURE)
                problem = replace(problem, mean=mean, model=model)
            who, _ = look_for(who, TURN)
            if doors:
                problem, who = fewer_birds(problem, who, doors, rng, named)
                n_birds = problem.n_birds
            who, states = look_for(rebirth(problem, who, rng), np.ones(SETTLE))
            p = shares(states, n_birds)
            moved = _drift(gathered, problem, who, p[np.arange(m), who] > SURE)
        problem = replace(problem, model=replace(problem.model, counts=DRAWN))
    who, states = look_for(who, np.ones(SAMPLES))
    best = shares(same_names(states, who, gathered.parts.n, n_birds), n_birds).argmax(1)
    who, _ = look_for(np.where(best == n_birds, NOBODY, best), np.zeros(COLD))
    states = same_names(states, who, gathered.parts.n, n_birds)
    return Linked(who, states, shares(states, n_birds), _birds(problem, who))


def how_many(problem: Problem, parent: np.ndarray, doors: Doors, rng: np.random.Generator, most: int) -> int:
    """Return how many birds there seem to be.

    What birds look like is not learnt anew before there are enough of them: two that were taken for one would teach
    that birds vary as much.
    """
    who = first_guess(problem.model, problem.mean, problem.ends, parent, problem.pins, problem.n_birds)
    who, _ = search(problem, who, TURN, rng)
    _, who = more_birds(problem, who, doors, rng, most)
    return max(1, int(problem.pins.max()) + 1, len(np.unique(who[who >= 0])))


def said_false(gathered: Gathered) -> np.ndarray:
    """Return (M,) nats, 0 to `FALSE_NATS`, by which the detector's scores say that a part is no bird.

    Scores of birds have a Student t with three degrees of freedom about those of long parts; what is no bird has any
    score from the least one to theirs.
    """
    score, long = gathered.parts.score.astype(np.float64), gathered.parts.n * gathered.frame_s >= SHORT_S
    if not len(score):
        return np.zeros(0)
    usual = score[long] if long.any() else score
    middle = np.median(usual)
    scale = max(LEAST_SPREAD, float(np.median(np.abs(usual - middle))) / HALF_OF_T3)
    bird = -2.0 * np.log1p(((score - middle) / scale) ** 2 / 3) - math.log(scale * math.pi * math.sqrt(3) / 2)
    other = -math.log(max(scale, float(middle - score.min())))
    return np.where(score < middle, np.clip(other - bird, 0.0, FALSE_NATS), 0.0)


def all_sweeps(gathered: Gathered) -> int:
    """Return the number of sweeps of `link`."""
    first = len(ALONE) if gathered.look is None else ROUNDS * (len(TURN) + SETTLE)
    return first + SAMPLES + COLD


def shares(states: np.ndarray, n_birds: int) -> np.ndarray:
    """Return (M, N + 1), in what share of ``states`` (S, M) each part is each bird, the last of nobody."""
    found = np.zeros((states.shape[1], n_birds + 1))
    for state in states:
        found[np.arange(len(state)), state] += 1
    return found / len(states)


def same_names(states: np.ndarray, who: np.ndarray, n: np.ndarray, n_birds: int) -> np.ndarray:
    """Return ``states`` (S, M) with birds renumbered so that each agrees with ``who`` (M,) for most detections ``n``.

    Without descriptors nothing holds a bird to its number, which then changes from sample to sample.
    """
    named = np.empty_like(states)
    for k, state in enumerate(states):
        both = (state >= 0) & (who >= 0)
        together = np.zeros((n_birds, n_birds))
        np.add.at(together, (state[both], who[both]), n[both])
        own, new = linear_sum_assignment(-together)
        named[k] = np.append(new[np.argsort(own)], NOBODY)[state]
    return named


def count_birds(gathered: Gathered) -> int:
    """Return how many birds there seem to be where nobody knows: the most that are seen at once, errors aside."""
    change = np.zeros(len(gathered.frames) + 1)
    long = gathered.parts.n * gathered.frame_s >= SHORT_S
    np.add.at(change, gathered.parts.first[long], 1)
    np.add.at(change, gathered.parts.last[long] + 1, -1)
    return max(1, int(np.quantile(np.cumsum(change[:-1]), 1 - TOGETHER_SHARE, method="lower")))


def with_order(gathered: Gathered, known: Known) -> Ends:
    """Return the ends of parts with what people said of their order."""
    before, after = gathered.ends.before.copy(), gathered.ends.after.copy()
    before[known.follow[:, 1]], after[known.follow[:, 0]] = known.follow[:, 0], known.follow[:, 1]
    return gathered.ends._replace(before=before, after=after)


def _first_drift(gathered: Gathered, n_birds: int) -> np.ndarray:
    """Return what moves all birds at once where most are always there; else it would be who is there that moves."""
    look, m = gathered.look, len(gathered.parts)
    found = drift(look, np.tile(look.x.mean(0), (m, 1)), np.ones(m))
    there = len(look.x) * look.step_s / (n_birds * len(gathered.frames) * gathered.frame_s)
    return found if there > MOST_THERE else np.zeros_like(found)


def _drift(gathered: Gathered, problem: Problem, who: np.ndarray, sure: np.ndarray) -> np.ndarray:
    centres, _ = birds(problem.model, problem.mean.x, problem.precisions(), who, problem.n_birds)
    return drift(gathered.look, centres[np.maximum(who, 0)], np.where(sure & (who >= 0), 1.0, 0.0))


def _birds(problem: Problem, who: np.ndarray) -> Birds | None:
    if problem.model is None:
        return None
    return Birds(problem.model, *birds(problem.model, problem.mean.x, problem.precisions(), who, problem.n_birds))
