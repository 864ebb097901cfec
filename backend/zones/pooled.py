"""Tables of several videos pooled: joined one below the other, and summed by camera, day and hour."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from backend.zones.bird_sequences import UNIDENTIFIED
from backend.zones.measures import HOURLY, Tables

LEVELS = {"camera": ["camera"], "day": ["camera", "day"], "hour": ["camera", "hour"]}
SUMS = ["watched_s", "time_s", "seen_s", "interpolated_s", "missing_s", "visits", "distance", "rest_s", "moving_s"]


def pool_tables(parts: Sequence[Tables]) -> Tables:
    """Return the tables of several videos joined, with ``birds_pooled`` and ``counts_pooled`` added.

    Sums by day and hour are made of bins that end with each hour of the clock, so they do not depend on the width of
    the bins of the other tables.
    """
    names = [name for part in parts for name in part]
    tables = {
        name: pd.concat([part[name] for part in parts if name in part], ignore_index=True)
        for name in dict.fromkeys(names)
    }
    if "birds_by_hour" in tables:
        tables["birds_pooled"] = _birds(tables["birds_by_hour"])
    tables["counts_pooled"] = _counts(tables["counts_by_hour"])
    return {name: table for name, table in tables.items() if name not in HOURLY}


def _birds(table: pd.DataFrame) -> pd.DataFrame:
    """Sum the times of each bird (by name) per camera, per camera and day, per camera and hour of the day."""
    parts = []
    for level, keys in LEVELS.items():
        sums = table.groupby([*keys, "bird", "zone", "kind"], sort=False)[SUMS].sum().reset_index()
        parts.append(sums.assign(by=level))
    pooled = pd.concat(parts, ignore_index=True)
    named = pooled["bird"] != UNIDENTIFIED
    pooled["share"] = (pooled["time_s"] / pooled["watched_s"]).where(named & (pooled["watched_s"] > 0))
    first = ["by", "camera", "day", "hour", "bird", "zone", "kind", "watched_s", "time_s", "share"]
    return _typed(pooled[[*first, *(name for name in SUMS if name not in first)]])


def _counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return time-weighted means of the number of birds. Standard errors of bins are combined as independent."""
    parts = []
    for level, keys in LEVELS.items():
        by = [*keys, "zone", "kind"]
        weighted = table.assign(
            sum=table["birds"] * table["watched_s"], variance=(table["sampling_se"] * table["watched_s"]) ** 2
        ).groupby(by, sort=False)
        pooled = weighted[["watched_s", "sum"]].sum()
        pooled["birds"] = pooled["sum"] / pooled["watched_s"]
        pooled["sampling_se"] = np.sqrt(weighted["variance"].sum(skipna=False)) / pooled["watched_s"]
        parts.append(pooled.drop(columns="sum").reset_index().assign(by=level))
    columns = ["by", "camera", "day", "hour", "zone", "kind", "watched_s", "birds", "sampling_se"]
    return _typed(pd.concat(parts, ignore_index=True)[columns])


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(day=table["day"].fillna(""), hour=table["hour"].fillna(-1).astype(int))
