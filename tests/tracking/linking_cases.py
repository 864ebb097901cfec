"""Small made-up videos for linking: birds with known paths and appearances, as the online tracker would leave them."""

from collections.abc import Sequence

import numpy as np

from backend.tracking.linking.linking_input import Detections, LinkingInput, split_tracklets
from backend.tracking.online.tracklets import build_tracklets

FRAME_S = 0.04
SIZE = (640, 480)


def sightings_of(
    paths: Sequence[tuple[int, int, int, np.ndarray]],
    n_frames: int,
    appearances: np.ndarray | None,
    seed: int = 0,
    sides: Sequence[float | np.ndarray] | None = None,
    embedding_every: int = 1,
) -> tuple[LinkingInput, np.ndarray]:
    """Return the input of linking, and the true bird of each segment.

    ``paths``: tracklets as (bird, first frame, last frame included, (2,) or (n, 2) centre in px). ``appearances``
    (birds, D) are the birds' mean embeddings; embeddings have noise of 0.3 about them. ``sides``: of the square boxes
    of each path, px, one number or one a frame; 40 px by default. ``embedding_every``: only every so many frames have
    embeddings.
    """
    rng = np.random.default_rng(seed)
    columns: dict[str, list] = {name: [] for name in ("at", "centre", "tracklet", "bird", "side")}
    for number, (bird, first, last, centre) in enumerate(paths, 1):
        n = last - first + 1
        columns["at"].append(np.arange(first, last + 1))
        columns["centre"].append(np.broadcast_to(centre, (n, 2)) + rng.normal(0, 0.3, (n, 2)))
        columns["tracklet"].append(np.full(n, number))
        columns["bird"].append(np.full(n, bird))
        columns["side"].append(np.broadcast_to(40.0 if sides is None else sides[number - 1], n))
    at, centre, tracklet, bird, side = (np.concatenate(columns[name]) for name in columns)
    order = np.lexsort((tracklet, at))
    at, centre, tracklet, bird = at[order].astype(np.int32), centre[order], tracklet[order], bird[order]
    half = side[order, None] / 2
    detection = (np.arange(len(at)) - np.searchsorted(at, at)).astype(np.int32)
    boxes = np.column_stack([centre - half, centre + half]).astype(np.float32)
    x = None
    if appearances is not None:
        x = (appearances[bird] + rng.normal(0, 0.3, (len(at), appearances.shape[1]))).astype(np.float32)
        x[at % embedding_every > 0] = np.nan
    n = len(at)
    kind, score = np.zeros(n, np.int8), np.full(n, 0.9, np.float32)
    detections = Detections(
        at, at, detection, boxes, score, tracklet.astype(np.int64), kind, np.zeros(n, np.float32), x
    )
    times = np.arange(n_frames) * FRAME_S
    sightings, tracklets = build_tracklets(
        at, at, detection, boxes, score, tracklet.astype(np.int64), kind, np.zeros((0, 4), np.int64), times
    )
    frames = np.arange(n_frames, dtype=np.int32)
    inputs = split_tracklets(detections, sightings, tracklets, frames, times, FRAME_S, float(SIZE[0] * SIZE[1]))
    return inputs, bird[inputs.rows[inputs.sightings.starts[:-1]]]


def well_separated(birds: int) -> np.ndarray:
    """Return (birds, 6) mean embeddings that differ by far more than the noise."""
    return np.random.default_rng(5).normal(0, 2.0, (birds, 6))


def agrees(ids: np.ndarray, truth: np.ndarray) -> bool:
    """Tell whether two labellings are the same up to the numbers of birds."""
    pairs = set(zip(ids.tolist(), truth.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
