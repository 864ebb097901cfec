"""How many birds there are, where nobody knows: one more, or one less, where what was seen is then more likely.

Each bird costs `BIRD_NATS`. What it looks like is integrated out, so a bird that nothing tells from another one does
not pay for itself (the evidence of a model, MacKay 2003, chapter 28).
"""

from dataclasses import dataclass, replace

import numpy as np

from backend.tracking.linking.clusters import agglomerate, evidence_of, groups_of
from backend.tracking.linking.motion_model import chain_score
from backend.tracking.linking.search import REBIRTH, Problem, score, search, whitened_parts

BIRD_NATS = 6.0  # for a bird: as much as for a stretch to be nobody's
NOWHERE_NATS = 6.0  # for one that appears, or vanishes for good, where there is no way in or out
TRIED = 4  # splits and pairs that look best are tried
LONGEST = 200  # parts of a bird, or of nobody's, by which a split is found


@dataclass(frozen=True)
class Doors:
    """Which parts begin where a bird can come in, and end where it can leave: (M,) bool each."""

    comes_in: np.ndarray
    leaves: np.ndarray


def cost_of_birds(who: np.ndarray, n_birds: int, doors: Doors) -> float:
    """Return what birds cost by their number, and by where they first and last are, nats."""
    total = 0.0
    for bird in range(n_birds):
        own = np.flatnonzero(who == bird)
        if len(own):
            total += BIRD_NATS + NOWHERE_NATS * ((not doors.comes_in[own[0]]) + (not doors.leaves[own[-1]]))
    return total


def more_birds(
    problem: Problem, who: np.ndarray, doors: Doors, rng: np.random.Generator, most: int
) -> tuple[Problem, np.ndarray]:
    """Add birds, at ``most`` so many, as long as the posterior gains; return the problem and ``who`` (M,)."""
    while problem.n_birds < most:
        more = _one_more(problem, who, doors, rng)
        if more is None:
            break
        problem, who = more
    return problem, who


def fewer_birds(
    problem: Problem, who: np.ndarray, doors: Doors, rng: np.random.Generator, named: int
) -> tuple[Problem, np.ndarray]:
    """Join birds as long as the posterior gains, never two of the first ``named``; return the problem and ``who``."""
    while problem.n_birds > max(1, named):
        fewer = _one_less(problem, who, doors, rng, named)
        if fewer is None:
            break
        problem, who = fewer
    return problem, who


def _worth(problem: Problem, who: np.ndarray, doors: Doors) -> float:
    return score(problem, who) - cost_of_birds(who, problem.n_birds, doors)


def _one_more(
    problem: Problem, who: np.ndarray, doors: Doors, rng: np.random.Generator
) -> tuple[Problem, np.ndarray] | None:
    new, now = problem.n_birds, _worth(problem, who, doors)
    wider = replace(problem, n_birds=new + 1)
    found = []
    for parts in _beginnings(problem, who):
        trial = who.copy()
        trial[parts] = new
        changed = np.unique(who[parts])
        trial, _ = search(wider, trial, REBIRTH, rng, only=(new, *changed[changed >= 0].tolist()))
        found.append((_worth(wider, trial, doors), len(found), trial))
    if not found or max(found)[0] <= now:
        return None
    return wider, max(found)[2]


def _one_less(
    problem: Problem, who: np.ndarray, doors: Doors, rng: np.random.Generator, named: int
) -> tuple[Problem, np.ndarray] | None:
    """Join the two birds whose looks and ways go together best, if that gains."""
    ends, n, now = problem.ends, problem.n_birds, _worth(problem, who, doors)
    total, pull = whitened_parts(problem)
    own = [np.flatnonzero(who == bird) for bird in range(n)]
    sums = [(total[parts].sum(0), pull[parts].sum(0)) for parts in own]
    alone = [evidence_of(*each) for each in sums]
    pairs = []
    for a in range(n):
        for b in range(max(a + 1, named), n):
            both = np.union1d(own[a], own[b])  # parts are sorted by first frame
            if (ends.last[both[:-1]] < ends.first[both[1:]]).all():
                gain = evidence_of(sums[a][0] + sums[b][0], sums[a][1] + sums[b][1]) - alone[a] - alone[b]
                pairs.append((gain, a, b))
    narrow = replace(problem, n_birds=n - 1)
    for _, a, b in sorted(pairs, reverse=True)[:TRIED]:
        trial = np.where(who == b, a, who)
        trial[trial > b] -= 1
        trial, _ = search(narrow, trial, REBIRTH, rng, only=(a,))
        if _worth(narrow, trial, doors) > now:
            return narrow, trial
    return None


def _beginnings(problem: Problem, who: np.ndarray) -> list[np.ndarray]:
    """Return sets of parts that could be one more bird, those first that gain most by themselves."""
    ends = problem.ends
    total, pull = whitened_parts(problem)
    found: list[tuple[float, np.ndarray]] = []
    free = _longest(problem, np.flatnonzero((who < 0) & (problem.mean.seconds > 0)))
    units = [free[k : k + 1] for k in range(len(free))]
    for group in groups_of(problem.model, problem.mean, ends, units, 1)[:1]:
        gain = evidence_of(total[group].sum(0), pull[group].sum(0)) + problem.nobody[group].sum()
        gain -= sum(evidence_of(total[part], pull[part]) for part in group)
        found.append((gain, group))
    for bird in range(problem.n_birds):
        own = _longest(problem, np.flatnonzero((who == bird) & (problem.pins < 0)))
        if len(own) < 2:
            continue
        none = np.zeros((len(own), len(own)))
        label = agglomerate(total[own], pull[own], none, np.ones(len(own)), 1.0, 2, -np.inf)
        halves = [own[label == label[0]], own[label != label[0]]]
        apart = [evidence_of(total[half].sum(0), pull[half].sum(0)) for half in halves]
        ways = sum(chain_score(ends, half) for half in halves) - chain_score(ends, own)
        gain = sum(apart) - evidence_of(total[own].sum(0), pull[own].sum(0)) + ways
        found.append((gain, min(halves, key=lambda half: problem.mean.seconds[half].sum())))
    found.sort(key=lambda each: -each[0])
    return [parts for gain, parts in found[:TRIED] if gain > 0]


def _longest(problem: Problem, parts: np.ndarray) -> np.ndarray:
    """Return the `LONGEST` of ``parts``, ascending."""
    return np.sort(parts[np.argsort(-problem.mean.seconds[parts], kind="stable")[:LONGEST]])
