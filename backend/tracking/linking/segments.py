"""Split tracklets into segments where the online tracker may have switched identity: at contacts and gaps.

Linking decides for each segment which animal it is, so it may undo an identity switch inside a tracklet.
"""

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.online.tracklets import Sightings

CONTACT_OVERLAP = 0.3  # share of a box that lies in another one: the animals are in contact
GAP_S = 0.5
MIN_SIGHTINGS = 8  # of a segment
MAX_SEGMENT_S = 20.0
SHORT_S = 1.0  # shorter segments say little: of the number of animals, of scores, of what is a false positive


def box_overlaps(starts: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return (N,) float64, the largest share of each box that lies in another box of its frame.

    ``starts`` (F + 1,) are the first rows of each frame in ``boxes`` (N, 4) x1 y1 x2 y2, px.
    """
    return _box_overlaps(starts, boxes.astype(np.float64))


def split_rows(sightings: Sightings, overlap: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Return (P + 1,) int64: rows of ``sightings`` at which segments begin, and the number of rows at the end.

    ``overlap`` (N,) is the share of each box in other boxes, ``seconds`` (N,) the time of each sighting.
    """
    return np.flatnonzero(_splits(sightings.starts, overlap, seconds))


@kernel
def _box_overlaps(starts, boxes):
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
def _splits(starts, overlap, seconds):
    """Return (N + 1,) bool. A contact is split where boxes overlap most, a long stretch without contact anywhere."""
    splits = np.zeros(len(overlap) + 1, np.bool_)
    splits[starts] = True
    for m in range(len(starts) - 1):
        begin = starts[m]  # of the current segment
        row = begin
        while row < starts[m + 1]:
            at = -1
            if row > begin and seconds[row] - seconds[row - 1] > GAP_S:
                at = row
            elif overlap[row] > CONTACT_OVERLAP:
                at = row
                while row + 1 < starts[m + 1] and overlap[row + 1] > CONTACT_OVERLAP:
                    row += 1
                    if overlap[row] > overlap[at]:
                        at = row
            elif seconds[row] - seconds[begin] > MAX_SEGMENT_S:
                at = row
            if at - begin >= MIN_SIGHTINGS and starts[m + 1] - at >= MIN_SIGHTINGS:
                splits[at] = True
                begin = at
            row += 1
    return splits
