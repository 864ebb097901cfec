"""From shares of samples to probabilities that can be believed: a table fitted on rendered leks."""

import json
from functools import cache
from pathlib import Path

import numpy as np

TABLE = Path(__file__).with_name("calibration.json")


def calibrated(share: np.ndarray, described: bool) -> np.ndarray:
    """Return (M,) probabilities for shares of samples, with descriptors or by motion alone."""
    table = read_table()["with_descriptors" if described else "motion_only"]
    return np.interp(share, table["share"], table["p"])


@cache
def read_table() -> dict:
    """Return the table as it lies beside this module; `benchmarks/tracking_calibration.py` makes it."""
    return json.loads(TABLE.read_text())
