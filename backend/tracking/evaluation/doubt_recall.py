"""How many of the true errors the doubts point to: known only where there is truth, on rendered leks."""

from typing import Any

import numpy as np
import pyarrow as pa
from scipy.optimize import linear_sum_assignment

from backend.tracking.evaluation.correspondence import Compared
from backend.tracking.tracks.tracks import NONE

LONG_S = 5.0  # an error that lasts so long changes statistics


def doubt_recall(both: Compared, truth_rows: np.ndarray, track_rows: np.ndarray, doubts: pa.Table) -> dict[str, Any]:
    """Return what share of wrong bird-time lies in the range of a doubt about its track, and of how many errors.

    Identities are given to birds once for the whole video, so that most matches are right. An *error* is a stretch of
    one track with one wrong bird; a doubt points to it if half of it or more lies between the doubt's first frame and
    ``until_frame``. Stretches of `LONG_S` and more are counted apart: shorter ones are mostly contacts, where the boxes
    of two birds fit either. Shares of nothing are None.

    Parameters
    ----------
    both
        Truth and tracks of the same frames.
    truth_rows, track_rows
        (n,) of every match, by frame (`compared.matches`).
    doubts
        `DOUBT_COLUMNS`.
    """
    told = both.tracks.identity[track_rows] != NONE
    rows = track_rows[told]
    names, name = np.unique(both.tracks.identity[rows], return_inverse=True)
    birds, bird = np.unique(both.truth.who[truth_rows[told]], return_inverse=True)
    together = np.zeros((len(names), len(birds)), np.int64)
    np.add.at(together, (name, bird), 1)
    bird_of = np.full(len(names), NONE)
    bird_of.put(*linear_sum_assignment(-together))
    wrong = bird_of[name] != bird
    frame, track = both.tracks.frame[rows], both.tracks.who[rows]
    covered = np.zeros(len(rows), bool)
    for doubt in doubts.select(["tracks", "from_frame", "until_frame"]).to_pylist():
        inside = (frame >= doubt["from_frame"]) & (frame < doubt["until_frame"])
        covered |= inside & np.isin(track, doubt["tracks"])
    order = np.lexsort((frame, track))
    changes = (np.diff(track[order]) != 0) | (np.diff(bird[order]) != 0)
    stretch = np.concatenate([[0], np.cumsum(changes)])[: len(rows)]
    length, at_doubts = np.bincount(stretch), np.bincount(stretch, covered[order])
    is_error = np.bincount(stretch, wrong[order]) > 0
    long = is_error & (length >= LONG_S * both.fps)
    found = at_doubts >= 0.5 * length
    return {
        "wrong_time": _share(wrong, np.ones_like(wrong)),
        "wrong_time_at_doubts": _share(covered, wrong),
        "right_time_at_doubts": _share(covered, ~wrong),
        "errors": int(is_error.sum()),
        "long_errors": int(long.sum()),
        "long_errors_at_doubts": int((long & found).sum()),
    }


def _share(what: np.ndarray, of: np.ndarray) -> float | None:
    return float(what[of].mean()) if of.any() else None
