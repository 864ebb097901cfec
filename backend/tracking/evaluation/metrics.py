"""Tracking metrics (HOTA, CLEAR MOT, IDF1; by `trackeval`), calibration of p_identity, and recall of the doubts.

HOTA: Luiten et al. 2021, doi 10.1007/s11263-020-01375-2. CLEAR MOT: Bernardin and Stiefelhagen 2008, doi
10.1155/2008/246309. IDF1: Ristani et al. 2016, doi 10.1007/978-3-319-48881-3_2.
"""

import warnings
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.optimize import linear_sum_assignment

from backend.tracking.evaluation.correspondence import Correspondence
from backend.tracking.tracks.tracks import NONE

WINDOWS_S = (60, 600, 3600)
BINS = 10
LONG_ERROR_S = 5.0  # an error of at least this duration changes statistics

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a library that is not ours
    from trackeval.metrics import CLEAR, HOTA, Identity

QUIET = {"PRINT_CONFIG": False}


def tracking_metrics(correspondence: Correspondence) -> dict[str, float | int | None]:
    """Return the tracking metrics, as shares of 1 or counts.

    IDF1 of a window length is that of all whole windows of this length together; None where the video is shorter.
    """
    data = _data(correspondence, 0, len(correspondence.frames))
    hota = HOTA().eval_sequence(data)
    clear = CLEAR(QUIET).eval_sequence(data)
    identity = Identity(QUIET)
    result: dict[str, float | int | None] = {
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
        result[f"IDF1_{seconds // 60}min"] = _windowed(correspondence, identity, round(seconds * correspondence.fps))
    return result


def calibration(
    correspondence: Correspondence, truth_rows: np.ndarray, track_rows: np.ndarray
) -> dict[str, Any] | None:
    """Return how often identities with a probability are right, as a reliability diagram; None without any.

    Identities are matched with birds once for the whole video, so that most rows are right. A row counts if it has an
    identity and a probability and matches a bird. The expected calibration error (Naeini et al. 2015, doi
    10.1609/aaai.v29i1.9602) is the mean difference between probability and share of right rows over `BINS` bins of
    equal width, weighted by rows.
    """
    claimed = correspondence.tracks.identity[track_rows]
    p = correspondence.tracks.p_identity[track_rows].astype(np.float64)
    counted = (claimed != NONE) & np.isfinite(p)
    if not counted.any():
        return None
    claimed, p, bird = claimed[counted], p[counted], correspondence.truth.ids[truth_rows][counted]
    names, name_index = np.unique(claimed, return_inverse=True)
    bird_ids, bird_index = np.unique(bird, return_inverse=True)
    counts = np.zeros((len(names), len(bird_ids)), np.int64)
    np.add.at(counts, (name_index, bird_index), 1)
    rows, columns = linear_sum_assignment(-counts)
    bird_of = np.full(len(names), -1)
    bird_of[rows] = columns
    is_right = bird_of[name_index] == bird_index
    bin_index = np.minimum((p * BINS).astype(int), BINS - 1)
    n, p_sum, right_count = (np.bincount(bin_index, values, BINS) for values in (None, p, is_right))
    with np.errstate(invalid="ignore"):
        table = [
            {
                "from": k / BINS,
                "to": (k + 1) / BINS,
                "rows": int(n[k]),
                "said": p_sum[k] / n[k],
                "right": right_count[k] / n[k],
            }
            for k in range(BINS)
            if n[k]
        ]
    return {
        "expected_calibration_error": float(np.abs(p_sum - right_count).sum() / n.sum()),
        "rows": int(n.sum()),
        "right": float(is_right.mean()),
        "bins": table,
    }


def doubt_recall(
    correspondence: Correspondence, truth_rows: np.ndarray, track_rows: np.ndarray, doubts: pa.Table
) -> dict[str, Any]:
    """Return the share of wrong bird-time that lies in the range of a doubt about its track, and of how many errors.

    Identities are matched with birds once for the whole video, so that most rows are right. An *error* is a stretch of
    one track with one wrong bird; a doubt points to it if half of it or more lies between the doubt's first frame and
    ``until_frame``. Errors of `LONG_ERROR_S` and more are counted separately: shorter ones are mostly contacts, where
    the boxes of two birds fit either. Shares of nothing are None.

    Parameters
    ----------
    correspondence
        Truth and tracks of the same frames.
    truth_rows, track_rows
        (n,) of every match, by frame (`matches`).
    doubts
        `DOUBT_COLUMNS`.
    """
    assigned = correspondence.tracks.identity[track_rows] != NONE
    rows = track_rows[assigned]
    names, name = np.unique(correspondence.tracks.identity[rows], return_inverse=True)
    bird_ids, bird = np.unique(correspondence.truth.ids[truth_rows[assigned]], return_inverse=True)
    counts = np.zeros((len(names), len(bird_ids)), np.int64)
    np.add.at(counts, (name, bird), 1)
    bird_of = np.full(len(names), NONE)
    bird_of.put(*linear_sum_assignment(-counts))
    is_wrong = bird_of[name] != bird
    frame, track = correspondence.tracks.frame[rows], correspondence.tracks.ids[rows]
    in_doubt = np.zeros(len(rows), bool)
    for doubt in doubts.select(["tracks", "from_frame", "until_frame"]).to_pylist():
        inside = (frame >= doubt["from_frame"]) & (frame < doubt["until_frame"])
        in_doubt |= inside & np.isin(track, doubt["tracks"])
    order = np.lexsort((frame, track))
    changes = (np.diff(track[order]) != 0) | (np.diff(bird[order]) != 0)
    stretch = np.concatenate([[0], np.cumsum(changes)])[: len(rows)]
    length, at_doubts = np.bincount(stretch), np.bincount(stretch, in_doubt[order])
    is_error = np.bincount(stretch, is_wrong[order]) > 0
    long = is_error & (length >= LONG_ERROR_S * correspondence.fps)
    pointed_to = at_doubts >= 0.5 * length
    return {
        "wrong_time": _share(is_wrong, np.ones_like(is_wrong)),
        "wrong_time_at_doubts": _share(in_doubt, is_wrong),
        "right_time_at_doubts": _share(in_doubt, ~is_wrong),
        "errors": int(is_error.sum()),
        "long_errors": int(long.sum()),
        "long_errors_at_doubts": int((long & pointed_to).sum()),
    }


def _share(what: np.ndarray, of: np.ndarray) -> float | None:
    return float(what[of].mean()) if of.any() else None


def _windowed(correspondence: Correspondence, identity: Identity, length: int) -> float | None:
    windows = range(0, len(correspondence.frames) - length + 1, length) if length else ()
    parts = {str(first): identity.eval_sequence(_data(correspondence, first, first + length)) for first in windows}
    return float(identity.combine_sequences(parts)["IDF1"]) if parts else None


def _data(correspondence: Correspondence, first: int, last: int) -> dict[str, Any]:
    """Return the frames ``first`` to ``last`` (not included) as `trackeval` takes them."""
    sides = {}
    for name, annotations, starts in (
        ("gt", correspondence.truth, correspondence.truth_starts),
        ("tracker", correspondence.tracks, correspondence.track_starts),
    ):
        unique, ids = np.unique(annotations.ids[starts[first] : starts[last]], return_inverse=True)
        cuts = starts[first + 1 : last] - starts[first]
        sides |= {f"{name}_ids": np.split(ids, cuts), f"num_{name}_ids": len(unique), f"num_{name}_dets": len(ids)}
    return {**sides, "num_timesteps": last - first, "similarity_scores": correspondence.similarity[first:last]}
