"""Tracklets cut where stage 1 may have been wrong unnoticed: in contacts and at gaps. Linking may part them."""

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.online.tracklets import Sightings

CONTACT = 0.3  # share of a box that lies in another one
GAP_S = 0.5
LEAST = 8  # sightings of a part
LONGEST_S = 20.0


def hidden_shares(starts: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return (N,) float64, the largest share of each box that lies in another box of its frame.

    ``starts`` (F + 1,) are the rows of each frame in ``boxes`` (N, 4).
    """
    return _hidden_shares(starts, boxes.astype(np.float64))


def cut(sightings: Sightings, hidden: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Return (P + 1,) int64: rows of ``sightings`` at which parts begin, and their number at the end."""
    return np.flatnonzero(_cuts(sightings.starts, hidden, seconds))


@kernel
def _hidden_shares(starts, boxes):
    share = np.zeros(len(boxes))
    for f in range(len(starts) - 1):
        for i in range(starts[f], starts[f + 1]):
            area = max(1.0, (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1]))
            for j in range(starts[f], starts[f + 1]):
                if j != i:
                    w = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
                    h = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
                    if w > 0 and h > 0:
                        share[i] = max(share[i], w * h / area)
    return share


@kernel
def _cuts(starts, hidden, seconds):
    """Return (N + 1,) bool. In a contact the cut is where most is hidden, in a long calm stretch anywhere."""
    cuts = np.zeros(len(hidden) + 1, np.bool_)
    cuts[starts] = True
    for m in range(len(starts) - 1):
        last = starts[m]  # begin of the open part
        row = last
        while row < starts[m + 1]:
            at = -1
            if row > last and seconds[row] - seconds[row - 1] > GAP_S:
                at = row
            elif hidden[row] > CONTACT:
                at = row
                while row + 1 < starts[m + 1] and hidden[row + 1] > CONTACT:
                    row += 1
                    if hidden[row] > hidden[at]:
                        at = row
            elif seconds[row] - seconds[last] > LONGEST_S:
                at = row
            if at - last >= LEAST and starts[m + 1] - at >= LEAST:
                cuts[at] = True
                last = at
            row += 1
    return cuts
