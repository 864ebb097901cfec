"""Which bird of one video is which of the next, by what they look like."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.project.errors import InputError
from backend.tracking.schemas import BIRDS
from backend.tracking.tracks import track_manifest

SESSION_SHARE = 0.1  # of the variance between birds: what changes from video to video
NEW_NATS = -3.0  # for a bird that the other video does not show
STEPS, DROPPED = 20000, 2000  # of the chain over all ways to match


@dataclass(frozen=True)
class Portraits:
    """What the N birds of one video look like."""

    names: tuple[str, ...]
    centres: np.ndarray  # (N, D)
    covariances: np.ndarray  # (N, D, D)
    between: np.ndarray  # (D, D)


def read_portraits(folder: Path) -> Portraits:
    """Return what the birds of a track run look like; InputError where it has no descriptors."""
    track_manifest(folder)
    path = folder / BIRDS
    if not path.is_file():
        raise InputError(f"{folder} says nothing of what birds look like; track it with descriptors of appearance")
    with np.load(path) as file:
        names = tuple(str(name) for name in file["names"])
        return Portraits(names, file["centres"], file["covariances"], file["between"])


def likelihood_ratios(first: Portraits, second: Portraits) -> np.ndarray:
    """Return (N, M) nats that two portraits show one bird rather than two.

    Light and camera differ from video to video: each video is taken relative to the mean of its birds.

    Raises
    ------
    InputError
        If the descriptors differ in length.
    """
    d = first.centres.shape[1]
    if second.centres.shape[1] != d:
        raise InputError(f"descriptors differ in length ({d} and {second.centres.shape[1]}); track both in one way")
    between = (first.between + second.between) / 2
    a, b = (side.centres - side.centres.mean(0) for side in (first, second))
    noise = [side.covariances + SESSION_SHARE * between for side in (first, second)]
    ratios = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            own, other = noise[0][i] + between, noise[1][j] + between
            both = np.block([[own, between], [between, other]])
            apart = np.block([[own, np.zeros((d, d))], [np.zeros((d, d)), other]])
            x = np.concatenate([a[i], b[j]])
            ratios[i, j] = _log_normal(x, both) - _log_normal(x, apart)
    return ratios


def match_probabilities(ratios: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return (N, M + 1), the probability that each first bird is each second one; the last column: none of them.

    All ways to match one to one are weighed, by a Markov chain over them.
    """
    n, m = ratios.shape
    rng = np.random.default_rng(seed)
    match, owner = np.full(n, m), np.full(m, n)
    weight = np.column_stack([ratios, np.full(n, NEW_NATS)])
    counts = np.zeros((n, m + 1))
    picks = np.column_stack([rng.integers(0, max(1, n), STEPS), rng.integers(0, m + 1, STEPS)])
    chances = np.log(rng.random(STEPS))
    for step, (i, j) in enumerate(picks):
        old, other = match[i], owner[j] if j < m else n
        gain = weight[i, j] - weight[i, old]
        if other < n and other != i:  # the two exchange
            gain += weight[other, old] - weight[other, j]
        if other != i and chances[step] < gain:
            match[i] = j
            if j < m:
                owner[j] = i
            if old < m:
                owner[old] = other
            if other < n:
                match[other] = old
        if step >= DROPPED:
            counts[np.arange(n), match] += 1
    return counts / (STEPS - DROPPED)


def _log_normal(x: np.ndarray, covariance: np.ndarray) -> float:
    _, log_det = np.linalg.slogdet(covariance)
    return float(-0.5 * (log_det + x @ np.linalg.solve(covariance, x)))
