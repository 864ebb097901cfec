"""Number of birds in each zone, without identities; it does not depend on tracking."""

import numpy as np
import pandas as pd

from backend.tracking.tracks.schemas import State
from backend.zones.bird_sequences import Recording
from backend.zones.membership import Membership
from backend.zones.settings import StatisticsSettings, VideoFacts
from backend.zones.time_budgets import Bins
from backend.zones.uncertainty import block_bootstrap

EVEN_SHARE = 0.5  # intervals this much off the median, a dropped frame or rounded times, count as even
MAX_EVEN_SAMPLES = 1_000_000


def count_tables(
    recording: Recording,
    membership: Membership,
    bins: tuple[Bins, Bins, Bins],
    facts: VideoFacts,
    settings: StatisticsSettings,
) -> dict[str, pd.DataFrame]:
    """Return the tables ``counts``, ``counts_by_time`` and ``counts_by_hour`` of the three ``bins``, in this order."""
    whole, fine, hourly = bins
    numbers, evidence = birds_per_location(recording, membership, settings.birds)
    by_time, by_hour = (_table(recording, membership, numbers, evidence, used, settings) for used in (fine, hourly))
    for table in (by_time, by_hour):
        add_clock(table, facts, settings.time_zone)
    whole_table = _table(recording, membership, numbers, evidence, whole, settings).drop(columns=["start_s", "end_s"])
    return {"counts": whole_table, "counts_by_time": by_time, "counts_by_hour": by_hour}


def add_clock(table: pd.DataFrame, facts: VideoFacts, time_zone: str) -> None:
    """Insert clock time, day and hour of each bin's begin in ``time_zone``; "" and -1 where the start is not known."""
    clock = {start: facts.clock(start, time_zone) for start in table["start_s"].unique()}
    columns = {
        "clock": {start: time.isoformat(timespec="seconds") if time else "" for start, time in clock.items()},
        "day": {start: time.date().isoformat() if time else "" for start, time in clock.items()},
        "hour": {start: time.hour if time else -1 for start, time in clock.items()},
    }
    position = table.columns.get_loc("end_s") + 1
    for offset, (name, values) in enumerate(columns.items()):
        table.insert(position + offset, name, table["start_s"].map(values))


def birds_per_location(
    recording: Recording, membership: Membership, birds: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return (P, F) float64, birds at each location in each frame, and (P, F, 3), the same by `State`.

    Birds without identity count. The number of lost birds is ``birds`` minus those present if ``birds`` is given; else
    the identified birds that are lost minus the birds without identity that are seen, for these may be the same. NaN
    where neither is known.
    """
    frames, n_locations = len(recording.times), len(membership.locations)
    evidence = np.zeros((n_locations, frames, 3))
    named = recording.bird < len(recording.names)
    for location in range(n_locations):
        for state in State:
            rows = membership.inside[:, location] & (recording.state == state)
            if location == n_locations - 1:
                rows &= named
            evidence[location, :, state] = np.bincount(recording.frame_index[rows], minlength=frames)
    numbers = evidence.sum(axis=2)
    here = numbers[-3] + numbers[-2]  # in any zone or outside
    if birds is not None:
        numbers[-1] = np.maximum(0, birds - here)
    elif recording.names:
        nameless = np.bincount(recording.frame_index[~named & ~membership.inside[:, -1]], minlength=frames)
        numbers[-1] = np.maximum(0, numbers[-1] - nameless)
    else:
        numbers[-1] = np.nan
    evidence[-1] = 0
    evidence[-1, :, State.LOST] = numbers[-1]
    return numbers, evidence


def evenly_sampled(values: np.ndarray, recording: Recording, used: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a series at even intervals, and the interval in s, from ``values`` (F',) of the frames ``used`` (F,).

    The bootstrap of a mean takes each sample for as much time. Where the frame rate varies, the value of each frame is
    repeated for as long as it stands.
    """
    seconds = recording.seconds[used]
    interval_s = float(np.median(seconds))
    if np.abs(seconds - interval_s).max() <= EVEN_SHARE * interval_s:
        return values, interval_s
    interval_s = max(float(seconds.min()), float(seconds.sum()) / MAX_EVEN_SAMPLES)
    ends = np.cumsum(seconds)
    at = np.arange(0.5 * interval_s, ends[-1], interval_s)
    return values[np.searchsorted(ends, at, side="right")], interval_s


def _table(
    recording: Recording,
    membership: Membership,
    numbers: np.ndarray,
    evidence: np.ndarray,
    bins: Bins,
    settings: StatisticsSettings,
) -> pd.DataFrame:
    rows = []
    for p, location in enumerate(membership.locations):
        if np.isnan(numbers[p]).all():
            continue  # how many are lost is not known
        for k in range(len(bins)):
            used = bins.of_frame == k
            weight = recording.seconds[used]
            if not len(weight):
                continue
            mean = float(np.average(numbers[p, used], weights=weight))
            even, interval_s = evenly_sampled(numbers[p, used], recording, used)
            sampling = block_bootstrap(even)
            parts = np.average(evidence[p, used], axis=0, weights=weight)
            row = {
                "zone": location.name,
                "kind": location.kind,
                "start_s": bins.edges[k],
                "end_s": bins.edges[k + 1],
                "watched_s": bins.watched_s[k],
                "birds": mean,
                "birds_seen": parts[State.DETECTED],
                "birds_interpolated": parts[State.INTERPOLATED],
                "birds_missing": parts[State.LOST],
                "sampling_se": sampling.se,
                "sampling_low": sampling.low,
                "sampling_high": sampling.high,
                "block_s": sampling.block * interval_s,
            }
            if location.kind != "lost":
                row["detection_low"] = mean * (1 - settings.false) if settings.false is not None else np.nan
                row["detection_high"] = mean / (1 - settings.missed) if settings.missed is not None else np.nan
            rows.append(row)
    return pd.DataFrame(rows)
