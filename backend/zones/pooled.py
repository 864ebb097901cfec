"""Many videos together: tables one below the other, and sums by camera, day and hour."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from backend.zones.tables import Tables

LEVELS = {"camera": ["camera"], "day": ["camera", "day"], "hour": ["camera", "hour"]}
SUMS = ["watched_s", "time_s", "seen_s", "interpolated_s", "missing_s", "visits", "distance", "rest_s", "moving_s"]


def join(parts: Sequence[Tables]) -> Tables:
    """Lay the tables of several videos one below the other, in the order of ``TABLES``, and add the sums."""
    names = [name for part in parts for name in part]
    found = {
        name: pd.concat([part[name] for part in parts if name in part], ignore_index=True)
        for name in dict.fromkeys(names)
    }
    if "birds_by_time" in found:
        found["birds_pooled"] = _birds(found["birds_by_time"])
    found["counts_pooled"] = _counts(found["counts_by_time"])
    return found


def _birds(table: pd.DataFrame) -> pd.DataFrame:
    """Add up times of birds with the same name: by camera, by camera and day, by camera and hour of the day."""
    parts = []
    for level, keys in LEVELS.items():
        sums = table.groupby([*keys, "bird", "zone", "kind"], sort=False)[SUMS].sum().reset_index()
        parts.append(sums.assign(by=level))
    found = pd.concat(parts, ignore_index=True)
    named = found["bird"] != "(not told apart)"
    found["share"] = (found["time_s"] / found["watched_s"]).where(named & (found["watched_s"] > 0))
    first = ["by", "camera", "day", "hour", "bird", "zone", "kind", "watched_s", "time_s", "share"]
    return _typed(found[[*first, *(name for name in SUMS if name not in first)]])


def _counts(table: pd.DataFrame) -> pd.DataFrame:
    """Average numbers of birds, weighted by time. Errors of bins add up as those of independent parts."""
    parts = []
    for level, keys in LEVELS.items():
        by = [*keys, "zone", "kind"]
        weighted = table.assign(
            sum=table["birds"] * table["watched_s"], variance=(table["sampling_se"] * table["watched_s"]) ** 2
        ).groupby(by, sort=False)
        found = weighted[["watched_s", "sum"]].sum()
        found["birds"] = found["sum"] / found["watched_s"]
        found["sampling_se"] = np.sqrt(weighted["variance"].sum(skipna=False)) / found["watched_s"]
        parts.append(found.drop(columns="sum").reset_index().assign(by=level))
    columns = ["by", "camera", "day", "hour", "zone", "kind", "watched_s", "birds", "sampling_se"]
    return _typed(pd.concat(parts, ignore_index=True)[columns])


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(day=table["day"].fillna(""), hour=table["hour"].fillna(-1).astype(int))
