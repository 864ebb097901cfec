"""Runs stage 1 over a detections run, a chunk at a time: memory does not depend on the length of the video."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from backend.pipeline.detections import ChunkDetections
from backend.tracking.online.affinity import USUAL_SCALE
from backend.tracking.online.association import follow
from backend.tracking.online.motion import DAMPING_S, FOLLOWED
from backend.tracking.online.overlap import LONGEST
from backend.tracking.online.track_state import JUMP_TO_SCALE, Chunk, Flock, Found, Rules

COLUMNS_A_BIRD = 40  # columns of a mask of usual width that are compared
MORE = 1.5  # growth of what turned out too small


@dataclass(frozen=True)
class Followed:
    """What stage 1 says of a chunk: tracklet (0: none) and kind of each detection, and endings (see `Found`)."""

    tracklet: np.ndarray
    kind: np.ndarray
    endings: np.ndarray


def usual_rules(height: int, frame_s: float, widths: np.ndarray) -> Rules:
    """Return the rules for a video.

    Parameters
    ----------
    height
        Of the picture, px.
    frame_s
        Time between frames that are looked at.
    widths
        (N,) of some birds, px.
    """
    return Rules(
        high=0.5,
        low=0.1,
        least=0.0,
        least_near=5.0,
        margin=8.0,
        coast_s=1.0,
        share_s=1.0,
        doubt_s=1.0,
        damping_s=DAMPING_S,
        frame_s=frame_s,
        column_step=column_step(widths),
        height=height,
    )


class Follower:
    """Follows birds through chunk after chunk."""

    def __init__(self, rules: Rules, slots: int = 64):
        self.rules = rules
        self._next_tracklet = 1
        self._next_index = 0
        self._flock = _flock(slots)
        self._scratch = np.empty((slots + 1, LONGEST, 3), np.int32)

    def follow(self, chunk: Chunk) -> Followed:
        """Follow birds through a chunk that comes after the one before."""
        n = len(chunk.boxes)
        found = Found(np.zeros(n, np.int64), np.zeros(n, np.int8), np.zeros((n + 1024, 4), np.int64))
        frame = n_endings = 0
        frames = len(chunk.times)
        most = int(np.diff(chunk.starts).max(initial=0))
        if most >= len(self._scratch):
            self._scratch = np.empty((most + 1, LONGEST, 3), np.int32)
        chunk = chunk._replace(index=self._next_index)
        while True:
            frame, self._next_tracklet, n_endings = follow(
                chunk, self._flock, self.rules, self._scratch, found, frame, self._next_tracklet, n_endings
            )
            if frame == frames:
                break
            found = self._make_room(found, n_endings, most)
        self._next_index += frames
        return Followed(found.tracklet, found.kind, found.endings[:n_endings].copy())

    def _make_room(self, found: Found, n_endings: int, most: int) -> Found:
        flock = self._flock
        used = int((flock.birds["tracklet"] > 0).sum())
        slots = max(len(flock.birds), int(MORE * (used + most)) + 1)
        if slots > len(flock.birds):
            self._flock = _flock(slots)
            for new, old in zip(self._flock, flock, strict=True):
                new[: len(old)] = old
        room = np.zeros((n_endings + 4 * slots, 4), np.int64)
        room[:n_endings] = found.endings[:n_endings]
        return found._replace(endings=room if len(room) > len(found.endings) else found.endings)


def chunk_of(part: ChunkDetections, motion: np.ndarray | None = None) -> Chunk:
    """Return one chunk of a detections run in the form that stage 1 takes."""
    found = part.found
    offsets, codes = rle_buffers(found.rle)
    return Chunk(
        0,
        part.starts,
        part.seen.time_s.astype(np.float64),
        found.boxes.astype(np.float64),
        found.score.astype(np.float64),
        offsets,
        codes,
        np.zeros((0, 6)) if motion is None else motion,
    )


def rle_buffers(rle: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return (N + 1,) int64 offsets into (bytes,) uint8 of a column of compressed counts; null is empty."""
    if rle.null_count == len(rle):
        return np.zeros(len(rle) + 1, np.int64), np.zeros(1, np.uint8)
    if rle.null_count:
        rle = rle.fill_null(b"")
    _, offsets, data = rle.buffers()
    kind = np.int64 if pa.types.is_large_binary(rle.type) else np.int32
    places = np.frombuffer(offsets, kind)[rle.offset : rle.offset + len(rle) + 1].astype(np.int64)
    codes = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    return places, codes


def column_step(widths: np.ndarray) -> int:
    """Return how many columns of masks may be left out for birds of these widths, px."""
    return max(1, int(np.median(widths) / COLUMNS_A_BIRD)) if len(widths) else 1


def _flock(slots: int) -> Flock:
    return Flock(
        np.zeros(slots, FOLLOWED),
        np.zeros(slots, FOLLOWED),
        np.zeros((slots, LONGEST, 3), np.int32),
        np.array([JUMP_TO_SCALE * USUAL_SCALE]),
    )
