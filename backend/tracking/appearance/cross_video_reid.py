"""Which bird of one video is which of the next, by what they look like."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.project.errors import InputError
from backend.project.kernels import kernel
from backend.tracking.tracks.schemas import BIRDS
from backend.tracking.tracks.track_folder import track_manifest

SESSION_SHARE = 0.1  # of the variance between birds: what changes from video to video
NEW_NATS = -3.0  # for a bird that the other video does not show
LEAST_BIRDS = 3  # of a video: fewer do not tell the light of the video from the looks of its birds
TURNS = 4  # of who is who and of what differs between the videos
STEPS, STEPS_A_PAIR = 20_000, 100  # of the chain over all ways to match, at least and for each pair of birds
DROPPED = 0.1  # share of the steps that are not counted


@dataclass(frozen=True)
class Portraits:
    """What the N birds of one video look like. ``space`` says what described them (`appearance_space`)."""

    names: tuple[str, ...]
    centres: np.ndarray  # (N, D)
    covariances: np.ndarray  # (N, D, D)
    between: np.ndarray  # (D, D)
    space: str


def read_portraits(folder: Path) -> Portraits:
    """Return what the birds of a track run look like; InputError where it has no descriptors."""
    track_manifest(folder)
    path = folder / BIRDS
    if not path.is_file():
        raise InputError(f"{folder} says nothing of what birds look like; track it with descriptors of appearance")
    with np.load(path) as file:
        if "space" not in file:
            raise InputError(
                f"{folder} was tracked by an older version: it does not say what described it; track again"
            )
        names = tuple(str(name) for name in file["names"])
        return Portraits(names, file["centres"], file["covariances"], file["between"], str(file["space"]))


def match_birds(first: Portraits, second: Portraits, seed: int = 0) -> np.ndarray:
    """Return (N, M + 1), the probability that each first bird is each second one; the last column: none of them.

    Light and camera differ from video to video: what differs on average between the birds that are taken for the same
    is taken off, and who is the same is asked again.

    Raises
    ------
    InputError
        If the videos were not described by the same network, or one has fewer than `LEAST_BIRDS` birds.
    """
    for side, which in ((first, "first"), (second, "second")):
        if len(side.names) < LEAST_BIRDS:
            raise InputError(f"the {which} video has {len(side.names)} birds; at least {LEAST_BIRDS} are needed")
    if first.space != second.space or first.centres.shape[1] != second.centres.shape[1]:
        raise InputError(
            "the two videos were described in different ways, whose numbers cannot be compared; describe one with the "
            "network of the other (backend.describe --network FOLDER --out NEW) and track it again (--appearance NEW)"
        )
    moved = second.centres.mean(0) - first.centres.mean(0)
    for _ in range(TURNS):
        p = match_probabilities(likelihood_ratios(first, second, moved), seed)
        same = p[:, :-1]
        if same.sum() < 1:
            break
        off = second.centres[None] - first.centres[:, None]
        moved = np.einsum("nm,nmd->d", same, off) / same.sum()
    return p


def likelihood_ratios(first: Portraits, second: Portraits, moved: np.ndarray) -> np.ndarray:
    """Return (N, M) nats that two portraits show one bird rather than two.

    ``moved`` (D,) is how much all birds look different in the second video.
    """
    d = first.centres.shape[1]
    between = (first.between + second.between) / 2
    usual = first.centres.mean(0)
    a, b = first.centres - usual, second.centres - moved - usual
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

    All ways to match one to one are weighed, by a Markov chain over them that begins with the likeliest way.
    """
    n, m = ratios.shape
    rng = np.random.default_rng(seed)
    weight = np.column_stack([ratios, np.full(n, NEW_NATS)])
    rows, columns = linear_sum_assignment(np.column_stack([-ratios, np.full((n, n), -NEW_NATS)]))
    match = np.full(n, m)
    match[rows] = np.minimum(columns, m)
    steps = max(STEPS, STEPS_A_PAIR * n * (m + 1))
    first = int(DROPPED * steps)
    birds, others = rng.integers(0, n, steps), rng.integers(0, m + 1, steps)
    return _time_at(weight, match, birds, others, np.log(rng.random(steps)), first) / (steps - first)


@kernel
def _time_at(weight, match, birds, others, chances, first):
    """Walk over ways to match; return (N, M + 1) int64, for how many steps from ``first`` on each bird was each other.

    ``match`` (N,) is where it begins. Step k proposes that bird ``birds[k]`` is ``others[k]``; who was that takes its
    place.
    """
    n, m = len(weight), weight.shape[1] - 1
    counts, since, owner = np.zeros((n, m + 1), np.int64), np.full(n, first), np.full(m + 1, n)
    owner[match] = np.arange(n)
    owner[m] = n  # none of them: room for all
    for step in range(len(birds)):
        i, new = birds[step], others[step]
        old, other = match[i], owner[new]
        gain = weight[i, new] - weight[i, old]
        if other < n:
            gain += weight[other, old] - weight[other, new]
        if other == i or chances[step] >= gain:
            continue
        for bird, to in ((i, new), (other, old)):
            if bird < n:
                counts[bird, match[bird]] += max(0, step - since[bird])
                since[bird] = max(since[bird], step)
                match[bird] = to
        owner[old], owner[new] = other, i
        owner[m] = n
    for i in range(n):
        counts[i, match[i]] += len(birds) - since[i]
    return counts


def _log_normal(x: np.ndarray, covariance: np.ndarray) -> float:
    _, log_det = np.linalg.slogdet(covariance)
    return float(-0.5 * (log_det + x @ np.linalg.solve(covariance, x)))
