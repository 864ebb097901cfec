"""Split into training and validation without leakage: neighbouring frames of a video never sit on both sides.

Two pictures a second apart show the same birds at the same positions. A network that learnt one knows the other, and a
validation that contains it praises the network for its memory. So validation takes whole blocks of a video's time,
frames nearer than a gap to such a block are left out, or it takes whole videos.

Which blocks: many draws from the seed, and of these the one that loses the fewest frames, comes nearest to the ratio,
and has most nearly the same distribution of birds per image on both sides.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np

from backend.project.errors import InputError

DRAWS = 48  # for each number of blocks
MOST_BLOCKS = 64
MOST_BIRDS = 60  # images with more birds count as one group


class Side(IntEnum):
    """Where an image goes."""

    TRAIN = 0
    VAL = 1
    LEFT_OUT = 2


class SplitBy(StrEnum):
    """Whether videos are cut into blocks of time or stay whole."""

    BLOCKS = "blocks"
    VIDEOS = "videos"


@dataclass(frozen=True)
class SplitSettings:
    """``gap_frames``: a training and a validation frame of one video are further apart than this."""

    train_ratio: float
    by: SplitBy
    gap_frames: int
    seed: int


def split(videos: np.ndarray, numbers: np.ndarray, birds: np.ndarray, settings: SplitSettings) -> np.ndarray:
    """Return the `Side` of every image, (N,) uint8.

    Parameters
    ----------
    videos, numbers, birds
        (N,) int64 each: the image's video, frame number in it, and number of birds.
    settings
        Ratio, way, gap and seed.

    Raises
    ------
    InputError
        If no validation set can be made under these settings.
    """
    if settings.train_ratio == 1:
        return np.full(len(videos), Side.TRAIN, np.uint8)
    if settings.by is SplitBy.VIDEOS:
        sides = _whole_videos(videos, birds, settings)
    else:
        sides = _blocks(videos, numbers, birds, settings)
    return _checked(sides, videos, settings)


def _blocks(videos: np.ndarray, numbers: np.ndarray, birds: np.ndarray, settings: SplitSettings) -> np.ndarray:
    sides = np.full(len(videos), Side.TRAIN, np.uint8)
    owed = 0.0  # validation images that the videos so far did not give
    rng = np.random.default_rng([settings.seed, 1])
    for video in rng.permutation(np.unique(videos)).tolist():
        images = np.flatnonzero(videos == video)
        images = images[np.argsort(numbers[images], kind="stable")]
        owed += len(images) * (1 - settings.train_ratio)
        wanted = min(round(owed), len(images))
        if wanted > 0:
            draws = np.random.default_rng([settings.seed, 2, video])
            sides[images] = _best_draw(numbers[images], birds[images], wanted, settings.gap_frames, draws)
            owed -= int((sides[images] == Side.VAL).sum())
    return sides


def _best_draw(
    numbers: np.ndarray, birds: np.ndarray, wanted: int, gap_frames: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the best sides of one video's frames, (M,) uint8; all for training if no draw leaves both sides some."""
    count = len(numbers)
    best, lowest = np.full(count, Side.TRAIN, np.uint8), np.inf
    if wanted == count:
        return np.full(count, Side.VAL, np.uint8)
    blocks = 1
    while blocks <= min(wanted, MOST_BLOCKS):
        for _ in range(DRAWS):
            sides = _leave_gap(_draw(count, wanted, blocks, rng), numbers, gap_frames)
            cost = _cost(sides, birds)
            if cost < lowest:
                best, lowest = sides, cost
        blocks *= 2
    return best


def _draw(count: int, wanted: int, blocks: int, rng: np.random.Generator) -> np.ndarray:
    """Return which of ``count`` frames lie in the ``blocks`` blocks of ``wanted`` frames together, (count,) bool."""
    lengths = np.full(blocks, wanted // blocks) + (np.arange(blocks) < wanted % blocks)
    before = np.sort(rng.integers(0, count - wanted + 1, blocks))  # frames outside blocks that lie before each
    starts = before + np.cumsum(lengths) - lengths
    chosen = np.zeros(count, bool)
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        chosen[start : start + length] = True
    return chosen


def _leave_gap(chosen: np.ndarray, numbers: np.ndarray, gap_frames: int) -> np.ndarray:
    """Return the sides when training frames within the gap of a chosen one are left out."""
    sides = np.where(chosen, Side.VAL, Side.TRAIN).astype(np.uint8)
    taken = numbers[chosen]
    after = np.minimum(np.searchsorted(taken, numbers), len(taken) - 1)
    nearest = np.minimum(np.abs(taken[after] - numbers), np.abs(taken[np.maximum(after - 1, 0)] - numbers))
    sides[~chosen & (nearest <= gap_frames)] = Side.LEFT_OUT
    return sides


def _cost(sides: np.ndarray, birds: np.ndarray) -> float:
    """Return the cost of a split: the share left out plus the difference of birds per image, 0 to 1 each."""
    if not (sides == Side.TRAIN).any():
        return np.inf
    return float((sides == Side.LEFT_OUT).mean()) + _difference(sides, birds)


def _difference(sides: np.ndarray, birds: np.ndarray) -> float:
    """Return the largest difference between the cumulative distributions of birds per image on both sides, 0 to 1."""
    counts = [
        np.bincount(np.minimum(birds[sides == side], MOST_BIRDS), minlength=MOST_BIRDS + 1)
        for side in (Side.TRAIN, Side.VAL)
    ]
    shares = [count / max(1, count.sum()) for count in counts]
    return float(np.abs(np.cumsum(shares[0] - shares[1])).max())


def _whole_videos(videos: np.ndarray, birds: np.ndarray, settings: SplitSettings) -> np.ndarray:
    names = np.unique(videos)
    if len(names) < 2:
        raise InputError("--split videos needs at least two videos; use --split blocks or --train-ratio 1")
    rng = np.random.default_rng([settings.seed, 3])
    best, lowest = np.zeros(len(videos), np.uint8), np.inf
    for _ in range(DRAWS * 4):
        order = rng.permutation(names)
        shares = np.cumsum([(videos == name).mean() for name in order[:-1]])
        number = int(np.abs(shares - (1 - settings.train_ratio)).argmin()) + 1
        sides = np.where(np.isin(videos, order[:number]), Side.VAL, Side.TRAIN).astype(np.uint8)
        cost = abs((sides == Side.TRAIN).mean() - settings.train_ratio) + 0.5 * _difference(sides, birds)
        if cost < lowest:
            best, lowest = sides, cost
    return best


def _checked(sides: np.ndarray, videos: np.ndarray, settings: SplitSettings) -> np.ndarray:
    for side, name in ((Side.VAL, "validation"), (Side.TRAIN, "training")):
        if not (sides == side).any():
            raise InputError(
                f"{len(sides)} images of {len(np.unique(videos))} videos give no {name} image at --train-ratio "
                f"{settings.train_ratio} with frames more than --gap-frames {settings.gap_frames} apart; label "
                "frames further apart, change one of the two, or use --train-ratio 1 (no validation)"
            )
    return sides
