"""Tables of tracklets and of their detections, built from the associations of stage 1 for linking (stage 2)."""

from dataclasses import dataclass

import numpy as np

from backend.project.kernels import kernel
from backend.tracking.online.track_state import FRAGMENT, GAP

MIN_DETECTIONS = 5
ENDS = 5  # detections at either end from which position and velocity are fitted


@dataclass(frozen=True)
class Sightings:
    """The detections of tracklets, sorted by tracklet, then frame. Arrays of one length.

    ``tracklet`` counts from 0 without gaps; ``at`` is the index of the frame among the processed frames.
    """

    tracklet: np.ndarray  # (N,) int32
    at: np.ndarray  # (N,) int32
    frame: np.ndarray  # (N,) int32
    detection: np.ndarray  # (N,) int32
    boxes: np.ndarray  # (N, 4) float32 x1 y1 x2 y2, px; of a bird in two fragments the box around both
    score: np.ndarray  # (N,) float32
    starts: np.ndarray  # (M + 1,) int64: tracklet m has the rows starts[m]:starts[m + 1]

    def __len__(self) -> int:
        return len(self.tracklet)


@dataclass(frozen=True)
class Tracklets:
    """One row for each tracklet, sorted by first frame. Positions are px, velocities px/s, times s."""

    first: np.ndarray  # (M,) int32, index of the frame
    last: np.ndarray  # (M,) int32, included
    begin_s: np.ndarray  # (M,) float64
    end_s: np.ndarray  # (M,)
    n: np.ndarray  # (M,) int32, number of detections
    score: np.ndarray  # (M,) float32, mean score
    crowd: np.ndarray  # (M,) int8: `track_state.SINGLE`, `SEVERAL` or `PERHAPS_SEVERAL` birds
    reason: np.ndarray  # (M,) int8, why it ended: `track_state.GAP`, `CROSSING`, `MERGE` or `SPLIT`
    begin_xy: np.ndarray  # (M, 2) float64
    begin_v: np.ndarray  # (M, 2)
    end_xy: np.ndarray  # (M, 2)
    end_v: np.ndarray  # (M, 2)
    begin_size: np.ndarray  # (M,) body size, px
    end_size: np.ndarray  # (M,)

    def __len__(self) -> int:
        return len(self.first)


def build_tracklets(
    at: np.ndarray,
    frame: np.ndarray,
    detection: np.ndarray,
    boxes: np.ndarray,
    score: np.ndarray,
    tracklet: np.ndarray,
    kind: np.ndarray,
    endings: np.ndarray,
    times: np.ndarray,
) -> tuple[Sightings, Tracklets]:
    """Build the tables of tracklets; those of fewer than `MIN_DETECTIONS` detections are left out.

    Parameters
    ----------
    at, frame, detection, boxes, score
        (N, ...) of every detection, as in `Sightings`.
    tracklet, kind, endings
        `Associations` of all chunks.
    times
        (F,) float64, times of the processed frames, s.
    """
    boxes = boxes.astype(np.float32)
    _join_fragments(at, tracklet, kind, boxes)
    rows = np.flatnonzero((tracklet > 0) & (kind != FRAGMENT))
    rows = rows[np.lexsort((at[rows], tracklet[rows]))]
    ids, starts, counts = np.unique(tracklet[rows], return_index=True, return_counts=True)
    keep = counts >= MIN_DETECTIONS
    order = np.argsort(at[rows][starts[keep]], kind="stable")
    ids, starts, counts = ids[keep][order], starts[keep][order], counts[keep][order]
    selected = np.concatenate([np.zeros(0, np.int64), *(rows[s : s + n] for s, n in zip(starts, counts, strict=True))])
    begins = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    sightings = Sightings(
        np.repeat(np.arange(len(ids), dtype=np.int32), counts),
        at[selected].astype(np.int32),
        frame[selected].astype(np.int32),
        detection[selected].astype(np.int32),
        boxes[selected],
        score[selected].astype(np.float32),
        begins,
    )
    reason = np.full(int(tracklet.max(initial=0)) + 1, GAP, np.int8)
    reason[endings[:, 0]] = endings[:, 1]
    crowd = kind[selected[begins[:-1]]].astype(np.int8)  # SINGLE, SEVERAL and PERHAPS_SEVERAL are kinds, too
    return sightings, summarise(sightings, times, reason[ids], crowd)


def _join_fragments(at: np.ndarray, tracklet: np.ndarray, kind: np.ndarray, boxes: np.ndarray) -> None:
    """Enlarge the box of a bird in two fragments to enclose both, in place."""
    fragments = np.flatnonzero((kind == FRAGMENT) & (tracklet > 0))
    if not len(fragments):
        return
    key = at.astype(np.int64) << 32 | tracklet
    mains = np.flatnonzero((kind != FRAGMENT) & (tracklet > 0))
    order = mains[np.argsort(key[mains])]
    main = order[np.searchsorted(key[order], key[fragments])]
    boxes[main, :2] = np.minimum(boxes[main, :2], boxes[fragments, :2])
    boxes[main, 2:] = np.maximum(boxes[main, 2:], boxes[fragments, 2:])


def summarise(sightings: Sightings, times: np.ndarray, reason: np.ndarray, crowd: np.ndarray) -> Tracklets:
    """Return the tracklets of ``sightings``; ``reason`` and ``crowd`` are (M,) as in `Tracklets`."""
    starts, boxes = sightings.starts, sightings.boxes.astype(np.float64)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    size = np.sqrt(np.maximum(1, np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)))
    seconds = times[sightings.at]
    begin_xy, begin_v, begin_size = _ends(starts, centre, size, seconds, False)
    end_xy, end_v, end_size = _ends(starts, centre, size, seconds, True)
    n = np.diff(starts)
    mean = np.add.reduceat(sightings.score, starts[:-1]) / n if len(n) else np.zeros(0, np.float32)
    first, last = sightings.at[starts[:-1]], sightings.at[starts[1:] - 1]
    return Tracklets(
        first,
        last,
        times[first],
        times[last],
        n.astype(np.int32),
        mean,
        crowd,
        reason,
        begin_xy,
        begin_v,
        end_xy,
        end_v,
        begin_size,
        end_size,
    )


@kernel
def _ends(starts, centre, size, seconds, at_end):
    """Return position, velocity and body size at one end of each tracklet: a line fitted to `ENDS` detections."""
    m = len(starts) - 1
    xy, v, sizes = np.zeros((m, 2)), np.zeros((m, 2)), np.zeros(m)
    for k in range(m):
        first, last = starts[k], starts[k + 1]
        if at_end:
            first = max(first, last - ENDS)
        else:
            last = min(last, first + ENDS)
        n = last - first
        t0 = seconds[last - 1] if at_end else seconds[first]
        mean_t = mean_s = variance = 0.0
        mean = np.zeros(2)
        for row in range(first, last):
            mean_t += (seconds[row] - t0) / n
            mean_s += size[row] / n
            mean += centre[row] / n
        slope = np.zeros(2)
        for row in range(first, last):
            off = seconds[row] - t0 - mean_t
            variance += off * off
            slope += off * (centre[row] - mean)
        if variance > 0.0:
            slope /= variance * (1.0 + 2.0 / n)  # shrunk towards 0 where there are few detections
        xy[k], v[k], sizes[k] = mean - slope * mean_t, slope, mean_s
    return xy, v, sizes
