"""How good tracks are: HOTA, CLEAR MOT and identity measures by `trackeval`, and how far p_identity can be believed."""

import warnings
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.tracking.evaluation.correspondence import Compared
from backend.tracking.tracks.tracks import NONE

WINDOWS_S = (60, 600, 3600)
BINS = 10

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a library that is not ours
    from trackeval.metrics import CLEAR, HOTA, Identity

QUIET = {"PRINT_CONFIG": False}


def measures(both: Compared) -> dict[str, float | int | None]:
    """Return the usual measures, shares of 1.

    IDF1 of a window length is that of all whole windows of this length together, None where the video is shorter.
    """
    data = _data(both, 0, len(both.frames))
    hota = HOTA().eval_sequence(data)
    clear = CLEAR(QUIET).eval_sequence(data)
    identity = Identity(QUIET)
    found: dict[str, float | int | None] = {
        "HOTA": float(np.mean(hota["HOTA"])),
        "DetA": float(np.mean(hota["DetA"])),
        "AssA": float(np.mean(hota["AssA"])),
        "IDF1": float(identity.eval_sequence(data)["IDF1"]),
        "MOTA": float(clear["MOTA"]),
        "identity_switches": int(clear["IDSW"]),
        "mostly_tracked": int(clear["MT"]),
        "birds": data["num_gt_ids"],
        "tracks": data["num_tracker_ids"],
        "matched_share": float(clear["CLR_TP"] / max(1, data["num_gt_dets"])),
    }
    for seconds in WINDOWS_S:
        found[f"IDF1_{seconds // 60}min"] = _windowed(both, identity, round(seconds * both.fps))
    return found


def calibration(both: Compared, truth_rows: np.ndarray, track_rows: np.ndarray) -> dict[str, Any] | None:
    """Return how often what is claimed with a probability is right; None where nothing is claimed.

    Identities are given to birds once for the whole video, so that most matches are right. A row counts if it has an
    identity and a probability and matches a bird. The expected calibration error is the mean difference between
    probability and share of right ones over `BINS` bins of equal width, by rows.
    """
    claimed = both.tracks.identity[track_rows]
    p = both.tracks.p_identity[track_rows].astype(np.float64)
    counted = (claimed != NONE) & np.isfinite(p)
    if not counted.any():
        return None
    claimed, p, bird = claimed[counted], p[counted], both.truth.who[truth_rows][counted]
    names, name_at = np.unique(claimed, return_inverse=True)
    birds, bird_at = np.unique(bird, return_inverse=True)
    together = np.zeros((len(names), len(birds)), np.int64)
    np.add.at(together, (name_at, bird_at), 1)
    rows, columns = linear_sum_assignment(-together)
    bird_of = np.full(len(names), -1)
    bird_of[rows] = columns
    right = bird_of[name_at] == bird_at
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    n, said, was = (np.bincount(place, values, BINS) for values in (None, p, right))
    with np.errstate(invalid="ignore"):
        table = [
            {"from": k / BINS, "to": (k + 1) / BINS, "rows": int(n[k]), "said": said[k] / n[k], "right": was[k] / n[k]}
            for k in range(BINS)
            if n[k]
        ]
    return {
        "expected_calibration_error": float(np.abs(said - was).sum() / n.sum()),
        "rows": int(n.sum()),
        "right": float(right.mean()),
        "bins": table,
    }


def _windowed(both: Compared, identity: Identity, length: int) -> float | None:
    windows = range(0, len(both.frames) - length + 1, length) if length else ()
    parts = {str(first): identity.eval_sequence(_data(both, first, first + length)) for first in windows}
    return float(identity.combine_sequences(parts)["IDF1"]) if parts else None


def _data(both: Compared, first: int, last: int) -> dict[str, Any]:
    """Return the frames ``first`` to ``last`` (not included) in the form that `trackeval` takes."""
    sides = {}
    for name, shown, starts in (
        ("gt", both.truth, both.truth_starts),
        ("tracker", both.tracks, both.track_starts),
    ):
        who, ids = np.unique(shown.who[starts[first] : starts[last]], return_inverse=True)
        cuts = starts[first + 1 : last] - starts[first]
        sides |= {f"{name}_ids": np.split(ids, cuts), f"num_{name}_ids": len(who), f"num_{name}_dets": len(ids)}
    return {**sides, "num_timesteps": last - first, "similarity_scores": both.similarity[first:last]}
