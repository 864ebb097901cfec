"""How many birds are in each zone, without asking who they are: it holds where tracking fails."""

import numpy as np
import pandas as pd

from backend.tracking.tracks.schemas import State
from backend.zones.bird_sequences import Recording
from backend.zones.cells import Bins
from backend.zones.membership import Membership
from backend.zones.settings import Measures, VideoFacts
from backend.zones.uncertainty import block_bootstrap


def count_tables(
    recording: Recording, membership: Membership, whole: Bins, fine: Bins, facts: VideoFacts, measures: Measures
) -> dict[str, pd.DataFrame]:
    """Return the tables ``counts`` and ``counts_by_time``."""
    numbers, evidence = birds_in_places(recording, membership, measures.birds)
    by_time = _table(recording, membership, numbers, evidence, fine, measures)
    add_clock(by_time, facts, measures.time_zone)
    whole_table = _table(recording, membership, numbers, evidence, whole, measures).drop(columns=["start_s", "end_s"])
    return {"counts": whole_table, "counts_by_time": by_time}


def add_clock(table: pd.DataFrame, facts: VideoFacts, time_zone: str) -> None:
    """Add clock time, day and hour in a zone at which a bin begins; empty (hour -1) where the start is not known."""
    clock = {start: facts.clock(start, time_zone) for start in table["start_s"].unique()}
    columns = {
        "clock": {start: time.isoformat(timespec="seconds") if time else "" for start, time in clock.items()},
        "day": {start: time.date().isoformat() if time else "" for start, time in clock.items()},
        "hour": {start: time.hour if time else -1 for start, time in clock.items()},
    }
    place = table.columns.get_loc("end_s") + 1
    for offset, (name, values) in enumerate(columns.items()):
        table.insert(place + offset, name, table["start_s"].map(values))


def birds_in_places(
    recording: Recording, membership: Membership, birds: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return (P, F) float64, birds in each place in each frame, and (P, F, 3), the same by evidence.

    Nameless birds count. The number of lost ones is what is missing to ``birds`` if that is given; else the named ones
    that are lost, less the nameless ones that are seen, for these may be the same. NaN where neither is known.
    """
    frames, places = len(recording.times), len(membership.places)
    evidence = np.zeros((places, frames, 3))
    named = recording.bird < len(recording.names)
    for place in range(places):
        for state in State:
            rows = membership.inside[:, place] & (recording.state == state)
            if place == places - 1:
                rows &= named
            evidence[place, :, state] = np.bincount(recording.place[rows], minlength=frames)
    numbers = evidence.sum(axis=2)
    here = numbers[-3] + numbers[-2]  # in any zone or outside
    if birds is not None:
        numbers[-1] = np.maximum(0, birds - here)
    elif recording.names:
        nameless = np.bincount(recording.place[~named & ~membership.inside[:, -1]], minlength=frames)
        numbers[-1] = np.maximum(0, numbers[-1] - nameless)
    else:
        numbers[-1] = np.nan
    evidence[-1] = 0
    evidence[-1, :, State.LOST] = numbers[-1]
    return numbers, evidence


def _table(
    recording: Recording,
    membership: Membership,
    numbers: np.ndarray,
    evidence: np.ndarray,
    bins: Bins,
    measures: Measures,
) -> pd.DataFrame:
    rows = []
    usual = float(np.median(recording.seconds))
    for p, place in enumerate(membership.places):
        if np.isnan(numbers[p]).all():
            continue  # how many are lost is not known
        for k in range(len(bins)):
            used = bins.of_frame == k
            weight = recording.seconds[used]
            if not len(weight):
                continue
            mean = float(np.average(numbers[p, used], weights=weight))
            sampling = block_bootstrap(numbers[p, used])
            parts = np.average(evidence[p, used], axis=0, weights=weight)
            row = {
                "zone": place.name,
                "kind": place.kind,
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
                "block_s": sampling.block * usual,
            }
            if place.kind != "lost":
                row["detection_low"] = mean * (1 - measures.false) if measures.false is not None else np.nan
                row["detection_high"] = mean / (1 - measures.missed) if measures.missed is not None else np.nan
            rows.append(row)
    return pd.DataFrame(rows)
