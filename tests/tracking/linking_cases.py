"""Small made-up videos for linking: birds with known ways and looks, as stage 1 would leave them."""

from collections.abc import Sequence

import numpy as np

from backend.tracking.linking.linking_input import Detections, Gathered, make_parts
from backend.tracking.online.tracklets import build_tracklets

FRAME_S = 0.04
SIZE = (640, 480)


def sightings_of(
    paths: Sequence[tuple[int, int, int, np.ndarray]],
    n_frames: int,
    looks: np.ndarray | None,
    seed: int = 0,
    sides: Sequence[float | np.ndarray] | None = None,
    described_every: int = 1,
) -> tuple[Gathered, np.ndarray]:
    """Return what stage 2 works on, and the bird behind each part.

    ``paths``: tracklets as (bird, first frame, last frame included, (2,) or (n, 2) centre in px). ``looks`` (birds, D)
    is what birds look like; descriptors have noise of 0.3 about it. ``sides``: of the square boxes of each path, px,
    one number or one a frame; 40 px by default. ``described_every``: only in so many frames one has descriptors.
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
    if looks is not None:
        x = (looks[bird] + rng.normal(0, 0.3, (len(at), looks.shape[1]))).astype(np.float32)
        x[at % described_every > 0] = np.nan
    n = len(at)
    kind, score = np.zeros(n, np.int8), np.full(n, 0.9, np.float32)
    found = Detections(at, at, detection, boxes, score, tracklet.astype(np.int64), kind, np.zeros(n, np.float32), x)
    times = np.arange(n_frames) * FRAME_S
    sightings, tracklets = build_tracklets(
        at, at, detection, boxes, score, tracklet.astype(np.int64), kind, np.zeros((0, 4), np.int64), times
    )
    frames = np.arange(n_frames, dtype=np.int32)
    gathered = make_parts(found, sightings, tracklets, frames, times, FRAME_S, float(SIZE[0] * SIZE[1]))
    return gathered, bird[gathered.rows[gathered.sightings.starts[:-1]]]


def well_separated(birds: int) -> np.ndarray:
    """Return (birds, 6) looks that differ by far more than the noise."""
    return np.random.default_rng(5).normal(0, 2.0, (birds, 6))


def agrees(found: np.ndarray, truth: np.ndarray) -> bool:
    """Tell whether two labellings are the same up to names, nobody aside."""
    pairs = set(zip(found.tolist(), truth.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
