"""What the reader needs of a decoder, and which decoders there are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from backend.project.errors import InputError
from backend.video.colour import Planes
from backend.video.index import PacketIndex

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


class Decoder(Protocol):
    """One open file. Frames come in display order from where `seek` led."""

    def seek(self, timestamp: int | None, anew: bool = False) -> None:
        """Go on from the key frame at or before ``timestamp`` (stream units); None: from the very first packet.

        ``anew`` throws the decoder's state away, because it met damage.
        """

    @property
    def landed(self) -> int | None:
        """Display time of the first packet decoded since `seek`: frames shown before it lack what they build on."""

    def next(self) -> Decoded | None:
        """Return the next frame, None at the end. Raises DecodingError, after which it can be called again."""

    def picture(self, frame: Decoded) -> Planes | np.ndarray:
        """Return the planes of ``frame``, or (H, W, 3) uint8 RGB where the file stores RGB."""

    def close(self) -> None:
        """Give back file, threads and memory."""


def open_decoder(name: str, path: Path, index: PacketIndex, threads: int) -> Decoder:
    """Open ``path`` with one of `DECODERS` (``nvdec:1`` for GPU 1). InputError if there is no such decoder here."""
    kind, _, gpu = name.partition(":")
    if name == "pyav":
        from backend.video.decode_av import AvDecoder

        return AvDecoder(path, index, threads)
    if kind == "nvdec" and (gpu.isdigit() or not gpu):
        from backend.video.decode_nv import NvDecoder

        return NvDecoder(path, index, int(gpu or 0))
    raise InputError(f"decoder {name!r} is not known; use one of {', '.join(DECODERS)}")
