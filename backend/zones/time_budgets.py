"""Time budgets: seconds, path lengths and visits by bird, location and time bin. Every row is counted once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from backend.project.kernels import kernel
from backend.zones.bird_sequences import Recording
from backend.zones.membership import Membership
from backend.zones.movement import Movement

SEEN, INTERPOLATED, MISSING = 0, 1, 2  # last axis of `TimeBudgets.evidence_s`: `State` of the row
PATH_LENGTH, PATH_S, REST_S, MOVING_S = range(4)  # last axis of `TimeBudgets.sums`


@dataclass(frozen=True, eq=False)
class Bins:
    """Time bins of a recording.

    ``edges`` (K + 1,) float64 s from the video's start; ``of_frame`` (F,) int32, -1 outside of the range;
    ``watched_s`` (K,) float64: observed seconds of the bin.
    """

    edges: np.ndarray
    of_frame: np.ndarray
    watched_s: np.ndarray

    def __len__(self) -> int:
        return len(self.watched_s)


def make_bins(recording: Recording, width_s: float | None, from_s: float = 0.0, to_s: float | None = None) -> Bins:
    """Divide the range [from_s, to_s) of the video's time into bins of ``width_s``; one bin if that is None.

    The range is cut to the analysed frames: from the first one to the end of the last one.
    """
    from_s = max(from_s, recording.times[0])
    end = recording.times[-1] + recording.seconds[-1]
    end = end if to_s is None else min(to_s, end)
    edges = np.array([from_s, end]) if width_s is None else np.append(np.arange(from_s, end - 1e-6, width_s), end)
    return _bins(recording, edges)


def hourly_bins(recording: Recording, whole: Bins, clock: Callable[[float], datetime | None]) -> Bins:
    """Divide the range of ``whole`` where the hours of the clock begin; one bin where the start is not known.

    ``clock`` gives the local time at a second of the video.
    """
    from_s, end = float(whole.edges[0]), float(whole.edges[-1])
    edges = [from_s]
    while (time := clock(edges[-1])) is not None:
        into_hour_s = time.minute * 60 + time.second + time.microsecond / 1e6
        following = edges[-1] + 3600 - into_hour_s
        if following >= end - 1e-6:
            break
        edges.append(following)
    return _bins(recording, np.array([*edges, end]))


def _bins(recording: Recording, edges: np.ndarray) -> Bins:
    from_s, end = edges[0], edges[-1]
    of_frame = np.searchsorted(edges, recording.times + 1e-9, side="right").astype(np.int32) - 1
    of_frame[(recording.times < from_s - 1e-9) | (recording.times >= end - 1e-9)] = -1
    used = of_frame >= 0
    watched = np.bincount(of_frame[used], recording.seconds[used], minlength=len(edges) - 1)
    return Bins(edges, of_frame, watched)


@dataclass(frozen=True, eq=False)
class TimeBudgets:
    """Sums by bird (B identified ones, then all rows without identity), location (P) and time bin (K).

    ``evidence_s`` (B + 1, P, K, 3) float64: seconds seen, interpolated, missing. Missing in a zone: hidden in it, or
    not seen for too short a time to be lost.
    ``sums`` (B + 1, P, K, 4) float64: path length (unit of `Movement`), s of those steps, s at rest, s moving.
    ``visits`` (B + 1, P, K) int64: stays that begin in the bin; one that is under way when the range begins counts.
    """

    evidence_s: np.ndarray
    sums: np.ndarray
    visits: np.ndarray

    @property
    def time_s(self) -> np.ndarray:
        """(B + 1, P, K) float64, s."""
        return self.evidence_s.sum(axis=-1)


def sum_time_budgets(
    recording: Recording, membership: Membership, movement: Movement, bins: Bins, rest_below: float
) -> TimeBudgets:
    """Sum all rows into time budgets. A bird slower than ``rest_below`` (m/s, or px/s without scale) is at rest."""
    shape = (len(recording.names) + 1, len(membership.locations), len(bins))
    evidence, sums, visits = np.zeros((*shape, 3)), np.zeros((*shape, 4)), np.zeros(shape, np.int64)
    lost = len(membership.locations) - 1
    _add(
        recording.bird, recording.frame_index, recording.state, recording.starts, recording.seconds, bins.of_frame,
        membership.inside, movement.step, movement.step_s, movement.speed, float(rest_below), lost,
        evidence, sums, visits,
    )  # fmt: skip
    return TimeBudgets(evidence, sums, visits)


def mean_distances(recording: Recording, distances: np.ndarray, bins: Bins) -> np.ndarray:
    """Return (B + 1, Z) float64: time-weighted mean of ``distances`` (N, Z); NaN for a bird without any position."""
    weight = np.where(bins.of_frame[recording.frame_index] >= 0, recording.seconds[recording.frame_index], 0.0)
    means = np.full((len(recording.names) + 1, distances.shape[1]), np.nan)
    for zone in range(distances.shape[1]):
        known = np.isfinite(distances[:, zone])
        n = len(means)
        total = np.bincount(recording.bird[known], (weight * distances[:, zone])[known], minlength=n)
        seconds = np.bincount(recording.bird[known], weight[known], minlength=n)
        np.divide(total, seconds, out=means[:, zone], where=seconds > 0)
    return means


@kernel
def _add(
    bird, frame_index, state, starts, seconds, bin_of, inside, step, step_s, speed, rest, lost, evidence, sums, visits
):  # fmt: skip
    n_locations = inside.shape[1]
    nameless = evidence.shape[0] - 1
    for sequence in range(len(starts) - 1):
        for row in range(starts[sequence], starts[sequence + 1]):
            k = bin_of[frame_index[row]]
            if k < 0:
                continue
            b, dt = bird[row], seconds[frame_index[row]]
            first = row == starts[sequence] or bin_of[frame_index[row - 1]] < 0
            for p in range(n_locations):
                if not inside[row, p] or (p == lost and b == nameless):
                    continue
                evidence[b, p, k, state[row]] += dt
                if first or not inside[row - 1, p]:
                    visits[b, p, k] += 1
                if not np.isnan(step[row]):
                    sums[b, p, k, PATH_LENGTH] += step[row]
                    sums[b, p, k, PATH_S] += step_s[row]
                    if speed[row] < rest:
                        sums[b, p, k, REST_S] += dt
                    else:
                        sums[b, p, k, MOVING_S] += dt
