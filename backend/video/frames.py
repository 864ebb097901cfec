"""Finding one frame: where to begin decoding, which frames to trust, and what to do when the target is not met."""

from pathlib import Path

from backend.video.decoder import Decoded, Decoder, DecodingError
from backend.video.errors import DamagedFrameError
from backend.video.index import PacketIndex


class FrameFinder:
    """Yields the frame asked for from a decoder that can only go forward from key frames."""

    def __init__(self, path: Path, index: PacketIndex, decoder: Decoder):
        self._path = path
        self._index = index
        self._decoder = decoder
        self._held: tuple[int, Decoded] | None = None  # decoded, but beyond what was asked for
        self._next: int | None = None  # number of the first frame not yet decoded; None where that is not known
        self._damage = ""  # why frames cannot be trusted until the next key frame

    def fetch(self, frame: int) -> Decoded:
        """Return frame number ``frame`` (inside the video). Raises DamagedFrameError if it cannot be had right."""
        if self._goes_on_to(frame):
            return self._forward(frame)
        for start in self._index.starts_for(frame):
            try:
                self._decoder.seek(start)
            except DecodingError as error:
                raise DamagedFrameError(self._path, frame, str(error)) from error
            self._held, self._next, self._damage = None, None, ""
            self._held = self._decode()
            if self._held is not None and self._held[0] <= frame:
                return self._forward(frame)
        raise DamagedFrameError(self._path, frame, self._damage or "no key frame before it leads to it")

    def _goes_on_to(self, frame: int) -> bool:
        """Whether going forward from here is the shortest way to ``frame``."""
        if self._held is not None:
            return self._held[0] == frame or (self._held[0] < frame and not self._key_between(self._held[0], frame))
        return self._next is not None and self._next <= frame and not self._key_between(self._next, frame)

    def _key_between(self, here: int, there: int) -> bool:
        """Whether a key frame lies after ``here``, up to ``there``: then seeking saves decoding."""
        first, last = self._index.key_pts.searchsorted(self._index.pts[[here, there]], side="right")
        return bool(last > first)

    def _forward(self, frame: int) -> Decoded:
        """Decode up to ``frame``, which lies ahead."""
        while True:
            found = self._held or self._decode()
            self._held = None
            if found is None:
                raise DamagedFrameError(self._path, frame, self._damage or "the file ends before it")
            number, decoded = found
            if number > frame:
                self._held = found
                raise DamagedFrameError(self._path, frame, self._damage or "the decoder left it out")
            if number == frame:
                if self._damage or decoded.corrupt:
                    raise DamagedFrameError(self._path, frame, self._damage or "the decoder marks it as corrupt")
                return decoded

    def _decode(self) -> tuple[int, Decoded] | None:
        """Return the next frame that is in the index and can build on what was decoded; None at the end."""
        while True:
            try:
                decoded = self._decoder.next()
            except DecodingError as error:
                self._damage = str(error)
                continue
            if decoded is None:
                self._next = None
                return None
            if decoded.key:
                self._damage = ""
            number = self._index.frame_of(decoded.pts)
            landed = self._decoder.landed
            if number is None or (landed is not None and decoded.pts < landed):
                continue
            if self._next is not None and number < self._next:
                continue  # a second frame of the same time
            self._next = number + 1
            return number, decoded
