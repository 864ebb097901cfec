"""Short clips around a doubt, and the masks of detections by frame."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from backend.pipeline.detections import DetectionsRun
from backend.video.frame_cache import CachedFrames, Crop

CLIP_FRAMES = 36  # at most, of one clip
MAX_CHUNKS = 3  # of detections kept in memory, a minute each


def clip(frames: CachedFrames, first: int, last: int, width: int, crop: Crop) -> Iterator[tuple[int, bytes]]:
    """Yield number and JPEG of at most `CLIP_FRAMES` evenly spaced frames from ``first`` to ``last``."""
    step = max(1, -(-(last + 1 - first) // CLIP_FRAMES))
    for frame in range(first, last + 1, step):
        yield frame, frames.jpeg(frame, width, crop)


class DetectionMasks:
    """Masks of the detections that the tracks were made from. Safe for use from several threads."""

    def __init__(self, run: DetectionsRun | None):
        self._run = run
        self._chunks: dict[Path | str, object] = {}
        self._lock = threading.Lock()

    def at(self, frame: int) -> list[bytes | None]:
        """Return the run-length codes (COCO counts) of a frame's detections, in their order; [] if there are none."""
        if self._run is None:
            return []
        chunk = next((each for each in self._run.chunks if each.from_frame <= frame < each.to_frame), None)
        if chunk is None:
            return []
        with self._lock:
            loaded = self._chunks.pop(chunk.detections_file, None) or self._run.load(chunk)
            self._chunks[chunk.detections_file] = loaded
            while len(self._chunks) > MAX_CHUNKS:
                del self._chunks[next(iter(self._chunks))]
        first, last = np.searchsorted(loaded.detections.frame, [frame, frame + 1])
        return [loaded.detections.counts(int(row)) for row in range(first, last)]
