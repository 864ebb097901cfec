"""Times and ways by bird, place and time bin: every row is added to its cell once."""

from dataclasses import dataclass

import numpy as np

from backend.project.kernels import kernel
from backend.zones.bird_sequences import Recording
from backend.zones.membership import Membership
from backend.zones.movement import Movement

SEEN, INTERPOLATED, MISSING = 0, 1, 2  # evidence behind a second, `State` of the row
WAY, WAY_S, REST_S, MOVING_S = range(4)


@dataclass(frozen=True, eq=False)
class Bins:
    """Time bins of a recording.

    ``edges`` (K + 1,) float64 s from the video's start; ``of_frame`` (F,) int32, -1 outside of the range;
    ``watched_s`` (K,) float64: seconds of the bin that were looked at.
    """

    edges: np.ndarray
    of_frame: np.ndarray
    watched_s: np.ndarray

    def __len__(self) -> int:
        return len(self.watched_s)


def make_bins(recording: Recording, width_s: float | None, from_s: float = 0.0, to_s: float | None = None) -> Bins:
    """Divide the range [from_s, to_s) of the video's time into bins of ``width_s``; one bin if that is None.

    What lies before the first frame that was looked at, or behind the last, is not part of the range.
    """
    from_s = max(from_s, recording.times[0])
    end = recording.times[-1] + recording.seconds[-1]
    end = end if to_s is None else min(to_s, end)
    edges = np.array([from_s, end]) if width_s is None else np.append(np.arange(from_s, end - 1e-6, width_s), end)
    of_frame = np.searchsorted(edges, recording.times + 1e-9, side="right").astype(np.int32) - 1
    of_frame[(recording.times < from_s - 1e-9) | (recording.times >= end - 1e-9)] = -1
    used = of_frame >= 0
    watched = np.bincount(of_frame[used], recording.seconds[used], minlength=len(edges) - 1)
    return Bins(edges, of_frame, watched)


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums by bird (B named ones, then the nameless together), place (P) and bin (K).

    ``evidence_s`` (B + 1, P, K, 3) float64: seconds seen, interpolated, missing. Missing in a zone: hidden in it, or
    not seen for so short a time that the bird counts as still there.
    ``sums`` (B + 1, P, K, 4): by the constants of this module; ways in the unit of `Movement`.
    ``visits`` (B + 1, P, K) int64: stays that begin in the bin; the one that is on when the range begins counts.
    """

    evidence_s: np.ndarray
    sums: np.ndarray
    visits: np.ndarray

    @property
    def time_s(self) -> np.ndarray:
        """(B + 1, P, K) float64, s."""
        return self.evidence_s.sum(axis=-1)


def fill_cells(
    recording: Recording, membership: Membership, movement: Movement, bins: Bins, rest_below: float
) -> Cells:
    """Add up all rows. A bird slower than ``rest_below`` (unit a second) is at rest."""
    shape = (len(recording.names) + 1, len(membership.places), len(bins))
    evidence, sums, visits = np.zeros((*shape, 3)), np.zeros((*shape, 4)), np.zeros(shape, np.int64)
    lost = len(membership.places) - 1
    _add(
        recording.bird, recording.place, recording.state, recording.starts, recording.seconds, bins.of_frame,
        membership.inside, movement.step, movement.step_s, movement.speed, float(rest_below), lost,
        evidence, sums, visits,
    )  # fmt: skip
    return Cells(evidence, sums, visits)


def mean_distances(recording: Recording, distances: np.ndarray, bins: Bins) -> np.ndarray:
    """Return (B + 1, Z) float64: mean over time of ``distances`` (N, Z) where a bird has a position; NaN for never."""
    weight = np.where(bins.of_frame[recording.place] >= 0, recording.seconds[recording.place], 0.0)
    found = np.full((len(recording.names) + 1, distances.shape[1]), np.nan)
    for zone in range(distances.shape[1]):
        known = np.isfinite(distances[:, zone])
        n = len(found)
        total = np.bincount(recording.bird[known], (weight * distances[:, zone])[known], minlength=n)
        seconds = np.bincount(recording.bird[known], weight[known], minlength=n)
        np.divide(total, seconds, out=found[:, zone], where=seconds > 0)
    return found


@kernel
def _add(
    bird, place, state, starts, seconds, bin_of, inside, step, step_s, speed, rest, lost, evidence, sums, visits
):  # fmt: skip
    places = inside.shape[1]
    nameless = evidence.shape[0] - 1
    for sequence in range(len(starts) - 1):
        for row in range(starts[sequence], starts[sequence + 1]):
            k = bin_of[place[row]]
            if k < 0:
                continue
            b, dt = bird[row], seconds[place[row]]
            first = row == starts[sequence] or bin_of[place[row - 1]] < 0
            for p in range(places):
                if not inside[row, p] or (p == lost and b == nameless):
                    continue
                evidence[b, p, k, state[row]] += dt
                if first or not inside[row - 1, p]:
                    visits[b, p, k] += 1
                if not np.isnan(step[row]):
                    sums[b, p, k, WAY] += step[row]
                    sums[b, p, k, WAY_S] += step_s[row]
                    if speed[row] < rest:
                        sums[b, p, k, REST_S] += dt
                    else:
                        sums[b, p, k, MOVING_S] += dt
