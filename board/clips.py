"""What the board shows of a video beside single frames: loops of a crossing, and the masks of detections."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from backend.pipeline.detections import DetectionsRun
from backend.video.frame_cache import Crop, ShownFrames

LOOP_PICTURES = 36  # of a crossing's loop
CHUNKS = 3  # of detections held, a minute each


def loop(frames: ShownFrames, first: int, last: int, width: int, crop: Crop) -> Iterator[tuple[int, bytes]]:
    """Yield frame and JPEG of at most `LOOP_PICTURES` frames from ``first`` to ``last``, evenly spaced."""
    for frame in range(first, last + 1, max(1, -(-(last + 1 - first) // LOOP_PICTURES))):
        yield frame, frames.jpeg(frame, width, crop)


class Masks:
    """Masks of the detections behind tracks, by frame and number."""

    def __init__(self, run: DetectionsRun | None):
        self._run = run
        self._chunks: dict[Path | str, object] = {}
        self._lock = threading.Lock()

    def at(self, frame: int) -> list[bytes | None]:
        """Return the COCO counts of a frame's detections, in their order; none where they are not known."""
        if self._run is None:
            return []
        chunk = next((each for each in self._run.chunks if each.from_frame <= frame < each.to_frame), None)
        if chunk is None:
            return []
        with self._lock:
            loaded = self._chunks.pop(chunk.detections_file, None) or self._run.load(chunk)
            self._chunks[chunk.detections_file] = loaded
            while len(self._chunks) > CHUNKS:
                del self._chunks[next(iter(self._chunks))]
        first, last = np.searchsorted(loaded.found.frame, [frame, frame + 1])
        return [loaded.found.counts(int(row)) for row in range(first, last)]
