"""Effect of a doubt: the bird-time, s, that would be wrong on average if it stayed unreviewed.

An error after a doubt lasts until its ``until_frame``. With zones, its effect is the time that the two birds spend in
different zones meanwhile: exchanging two birds in the same zone changes no zone statistic. Without zones it is all of
their time. Of two tracks on one bird, one bird is elsewhere: that costs the time of one of them in any case.
"""

import numpy as np
import pyarrow as pa

from backend.tracking.tracks.schemas import DoubtKind
from backend.tracking.tracks.tracks import Tracks
from backend.zones.geometry import join_polygons, points_inside
from backend.zones.zone_file import Zones


def effects(tracks: Tracks, doubts: pa.Table, zone: np.ndarray | None = None) -> np.ndarray:
    """Return (n,) float64, s, the bird-time that each doubt would assign wrongly, times its probability of error.

    Parameters
    ----------
    tracks
        The automatic tracks, to which ``doubts`` belong.
    doubts
        `DOUBT_COLUMNS`.
    zone
        (N,) int64, zone of each row of ``tracks`` as of `zone_of_rows`; None: without zones.
    """
    n_zones = 1 if zone is None else int(zone.max(initial=0)) + 1
    costs = np.zeros(len(doubts))
    cumulative: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for k, doubt in enumerate(doubts.to_pylist()):
        is_duplicate, until_frame = doubt["kind"] == DoubtKind.DUPLICATE, doubt["until_frame"]
        first_frame = doubt["from_frame"] if is_duplicate else doubt["to_frame"]
        frames_in_zones = []
        for track in doubt["tracks"]:
            if track not in cumulative:
                cumulative[track] = _cumulative(tracks, track, zone, n_zones)
            frames, counts = cumulative[track]
            first, last = np.searchsorted(frames, [first_frame, until_frame])
            frames_in_zones.append(counts[last] - counts[first])
        if is_duplicate:
            wrong_frames = min(float(in_zones.sum()) for in_zones in frames_in_zones)
        elif zone is None or len(frames_in_zones) < 2:
            wrong_frames = sum(float(in_zones.sum()) for in_zones in frames_in_zones)
        else:
            # each bird could be any of the others: the mean over them of what differs
            differences = sum(float(np.abs(a - b).sum()) for a in frames_in_zones for b in frames_in_zones)
            wrong_frames = differences / (2 * (len(frames_in_zones) - 1))
        costs[k] = doubt["p_error"] * wrong_frames
    return costs * float(np.median(np.diff(tracks.frames))) / tracks.fps if tracks.n_frames > 1 else costs


def zone_of_rows(tracks: Tracks, zones: Zones) -> np.ndarray:
    """Return (N,) int64: 0 outside of all zones or lost, else 1 + index of the first zone that the bird stands in."""
    boxes = tracks.boxes
    points = np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]])
    inside = points_inside(points, *join_polygons([zone.polygon for zone in zones.zones]))  # N x Z
    return np.where(inside.any(1), 1 + inside.argmax(1), 0) if inside.size else np.zeros(len(tracks), np.int64)


def _cumulative(tracks: Tracks, track: int, zone: np.ndarray | None, n_zones: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames in which a track is seen, (n,), and how often it was in each zone before each, (n + 1, Z)."""
    rows = tracks.rows_of(track)
    rows = rows[~np.isnan(tracks.boxes[rows, 0])]
    counts = np.zeros((len(rows) + 1, n_zones), np.int32)
    counts[np.arange(1, len(rows) + 1), 0 if zone is None else zone[rows]] = 1
    return tracks.frame[rows], np.cumsum(counts, axis=0, dtype=np.int32)
