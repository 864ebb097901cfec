"""Re-identification across videos: which identity of one track run is which of another, by appearance."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.project.errors import InputError
from backend.project.kernels import kernel
from backend.tracking.tracks.schemas import BIRDS
from backend.tracking.tracks.track_folder import track_manifest

BETWEEN_VIDEOS_SHARE = 0.1  # variance between videos of one bird, of the variance between birds
NO_MATCH_NATS = -3.0  # log odds that the other video does not show a bird
MIN_BIRDS = 3  # of a video: with fewer, its light cannot be told from the appearance of its birds
ITERATIONS = 4  # of matching and estimating the shift between the videos
STEPS, STEPS_PER_PAIR = 20_000, 100  # of the Markov chain over matchings: at least, and for each pair of birds
BURN_IN = 0.1  # share of the steps that are not counted


@dataclass(frozen=True)
class IdentityAppearances:
    """Appearance of the N identities of one track run, as ``birds.npz`` has it (backend.tracking.tracks.schemas)."""

    names: tuple[str, ...]
    centres: np.ndarray  # (N, D) mean embedding of each identity
    covariances: np.ndarray  # (N, D, D) of these means
    between: np.ndarray  # (D, D) covariance of means between identities
    space: str  # `embedding_space`


def read_appearances(folder: Path) -> IdentityAppearances:
    """Read the appearance of the identities of a track run; InputError where it has no embeddings."""
    track_manifest(folder)
    path = folder / BIRDS
    if not path.is_file():
        raise InputError(f"{folder} does not say what its birds look like; track it with embeddings (backend.describe)")
    with np.load(path) as file:
        if "space" not in file:
            raise InputError(
                f"{folder} was tracked by an older version: it does not name the embedding space; track it again"
            )
        names = tuple(str(name) for name in file["names"])
        return IdentityAppearances(names, file["centres"], file["covariances"], file["between"], str(file["space"]))


def match_identities(first: IdentityAppearances, second: IdentityAppearances, seed: int = 0) -> np.ndarray:
    """Return (N, M + 1), the probability that each identity is each one of the second run; the last column: none.

    Light and camera shift all embeddings from video to video: the shift is the mean difference of matched identities,
    and is estimated in turn with the match.

    Raises
    ------
    InputError
        If the embeddings are of different spaces, or a run has fewer than `MIN_BIRDS` identities.
    """
    for appearances, which in ((first, "first"), (second, "second")):
        if len(appearances.names) < MIN_BIRDS:
            raise InputError(f"the {which} video has {len(appearances.names)} birds; at least {MIN_BIRDS} are needed")
    if first.space != second.space or first.centres.shape[1] != second.centres.shape[1]:
        raise InputError(
            "the embeddings of the two videos are of different networks and cannot be compared; compute those of one "
            "with the network of the other (backend.describe --network FOLDER --out NEW) and track it again "
            "(--appearance NEW)"
        )
    shift = second.centres.mean(0) - first.centres.mean(0)
    for _ in range(ITERATIONS):
        p = match_probabilities(log_likelihood_ratios(first, second, shift), seed)
        same = p[:, :-1]
        if same.sum() < 1:
            break
        difference = second.centres[None] - first.centres[:, None]
        shift = np.einsum("nm,nmd->d", same, difference) / same.sum()
    return p


def log_likelihood_ratios(first: IdentityAppearances, second: IdentityAppearances, shift: np.ndarray) -> np.ndarray:
    """Return (N, M) log-likelihood ratios, nats, that two identities are one bird rather than two.

    ``shift`` (D,) is the mean difference of embeddings between the videos.
    """
    d = first.centres.shape[1]
    between = (first.between + second.between) / 2
    mean = first.centres.mean(0)
    a, b = first.centres - mean, second.centres - shift - mean
    noise = [side.covariances + BETWEEN_VIDEOS_SHARE * between for side in (first, second)]
    ratios = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            own, other = noise[0][i] + between, noise[1][j] + between
            one_bird = np.block([[own, between], [between, other]])
            two_birds = np.block([[own, np.zeros((d, d))], [np.zeros((d, d)), other]])
            x = np.concatenate([a[i], b[j]])
            ratios[i, j] = _log_normal(x, one_bird) - _log_normal(x, two_birds)
    return ratios


def match_probabilities(ratios: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return (N, M + 1), the probability of each match of N identities with M others; the last column: no match.

    Marginals over all one-to-one matchings, by Markov chain Monte Carlo from the most likely one. ``ratios`` (N, M) are
    log-likelihood ratios, nats.
    """
    n, m = ratios.shape
    rng = np.random.default_rng(seed)
    weight = np.column_stack([ratios, np.full(n, NO_MATCH_NATS)])
    rows, columns = linear_sum_assignment(np.column_stack([-ratios, np.full((n, n), -NO_MATCH_NATS)]))
    match = np.full(n, m)
    match[rows] = np.minimum(columns, m)
    steps = max(STEPS, STEPS_PER_PAIR * n * (m + 1))
    first = int(BURN_IN * steps)
    birds, others = rng.integers(0, n, steps), rng.integers(0, m + 1, steps)
    return _visits(weight, match, birds, others, np.log(rng.random(steps)), first) / (steps - first)


@kernel
def _visits(weight, match, birds, others, log_uniform, first):
    """Run the Markov chain; return (N, M + 1) int64, for how many steps from ``first`` on each pair was matched.

    ``match`` (N,) is the initial state. Step k proposes to match ``birds[k]`` with ``others[k]``, and the bird that is
    matched with it so far with the former match of ``birds[k]`` (Metropolis).
    """
    n, m = len(weight), weight.shape[1] - 1
    counts, since, owner = np.zeros((n, m + 1), np.int64), np.full(n, first), np.full(m + 1, n)
    owner[match] = np.arange(n)
    owner[m] = n  # no match: any number of birds
    for step in range(len(birds)):
        i, new = birds[step], others[step]
        old, other = match[i], owner[new]
        gain = weight[i, new] - weight[i, old]
        if other < n:
            gain += weight[other, old] - weight[other, new]
        if other == i or log_uniform[step] >= gain:
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
    """Return the log density of a normal distribution about 0 at ``x``, without its constant."""
    _, log_det = np.linalg.slogdet(covariance)
    return float(-0.5 * (log_det + x @ np.linalg.solve(covariance, x)))
