"""What all decoders share: packets from FFmpeg, from any key frame on, and pictures in display order.

A decoder of its own kind says how a packet becomes pictures (`PacketDecoder`); which kinds there are stands at the end.
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

from backend.project.errors import InputError
from backend.video.colour import Planes
from backend.video.index import PacketIndex
from backend.video.source import open_video_file

DECODERS = ("pyav", "nvdec")


class DecodingError(Exception):
    """The decoder could not make sense of a packet.

    ``pts`` is the display time of the packet it was given, ``lag`` how many packets earlier the trouble may lie.
    """

    def __init__(self, reason: str, pts: int | None = None, lag: int = 0):
        super().__init__(reason)
        self.pts = pts
        self.lag = lag


@dataclass(frozen=True)
class Decoded:
    """One frame as it left the decoder: its display time in the stream's time base, and what only its decoder reads."""

    pts: int
    corrupt: bool
    payload: Any


class PacketDecoder(ABC):
    """One open file. Frames come in display order from where `seek` led.

    Attributes
    ----------
    landed
        Display time of the first packet decoded since `seek`: frames shown before it lack what they build on.
    hasty
        Whether what looks like damage may be wrongly placed, and has to be judged again after `seek` with ``hasty``
        set to False.
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
        self._trouble: DecodingError | None = None  # to be raised once what is ready was taken
        self._finished = False
        self._awaits_key = False
        self._open()

    @abstractmethod
    def start(self) -> None:
        """Set up decoding for the stream that was just opened. InputError if it cannot be decoded here."""

    @abstractmethod
    def decode(self, packet: av.Packet) -> list[Decoded]:
        """Return what comes out when ``packet`` goes in; DecodingError if it makes no sense."""

    @abstractmethod
    def drain(self) -> list[Decoded]:
        """Return all that is still inside, and be ready for another stretch.

        DecodingError if a hasty decoder lost any of it.
        """

    @abstractmethod
    def picture(self, frame: Decoded) -> Planes | np.ndarray:
        """Return the planes of ``frame``, or (H, W, 3) uint8 RGB where the file stores RGB."""

    def seek(self, timestamp: int | None, anew: bool = False) -> None:
        """Go on from the key frame at or before ``timestamp`` (stream units); None: from the very first packet.

        ``anew`` throws the decoder's state away, because it met damage. Damage in what was decoded but not yet taken
        does the same: emptying a decoder does not free it of all that damage left behind.
        """
        if anew or self._left_damaged():
            self.close()
            self._open()
        self._ready.clear()
        self._trouble, self._finished, self.landed = None, False, None
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
            if self._trouble is not None:
                trouble, self._trouble = self._trouble, None
                raise trouble
            if self._finished:
                return None
            try:
                packet = self._next_packet()
                self._finished = packet is None
                self._ready.extend(self.drain() if packet is None else self.decode(packet))
            except DecodingError as error:
                self._trouble = error
        return self._ready.popleft()

    def close(self) -> None:
        """Give back file, threads and memory."""
        self._ready.clear()
        self._packets = iter(())
        self.container.close()

    def _left_damaged(self) -> bool:
        """Empty the decoder and say whether there was damage in what was left of the last stretch."""
        try:
            left = [*self._ready, *self.drain()]
        except DecodingError:
            return True
        return self._trouble is not None or any(frame.corrupt for frame in left)

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


def open_decoder(name: str, path: Path, index: PacketIndex, threads: int) -> PacketDecoder:
    """Open ``path`` with one of `DECODERS` (``nvdec:1`` for GPU 1). InputError if there is no such decoder here."""
    kind, _, gpu = name.partition(":")
    if name == "pyav":
        from backend.video.decode_av import AvDecoder

        return AvDecoder(path, index, threads)
    if kind == "nvdec" and (gpu.isdigit() or not gpu):
        from backend.video.decode_nv import NvDecoder

        return NvDecoder(path, index, int(gpu or 0))
    raise InputError(f"decoder {name!r} is not known; use one of {', '.join(DECODERS)}")
