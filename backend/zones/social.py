"""Contacts, proximity network and nearest neighbours. Distances are between ground points."""

import numpy as np
import pandas as pd

from backend.project.kernels import kernel
from backend.zones.bird_sequences import Recording
from backend.zones.membership import Membership
from backend.zones.movement import Movement
from backend.zones.time_budgets import Bins

END_FACTOR = 1.25  # a contact ends beyond this many times the distance at which it begins
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


def find_contacts(
    recording: Recording, membership: Membership, movement: Movement, bins: Bins, contact: float, near: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return contacts (one row per contact) and pairs (one row per ordered pair) of identified birds.

    A contact begins when two birds are less than ``contact`` apart and ends beyond 1.25 times that, or when one of
    them is not seen. ``near`` is the distance of the proximity network: the edge weight is the share of the time in
    which both were seen that they spent closer than ``near``. ``nearest_share``: of the time in which ``bird`` and any
    other were seen, the share in which ``other`` was its nearest neighbour. Only observed time counts.
    """
    n, frames = len(recording.names), len(recording.times)
    rows = slice(0, n * frames)
    positions = movement.positions[rows].reshape(n, frames, 2)
    contact_rows, sums = _track_contacts(
        positions, recording.seconds, bins.of_frame, contact, contact * END_FACTOR, near
    )
    names = np.array(recording.names, object)
    return _contacts(contact_rows, names, recording, membership, bins), _pairs(sums, contact_rows, names, recording)


def _durations(contact_rows: np.ndarray, recording: Recording) -> np.ndarray:
    """Return (M,) float64: observed duration of each contact, s."""
    total = np.append(0.0, np.cumsum(recording.seconds))
    first, last = contact_rows[:, 2:4].astype(np.int64).T
    return total[last + 1] - total[first]


def _contacts(
    contact_rows: np.ndarray, names: np.ndarray, recording: Recording, membership: Membership, bins: Bins
) -> pd.DataFrame:
    i, j, first, last = contact_rows[:, :4].astype(np.int64).T
    ends = recording.times[last] + recording.seconds[last]
    used = np.flatnonzero(bins.of_frame >= 0)
    edges = (used[0], used[-1]) if len(used) else (-1, -1)
    zones = membership.inside[:, : membership.n_zones]
    where = zones[i * len(recording.times) + first]
    label = np.array([*(location.name for location in membership.locations[: membership.n_zones]), "outside"], object)
    table = pd.DataFrame(
        {
            "bird": names[i],
            "other": names[j],
            "start_s": recording.times[first],
            "end_s": ends,
            "duration_s": _durations(contact_rows, recording),
            "least_distance": contact_rows[:, 4],
            "zone": label[np.where(where.any(axis=1), where.argmax(axis=1), membership.n_zones)],
            "cut": (first == edges[0]) | (last == edges[1]),
        },
        columns=CONTACT_COLUMNS,
    )
    return table.sort_values(["start_s", "bird", "other"], kind="stable", ignore_index=True)


def _pairs(sums: np.ndarray, contact_rows: np.ndarray, names: np.ndarray, recording: Recording) -> pd.DataFrame:
    n = len(names)
    count, length = np.zeros((n, n), int), np.zeros((n, n))
    i, j = contact_rows[:, :2].astype(np.int64).T
    np.add.at(count, (i, j), 1)
    np.add.at(length, (i, j), _durations(contact_rows, recording))
    count, length = count + count.T, length + length.T
    together, near, nearest = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        weight, share = near / together, nearest / nearest.sum(axis=1, keepdims=True)
    a, b = np.nonzero(~np.eye(n, dtype=bool))
    columns = (
        names[a],
        names[b],
        *(values[a, b] for values in (together, near, weight, count, length, nearest, share)),
    )
    return pd.DataFrame(dict(zip(PAIR_COLUMNS, columns, strict=True)))


@kernel
def _track_contacts(positions, seconds, bin_of, contact, apart, near):
    """Return contacts (M, 5): i, j, first and last frame index, minimum distance; and sums (3, B, B), s.

    The sums are: time together, time nearer than ``near``, time as nearest neighbour.
    """
    n, frames = positions.shape[0], positions.shape[1]
    sums = np.zeros((3, n, n))
    since = np.full((n, n), -1, np.int64)
    least = np.zeros((n, n))
    distance = np.full((n, n), np.nan)
    contact_rows = np.empty((1024, 5))
    count = 0
    for k in range(frames + 1):
        if k < frames and bin_of[k] >= 0:
            _fill_distances(positions, k, distance)
            _add_frame(distance, seconds[k], near, sums)
        else:
            distance[:] = np.nan
        if count + n * n > len(contact_rows):
            contact_rows = np.concatenate((contact_rows, np.empty((len(contact_rows) + n * n, 5))))
        for i in range(n):
            for j in range(i + 1, n):
                d, touching = distance[i, j], since[i, j] >= 0
                close = d < (apart if touching else contact)  # false for NaN
                if close:
                    least[i, j] = min(least[i, j], d) if touching else d
                    since[i, j] = since[i, j] if touching else k
                elif touching:
                    contact_rows[count, 0], contact_rows[count, 1], contact_rows[count, 2] = i, j, since[i, j]
                    contact_rows[count, 3], contact_rows[count, 4] = k - 1, least[i, j]
                    count += 1
                    since[i, j] = -1
    return contact_rows[:count], sums


@kernel
def _fill_distances(positions, k, distance):
    """Fill (B, B) with the distances in frame ``k``; NaN for a bird and itself or one without a position."""
    for i in range(len(distance)):
        for j in range(i):
            dx, dy = positions[i, k, 0] - positions[j, k, 0], positions[i, k, 1] - positions[j, k, 1]
            distance[i, j] = distance[j, i] = np.sqrt(dx * dx + dy * dy)


@kernel
def _add_frame(distance, seconds, near, sums):
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
