"""Moments in which two tracks hold one bird: their masks lie in each other, which those of two birds hardly do."""

from dataclasses import dataclass

import numpy as np

from backend.pipeline.detections import ChunkDetections, DetectionsRun
from backend.project.kernels import kernel
from backend.tracking.online.overlap import MAX_RUNS, box_iou, column_runs, common_pixels, rle_buffers
from backend.tracking.tracks.tracks import NONE, Tracks

CONTAINED = 0.6  # share of the smaller mask that lies in the other
SAME_BOX = 0.7  # IoU of boxes, where a mask is missing
LEAST_S, PAUSE_S = 0.4, 0.5  # a moment lasts so long in all, with pauses of at most so much


@dataclass(frozen=True)
class Duplicate:
    """Two tracks on one bird, ``at`` places of frames ``[from_at, to_at)``."""

    tracks: tuple[int, int]
    from_at: int
    to_at: int
    share: float  # mean over its frames of how much of the smaller mask lies in the other


def find_duplicates(run: DetectionsRun, tracks: Tracks) -> list[Duplicate]:
    """Return all moments in which two tracks hold one bird, by first frame. Masks are read a chunk at a time."""
    rows = np.flatnonzero(tracks.detection != NONE)
    frame, boxes = tracks.frame[rows], tracks.boxes[rows].astype(np.float64)
    pairs, shares = [np.zeros((0, 2), np.int64)], [np.zeros(0)]
    for chunk in run.chunks:
        first, last = np.searchsorted(frame, [chunk.from_frame, chunk.to_frame])
        near = first + _near(frame[first:last], boxes[first:last])
        if not len(near):
            continue
        part = run.load(chunk)
        found = np.stack([_found(part, frame[side], tracks.detection[rows[side]]) for side in near.T], axis=1)
        share = _shares(found, boxes[near], *rle_buffers(part.found.rle), run.facts.height)
        held = share >= 1.0
        pairs.append(rows[near[held]])
        shares.append(np.minimum(1.0, CONTAINED * share[held]))
    return _moments(tracks, np.concatenate(pairs), np.concatenate(shares))


def _found(part: ChunkDetections, frame: np.ndarray, detection: np.ndarray) -> np.ndarray:
    key = part.found.frame.astype(np.int64) << 32 | part.found.detection
    return np.searchsorted(key, frame.astype(np.int64) << 32 | detection)


def _moments(tracks: Tracks, pairs: np.ndarray, shares: np.ndarray) -> list[Duplicate]:
    ids = np.sort(tracks.track_id[pairs], axis=1)
    at = np.searchsorted(tracks.frames, tracks.frame[pairs[:, 0]])
    order = np.lexsort((at, ids[:, 1], ids[:, 0]))
    ids, at, shares = ids[order], at[order], shares[order]
    apart = (np.diff(ids, axis=0) != 0).any(axis=1) | (np.diff(tracks.times[at]) > PAUSE_S)
    stretches = np.split(np.arange(len(at)), np.flatnonzero(apart) + 1)
    least = max(2, round(LEAST_S * tracks.fps))
    found = [
        Duplicate((int(ids[k[0], 0]), int(ids[k[0], 1])), int(at[k[0]]), int(at[k[-1]]) + 1, float(shares[k].mean()))
        for k in stretches
        if len(k) >= least
    ]
    return sorted(found, key=lambda each: (each.from_at, each.tracks))


@kernel
def _near(frame, boxes):
    """Return (n, 2) rows of one frame of which one box lies in the other by at least `CONTAINED`; sorted by frame."""
    found = [(0, 0) for _ in range(0)]
    for i in range(len(frame)):
        j = i + 1
        while j < len(frame) and frame[j] == frame[i]:
            w = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
            h = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
            one = (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
            two = (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1])
            if w > 0.0 and h > 0.0 and w * h >= CONTAINED * min(one, two):
                found.append((i, j))
            j += 1
    pairs = np.empty((len(found), 2), np.int64)
    for k in range(len(found)):
        pairs[k, 0], pairs[k, 1] = found[k]
    return pairs


@kernel
def _shares(found, boxes, offsets, codes, height):
    """Return (n,) how much pairs of detections ``found`` (n, 2) share, 1.0 where it is just enough for one bird."""
    shares = np.zeros(len(found))
    runs = np.empty((2, MAX_RUNS, 3), np.int32)
    n, area = np.zeros(2, np.int64), np.zeros(2, np.int64)
    for k in range(len(found)):
        for side in range(2):
            row = found[k, side]
            n[side], area[side] = column_runs(codes, offsets[row], offsets[row + 1], height, 1, runs[side])
        if n[0] > 0 and n[1] > 0:
            common = common_pixels(runs[0], n[0], 0, 0, runs[1], n[1])
            shares[k] = common / min(area[0], area[1]) / CONTAINED
        else:
            a, b = boxes[k]
            shares[k] = box_iou(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]) / SAME_BOX
    return shares
