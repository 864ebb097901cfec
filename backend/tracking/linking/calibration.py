"""Calibration: turn shares of Gibbs samples into probabilities that are right as often as they say.

A monotone table (isotonic regression, fitted on rendered leks by `benchmarks/tracking_calibration.py`) lies beside this
module as ``calibration.json``, with the expected calibration error it had on other leks.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np

TABLE = Path(__file__).with_name("calibration.json")
# keys of the table: linked with embeddings; by motion alone; by motion alone with an unknown number of animals
WITH_EMBEDDINGS, MOTION_ONLY, OPEN_SET = "with_descriptors", "motion_only", "open"


def calibrated(share: np.ndarray, kind: str) -> np.ndarray:
    """Return (M,) probabilities for shares of samples (M,), or for probabilities of `link_open_set`.

    ``kind`` is one of the keys above. Linear interpolation between the points of the table.
    """
    table = read_table()[kind]
    return np.interp(share, table["share"], table["p"])


@cache
def read_table() -> dict:
    """Return the table of ``calibration.json``."""
    return json.loads(TABLE.read_text())
