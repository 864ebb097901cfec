"""How much a doubt matters: what would be booked wrongly, on average, if nobody looked at it.

An error after a doubt lasts from there to ``until_frame``. Where zones are known, what it does to zone statistics is
the time that two birds spend in different zones meanwhile: exchanging two birds that stand in the same zone changes no
number. Without zones it is all of their time. Of two tracks on one bird one is elsewhere, nobody knows where: that
costs the time of one of them in any case.
"""

import numpy as np
import pyarrow as pa

from backend.tracking.tracks.schemas import DoubtKind
from backend.tracking.tracks.tracks import Tracks
from backend.zones.geometry import join_polygons, points_inside
from backend.zones.zone_file import Zones


def effects(tracks: Tracks, doubts: pa.Table, place: np.ndarray | None = None) -> np.ndarray:
    """Return (n,) float64, s of bird-time each doubt would put into a wrong place, times its probability of error.

    Parameters
    ----------
    tracks
        The automatic tracks, which ``doubts`` speaks of.
    doubts
        `DOUBT_COLUMNS`.
    place
        (N,) int64, zone of each row of ``tracks``, from 0 (outside of all, or lost); None where there are no zones.
    """
    n_places = 1 if place is None else int(place.max(initial=0)) + 1
    found = np.zeros(len(doubts))
    summed: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for k, doubt in enumerate(doubts.to_pylist()):
        twice, end = doubt["kind"] == DoubtKind.DUPLICATE, doubt["until_frame"]
        start = doubt["from_frame"] if twice else doubt["to_frame"]
        spent = []
        for track in doubt["tracks"]:
            if track not in summed:
                summed[track] = _summed(tracks, track, place, n_places)
            frames, sums = summed[track]
            first, last = np.searchsorted(frames, [start, end])
            spent.append(sums[last] - sums[first])
        if twice:
            frames_wrong = min(float(each.sum()) for each in spent)
        elif place is None or len(spent) < 2:
            frames_wrong = sum(float(each.sum()) for each in spent)
        else:
            # each bird could be any of the others: the mean over them of what differs
            frames_wrong = sum(float(np.abs(a - b).sum()) for a in spent for b in spent) / (2 * (len(spent) - 1))
        found[k] = doubt["p_error"] * frames_wrong
    return found * float(np.median(np.diff(tracks.frames))) / tracks.fps if tracks.n_frames > 1 else found


def zone_of_rows(tracks: Tracks, zones: Zones) -> np.ndarray:
    """Return (N,) int64: 0 outside of all zones or lost, else 1 + place of the first zone the bird stands in."""
    boxes = tracks.boxes
    points = np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]])
    inside = points_inside(points, *join_polygons([zone.polygon for zone in zones.zones]))  # N x Z
    return np.where(inside.any(1), 1 + inside.argmax(1), 0) if inside.size else np.zeros(len(tracks), np.int64)


def _summed(tracks: Tracks, track: int, place: np.ndarray | None, n_places: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames in which a track is seen, (n,), and (n + 1, P) how often it was in each place before."""
    rows = tracks.rows_of(track)
    rows = rows[~np.isnan(tracks.boxes[rows, 0])]
    sums = np.zeros((len(rows) + 1, n_places), np.int32)
    sums[np.arange(1, len(rows) + 1), 0 if place is None else place[rows]] = 1
    return tracks.frame[rows], np.cumsum(sums, axis=0, dtype=np.int32)
