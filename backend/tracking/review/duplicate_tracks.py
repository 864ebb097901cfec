"""Duplicate tracks: moments in which two tracks are on one bird. Then one mask contains most of the other."""

from dataclasses import dataclass

import numpy as np

from backend.pipeline.detections import ChunkDetections, DetectionsRun
from backend.project.kernels import kernel
from backend.tracking.online.overlap import MAX_RUNS, box_iou, column_runs, common_pixels, rle_buffers
from backend.tracking.tracks.tracks import NONE, Tracks

CONTAINED = 0.6  # share of the smaller mask that lies in the other
SAME_BOX_IOU = 0.7  # IoU of boxes, where a mask is missing
MIN_DURATION_S, MAX_PAUSE_S = 0.4, 0.5  # a duplicate lasts this long in all, with pauses no longer than this


@dataclass(frozen=True)
class Duplicate:
    """Two tracks on one bird in the frames with index ``[from_at, to_at)``."""

    tracks: tuple[int, int]
    from_at: int
    to_at: int
    share: float  # mean over its frames of how much of the smaller mask lies in the other


def find_duplicates(run: DetectionsRun, tracks: Tracks) -> list[Duplicate]:
    """Return all moments in which two tracks are on one bird, by first frame; masks are read a chunk at a time."""
    rows = np.flatnonzero(tracks.detection != NONE)
    frame, boxes = tracks.frame[rows], tracks.boxes[rows].astype(np.float64)
    pairs, shares = [np.zeros((0, 2), np.int64)], [np.zeros(0)]
    for chunk in run.chunks:
        first, last = np.searchsorted(frame, [chunk.from_frame, chunk.to_frame])
        candidates = first + _contained_pairs(frame[first:last], boxes[first:last])
        if not len(candidates):
            continue
        part = run.load(chunk)
        detections = [_detection_rows(part, frame[side], tracks.detection[rows[side]]) for side in candidates.T]
        share = _mask_shares(
            np.stack(detections, axis=1), boxes[candidates], *rle_buffers(part.detections.rle), run.facts.height
        )
        same_bird = share >= 1.0
        pairs.append(rows[candidates[same_bird]])
        shares.append(np.minimum(1.0, CONTAINED * share[same_bird]))
    return _stretches(tracks, np.concatenate(pairs), np.concatenate(shares))


def _detection_rows(part: ChunkDetections, frame: np.ndarray, detection: np.ndarray) -> np.ndarray:
    key = part.detections.frame.astype(np.int64) << 32 | part.detections.detection
    return np.searchsorted(key, frame.astype(np.int64) << 32 | detection)


def _stretches(tracks: Tracks, pairs: np.ndarray, shares: np.ndarray) -> list[Duplicate]:
    ids = np.sort(tracks.track_id[pairs], axis=1)
    at = np.searchsorted(tracks.frames, tracks.frame[pairs[:, 0]])
    order = np.lexsort((at, ids[:, 1], ids[:, 0]))
    ids, at, shares = ids[order], at[order], shares[order]
    separate = (np.diff(ids, axis=0) != 0).any(axis=1) | (np.diff(tracks.times[at]) > MAX_PAUSE_S)
    stretches = np.split(np.arange(len(at)), np.flatnonzero(separate) + 1)
    min_frames = max(2, round(MIN_DURATION_S * tracks.fps))
    duplicates = [
        Duplicate((int(ids[k[0], 0]), int(ids[k[0], 1])), int(at[k[0]]), int(at[k[-1]]) + 1, float(shares[k].mean()))
        for k in stretches
        if len(k) >= min_frames
    ]
    return sorted(duplicates, key=lambda duplicate: (duplicate.from_at, duplicate.tracks))


@kernel
def _contained_pairs(frame, boxes):
    """Return (n, 2) rows of one frame of which one box contains `CONTAINED` of the other; sorted by frame."""
    contained = [(0, 0) for _ in range(0)]
    for i in range(len(frame)):
        j = i + 1
        while j < len(frame) and frame[j] == frame[i]:
            w = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
            h = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
            area = (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
            other_area = (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1])
            if w > 0.0 and h > 0.0 and w * h >= CONTAINED * min(area, other_area):
                contained.append((i, j))
            j += 1
    pairs = np.empty((len(contained), 2), np.int64)
    for k in range(len(contained)):
        pairs[k, 0], pairs[k, 1] = contained[k]
    return pairs


@kernel
def _mask_shares(pairs, boxes, offsets, codes, height):
    """Return (n,) the overlap of masks, or else boxes, of ``pairs`` (n, 2); 1.0 is just enough for one bird."""
    shares = np.zeros(len(pairs))
    runs = np.empty((2, MAX_RUNS, 3), np.int32)
    n_runs, areas = np.zeros(2, np.int64), np.zeros(2, np.int64)
    for k in range(len(pairs)):
        for side in range(2):
            row = pairs[k, side]
            n_runs[side], areas[side] = column_runs(codes, offsets[row], offsets[row + 1], height, 1, runs[side])
        if n_runs[0] > 0 and n_runs[1] > 0:
            common = common_pixels(runs[0], n_runs[0], 0, 0, runs[1], n_runs[1])
            shares[k] = common / min(areas[0], areas[1]) / CONTAINED
        else:
            a, b = boxes[k]
            shares[k] = box_iou(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]) / SAME_BOX_IOU
    return shares
