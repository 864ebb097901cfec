"""Between birds: contacts, who is near whom, nearest neighbours. Distances are between ground points."""

import numpy as np
import pandas as pd

from backend.project.kernels import kernel
from backend.zones.bird_sequences import Recording
from backend.zones.cells import Bins
from backend.zones.membership import Membership
from backend.zones.movement import Movement

APART = 1.25  # a contact ends beyond this many times the distance at which it begins
CONTACT_COLUMNS = ["bird", "other", "start_s", "end_s", "duration_s", "least_distance", "zone", "cut"]
PAIR_COLUMNS = [
    "bird",
    "other",
    "together_s",
    "near_s",
    "weight",
    "contacts",
    "contact_s",
    "nearest_s",
    "nearest_share",
]


def find_social(
    recording: Recording, membership: Membership, movement: Movement, bins: Bins, contact: float, near: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return contacts (one row each) and pairs (one row an ordered pair) of named birds.

    A contact begins when two birds are less than ``contact`` apart and ends beyond 1.25 times that, or when one of
    them is not seen. ``near`` is the distance of the network: its edge weight is the share of the time in which both
    were seen that they spent closer than that. ``nearest_share``: of the time in which ``bird`` and any other were
    seen, that ``other`` was the nearest. Only watched time counts.
    """
    n, frames = len(recording.names), len(recording.times)
    rows = slice(0, n * frames)
    positions = movement.positions[rows].reshape(n, frames, 2)
    rows_found, sums = _follow(positions, recording.seconds, bins.of_frame, contact, contact * APART, near)
    names = np.array(recording.names, object)
    return _contacts(rows_found, names, recording, membership, bins), _pairs(sums, rows_found, names, recording)


def _durations(found: np.ndarray, recording: Recording) -> np.ndarray:
    """Return (M,) float64: how much of each contact was watched, s."""
    total = np.append(0.0, np.cumsum(recording.seconds))
    first, last = found[:, 2:4].astype(np.int64).T
    return total[last + 1] - total[first]


def _contacts(
    found: np.ndarray, names: np.ndarray, recording: Recording, membership: Membership, bins: Bins
) -> pd.DataFrame:
    i, j, first, last = found[:, :4].astype(np.int64).T
    ends = recording.times[last] + recording.seconds[last]
    used = np.flatnonzero(bins.of_frame >= 0)
    edges = (used[0], used[-1]) if len(used) else (-1, -1)
    zones = membership.inside[:, : membership.n_zones]
    where = zones[i * len(recording.times) + first]
    label = np.array([*(place.name for place in membership.places[: membership.n_zones]), "outside"], object)
    table = pd.DataFrame(
        {
            "bird": names[i],
            "other": names[j],
            "start_s": recording.times[first],
            "end_s": ends,
            "duration_s": _durations(found, recording),
            "least_distance": found[:, 4],
            "zone": label[np.where(where.any(axis=1), where.argmax(axis=1), membership.n_zones)],
            "cut": (first == edges[0]) | (last == edges[1]),
        },
        columns=CONTACT_COLUMNS,
    )
    return table.sort_values(["start_s", "bird", "other"], kind="stable", ignore_index=True)


def _pairs(sums: np.ndarray, found: np.ndarray, names: np.ndarray, recording: Recording) -> pd.DataFrame:
    n = len(names)
    count, length = np.zeros((n, n), int), np.zeros((n, n))
    i, j = found[:, :2].astype(np.int64).T
    np.add.at(count, (i, j), 1)
    np.add.at(length, (i, j), _durations(found, recording))
    count, length = count + count.T, length + length.T
    together, near, nearest = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        weight, share = near / together, nearest / nearest.sum(axis=1, keepdims=True)
    a, b = np.nonzero(~np.eye(n, dtype=bool))
    columns = (names[a], names[b], *(each[a, b] for each in (together, near, weight, count, length, nearest, share)))
    return pd.DataFrame(dict(zip(PAIR_COLUMNS, columns, strict=True)))


@kernel
def _follow(positions, seconds, bin_of, contact, apart, near):
    """Return contacts (M, 5): i, j, first, last frame place, least distance; and sums (3, B, B) in s."""
    n, frames = positions.shape[0], positions.shape[1]
    sums = np.zeros((3, n, n))
    since = np.full((n, n), -1, np.int64)
    least = np.zeros((n, n))
    distance = np.full((n, n), np.nan)
    found = np.empty((1024, 5))
    count = 0
    for k in range(frames + 1):
        if k < frames and bin_of[k] >= 0:
            _measure(positions, k, distance)
            _add_up(distance, seconds[k], near, sums)
        else:
            distance[:] = np.nan
        if count + n * n > len(found):
            found = np.concatenate((found, np.empty((len(found) + n * n, 5))))
        for i in range(n):
            for j in range(i + 1, n):
                d, touching = distance[i, j], since[i, j] >= 0
                close = d < (apart if touching else contact)  # false for NaN
                if close:
                    least[i, j] = min(least[i, j], d) if touching else d
                    since[i, j] = since[i, j] if touching else k
                elif touching:
                    found[count, 0], found[count, 1], found[count, 2] = i, j, since[i, j]
                    found[count, 3], found[count, 4] = k - 1, least[i, j]
                    count += 1
                    since[i, j] = -1
    return found[:count], sums


@kernel
def _measure(positions, k, distance):
    """Fill (B, B) with the distances in frame ``k``; NaN for a bird and itself or one without a position."""
    for i in range(len(distance)):
        for j in range(i):
            dx, dy = positions[i, k, 0] - positions[j, k, 0], positions[i, k, 1] - positions[j, k, 1]
            distance[i, j] = distance[j, i] = np.sqrt(dx * dx + dy * dy)


@kernel
def _add_up(distance, seconds, near, sums):
    """Add one frame to the times together, near and as nearest neighbour."""
    for i in range(len(distance)):
        nearest = -1
        for j in range(len(distance)):
            d = distance[i, j]
            if np.isnan(d):
                continue
            sums[0, i, j] += seconds
            if d < near:
                sums[1, i, j] += seconds
            if nearest < 0 or d < distance[i, nearest]:
                nearest = j
        if nearest >= 0:
            sums[2, i, nearest] += seconds
