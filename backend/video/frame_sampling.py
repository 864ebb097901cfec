"""Sampling of frames that differ most, by farthest-point sampling; labelling near-identical frames wastes time.

The features of a frame are its mean colours on a coarse grid and the change of luma since the previous frame on the
same grid. Frames are chosen one by one, each the farthest from those already chosen, so that rare scenes are included.
The choice is deterministic.
"""

import numpy as np

GRID = (16, 9)  # columns x rows
SCALE = 4  # pictures are shrunk to SCALE times the grid before they are averaged
FEATURE_SIZE = (GRID[0] * SCALE, GRID[1] * SCALE)  # width, height in px
MOTION_WEIGHT = 4.0  # a bird that turns changes few cells by little; without weight, clouds decide
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
POOL = 20_000  # more candidates than this are thinned: neighbours at that density look alike, and memory stays bounded


def describe(picture: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return (F,) float32 features of ``picture``, given the frame ``before``; (h, w, 3) uint8 of `FEATURE_SIZE`."""
    now = picture.astype(np.float32) / 255
    change = np.abs(now @ LUMA - before.astype(np.float32) @ LUMA / 255)[..., None]
    return np.concatenate([_cells(now).ravel(), MOTION_WEIGHT * _cells(change).ravel()])


def thin(candidates: np.ndarray) -> np.ndarray:
    """Return at most `POOL` of the candidates, evenly spread."""
    if len(candidates) <= POOL:
        return candidates
    return candidates[np.linspace(0, len(candidates) - 1, POOL).round().astype(np.int64)]


def farthest_points(features: np.ndarray, count: int) -> list[int]:
    """Return ``count`` rows of ``features`` (N, F) float32 that differ most, ascending; ``count`` <= N.

    Greedy farthest-point sampling (Gonzalez 1985) from the row nearest to the mean: at most twice as far from any row
    to its nearest chosen one as with the best choice.
    """
    first = int(np.argmin(_distances(features, features.mean(axis=0))))
    chosen = [first]
    nearest = _distances(features, features[first])
    nearest[first] = -1.0
    while len(chosen) < count:
        farthest = int(np.argmax(nearest))
        chosen.append(farthest)
        nearest = np.minimum(nearest, _distances(features, features[farthest]))
        nearest[chosen] = -1.0  # equal pictures are at distance 0, and still may all be asked for
    return sorted(chosen)


def _distances(features: np.ndarray, point: np.ndarray) -> np.ndarray:
    difference = features - point
    return np.einsum("nf,nf->n", difference, difference)


def _cells(image: np.ndarray) -> np.ndarray:
    """Return (rows, columns, channels): means of `SCALE` x `SCALE` blocks."""
    columns, rows = GRID
    return image.reshape(rows, SCALE, columns, SCALE, -1).mean(axis=(1, 3))
