"""From shares of samples to probabilities that can be believed: a table fitted on rendered leks."""

import json
from functools import cache
from pathlib import Path

import numpy as np

TABLE = Path(__file__).with_name("calibration.json")


DESCRIBED, MOTION_ONLY, OPEN = "with_descriptors", "motion_only", "open"  # open: by motion, number of birds unknown


def calibrated(share: np.ndarray, kind: str) -> np.ndarray:
    """Return (M,) probabilities for shares of samples, or of `link_open`, by a table of a ``kind`` named above."""
    table = read_table()[kind]
    return np.interp(share, table["share"], table["p"])


@cache
def read_table() -> dict:
    """Return the table as it lies beside this module; `benchmarks/tracking_calibration.py` makes it."""
    return json.loads(TABLE.read_text())
