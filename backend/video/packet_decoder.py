"""`PacketDecoder`, the base class of the decoders: packets from any key frame on, frames in display order.

Its subclasses turn packets into pictures: `decode_av` on the CPU, `decode_nv` on a GPU. `reader` chooses one.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from backend.video.colour import Planes
from backend.video.containers import open_video_file
from backend.video.index import PacketIndex


class DecodingError(Exception):
    """A packet cannot be decoded.

    ``pts`` is the packet's display time in the stream's time base; the damage may lie up to ``lag`` packets earlier.
    """

    def __init__(self, reason: str, pts: int | None = None, lag: int = 0):
        super().__init__(reason)
        self.pts = pts
        self.lag = lag


@dataclass(frozen=True)
class Decoded:
    """A decoded frame: display time in the stream's time base, and the picture in the decoder's own form."""

    pts: int
    corrupt: bool
    payload: Any


class PacketDecoder(ABC):
    """One open file. Frames come in display order, from the key frame that `seek` went to.

    Attributes
    ----------
    landed
        Display time of the first packet decoded since `seek`: frames displayed before it lack their reference frames.
    hasty
        Whether damage may be reported for the wrong frame; it must be confirmed after `seek` with ``hasty`` False.
    """

    hasty = False

    container: InputContainer
    stream: VideoStream

    def __init__(self, path: Path, index: PacketIndex):
        self.path = path
        self.index = index
        self.landed: int | None = None
        self._packets: Iterator[av.Packet] = iter(())
        self._ready: deque[Decoded] = deque()
        self._pending_error: DecodingError | None = None  # raised once the frames in `_ready` were returned
        self._finished = False
        self._awaits_key = False
        self._open()

    @abstractmethod
    def start(self) -> None:
        """Set up decoding for the stream that was just opened. InputError if it cannot be decoded here."""

    @abstractmethod
    def decode(self, packet: av.Packet) -> list[Decoded]:
        """Decode ``packet`` and return the frames that are ready; DecodingError if it cannot be decoded."""

    @abstractmethod
    def drain(self) -> list[Decoded]:
        """Return the frames still inside the decoder and reset it; DecodingError if a hasty decoder lost any."""

    @abstractmethod
    def picture(self, frame: Decoded) -> Planes | np.ndarray:
        """Return the planes of ``frame``, or (H, W, 3) uint8 RGB where the file stores RGB."""

    def seek(self, timestamp: int | None, reopen: bool = False) -> None:
        """Continue from the key frame at or before ``timestamp`` (stream's time base); None: from the first packet.

        ``reopen`` opens the file again, because the decoder met damage: flushing it does not clear all of its state.
        Damage in frames that were decoded but not yet returned does the same.
        """
        if reopen or self._left_damaged():
            self.close()
            self._open()
        self._ready.clear()
        self._pending_error, self._finished, self.landed = None, False, None
        self._awaits_key = timestamp is not None
        target = self.index.first_seek if timestamp is None else timestamp
        try:
            self.container.seek(target, stream=self.stream, backward=True)
        except (av.error.FFmpegError, OSError) as error:
            raise DecodingError(f"the file cannot be searched: {error.strerror or error}") from error
        self._packets = self.container.demux(self.stream)

    def next(self) -> Decoded | None:
        """Return the next frame, None at the end. Raises DecodingError, after which it can be called again."""
        while not self._ready:
            if self._pending_error is not None:
                error, self._pending_error = self._pending_error, None
                raise error
            if self._finished:
                return None
            try:
                packet = self._next_packet()
                self._finished = packet is None
                self._ready.extend(self.drain() if packet is None else self.decode(packet))
            except DecodingError as error:
                self._pending_error = error
        return self._ready.popleft()

    def close(self) -> None:
        """Close the file; free threads and memory."""
        self._ready.clear()
        self._packets = iter(())
        self.container.close()

    def _left_damaged(self) -> bool:
        """Empty the decoder and return whether any frame left inside was damaged."""
        try:
            left = [*self._ready, *self.drain()]
        except DecodingError:
            return True
        return self._pending_error is not None or any(frame.corrupt for frame in left)

    def _open(self) -> None:
        self.container, self.stream = open_video_file(self.path)
        try:
            self.start()
        except BaseException:
            self.container.close()
            raise

    def _next_packet(self) -> av.Packet | None:
        """Return the next packet that can be decoded, with its display time; None at the end."""
        while True:
            try:
                packet = next(self._packets, None)
            except av.error.EOFError:
                return None
            except (av.error.FFmpegError, OSError) as error:
                self._finished = True
                raise DecodingError(f"the file cannot be read on: {error.strerror or error}") from error
            if packet is None or not packet.size:
                return None
            if packet.is_corrupt:
                self._ready.extend(self.drain())  # what came before it is sound
                self._awaits_key, self.landed = True, None
                raise DecodingError("a packet is cut off or damaged", packet.pts)
            if packet.is_keyframe or not self._awaits_key:
                self._awaits_key = False
                packet.pts = packet.dts if packet.pts is None else packet.pts
                self.landed = packet.pts if self.landed is None else self.landed
                return packet
