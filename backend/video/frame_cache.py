"""Cache of decoded frames and JPEGs of one video, for interactive pages, limited in bytes."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable

import cv2
import numpy as np

from backend.project.errors import InputError
from backend.video.frame_errors import DamagedFrameError
from backend.video.reader import VideoReader
from backend.video.resize import resize

QUALITY = 90  # of JPEGs: no visible blocks at the border of a bird
STEP_BACK_FRAMES = 12  # frames decoded at once for a step backwards: one run from the key frame yields them all
Crop = tuple[int, int, int, int]  # x, y, width, height, px of the frame


class ByteCache:
    """Least-recently-used cache whose values take at most ``limit`` bytes together."""

    def __init__(self, limit: int):
        self.limit, self.used = limit, 0
        self._values: OrderedDict[object, tuple[object, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object) -> object | None:
        """Return a value, None if it is not in the cache."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: object, value: object, size: int) -> None:
        """Store a value of ``size`` bytes; the least recently used are dropped. Above ``limit`` it is not stored."""
        with self._lock:
            if key in self._values:
                self.used -= self._values.pop(key)[1]
            if size > self.limit:
                return
            self._values[key] = (value, size)
            self.used += size
            while self.used > self.limit:
                self.used -= self._values.popitem(last=False)[1][1]


class CachedFrames:
    """Frames of one video with a cache. Safe for several threads; one decodes at a time.

    Parameters
    ----------
    open_reader
        Opens the video. Callers that need a reader of their own may call it, too.
    cache_bytes
        Limit of decoded frames and JPEGs together, bytes: three quarters frames, one quarter JPEGs.
    """

    def __init__(self, open_reader: Callable[[], VideoReader], cache_bytes: int):
        self.open_reader = open_reader
        self._reader = open_reader()
        self._decoding = threading.Lock()
        self._frames = ByteCache(cache_bytes * 3 // 4)
        self._jpegs = ByteCache(cache_bytes // 4)
        self._last = -1

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._reader)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self._reader.size

    @property
    def fps(self) -> float:
        """Mean frame rate, Hz."""
        return self._reader.fps

    def check(self, frame: int) -> int:
        """Return ``frame`` if the video has it, else raise InputError."""
        if not 0 <= frame < len(self):
            raise InputError(f"frame {frame} is not there: the video has frames 0 to {len(self) - 1}")
        return frame

    def frame(self, frame: int) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB of a frame, shared with the cache: do not write into it."""
        kept = self._frames.get(self.check(frame))
        if kept is not None:
            self._last = frame
            return kept
        with self._decoding:
            kept = self._frames.get(frame)
            if kept is not None:
                return kept
            back = self._last - STEP_BACK_FRAMES <= frame < self._last
            room = max(1, self._frames.limit // (3 * self.size[0] * self.size[1]))
            first = max(0, frame - min(STEP_BACK_FRAMES, room) + 1) if back else frame
            for number in range(first, frame):  # for the next steps back; damage in them is no error yet
                with contextlib.suppress(DamagedFrameError):
                    self._keep(number)
            own = self._keep(frame)
            self._last = frame
            return own

    def _keep(self, frame: int) -> np.ndarray:
        """Decode a frame into the cache and return it."""
        picture = self._reader.read([frame])[0]
        self._frames.put(frame, picture, picture.nbytes)
        return picture

    def jpeg(self, frame: int, width: int, crop: Crop | None = None) -> bytes:
        """Return a JPEG of a frame or of ``crop``, at most ``width`` px wide, never enlarged."""
        key = (frame, width, crop)
        kept = self._jpegs.get(key)
        if kept is not None:
            return kept
        picture = self.frame(frame)
        if crop is not None:
            x, y, w, h = crop
            picture = np.ascontiguousarray(picture[y : y + h, x : x + w])
        height, full = picture.shape[:2]
        wide = min(width, full)
        bgr = cv2.cvtColor(resize(picture, (wide, max(1, round(height * wide / full)))), cv2.COLOR_RGB2BGR)
        data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        self._jpegs.put(key, data, len(data))
        return data

    def close(self) -> None:
        """Close the video."""
        with self._decoding:
            self._reader.close()
