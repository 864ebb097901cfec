"""Decoder ``pyav`` (the default): FFmpeg through PyAV, on the CPU."""

from pathlib import Path

import av
import numpy as np

from backend.video.colour import Colour, Planes, matrix_name
from backend.video.index import PacketIndex
from backend.video.packet_decoder import Decoded, DecodingError, PacketDecoder

MPEG_RANGE, JPEG_RANGE = 1, 2  # AVCOL_RANGE_MPEG, limited; AVCOL_RANGE_JPEG, full
STRICT = ("mjpeg", "hevc")  # codecs that hide most damage without err_detect=explode
CENTRED_CHROMA = ("mjpeg", "mpeg1video")
HALVES = {"420p": (True, True), "422p": (True, False), "444p": (False, False), "440p": (False, True)}
BITS = {"": 8, "10le": 10, "12le": 12}
DIRECT = {  # pixel formats read as they are: (half width, half height, bits)
    f"{family}{layout}{depth}": (*halves, bits)
    for family in ("yuv", "yuvj")
    for layout, halves in HALVES.items()
    for depth, bits in BITS.items()
}
GREY = {"gray": 8, "gray10le": 10, "gray12le": 12}


class AvDecoder(PacketDecoder):
    """Decodes on the CPU. ``threads`` = 0 lets FFmpeg choose (one a core, at most 16).

    With several threads FFmpeg may hand a picture out before the thread that decodes it has marked it as damaged. So
    with several threads FFmpeg stops at any suspected damage (``err_detect=explode``), also where it is harmless, and a
    single thread, which marks damage reliably, decodes that stretch again.
    """

    def __init__(self, path: Path, index: PacketIndex, threads: int = 0):
        self._threads = threads
        self.hasty = threads != 1
        super().__init__(path, index)

    def start(self) -> None:
        """See `PacketDecoder.start`."""
        self._codec = self.stream.codec_context
        self._codec.thread_type = "AUTO"
        self._codec.thread_count = self._threads if self.hasty else 1
        if self.hasty or self._codec.name in STRICT:
            self._codec.options = {"err_detect": "explode"}

    def decode(self, packet: av.Packet) -> list[Decoded]:
        """See `PacketDecoder.decode`."""
        pts = packet.pts
        try:
            return _decoded(packet.decode())
        except (av.error.FFmpegError, OSError) as error:
            raise DecodingError(str(error.strerror or error), pts) from error

    def drain(self) -> list[Decoded]:
        """See `PacketDecoder.drain`."""
        if not self._codec.is_open:
            return []
        try:
            return _decoded(self._codec.decode(None))
        except (av.error.FFmpegError, OSError) as error:
            if self.hasty:
                raise DecodingError(str(error.strerror or error)) from error
            return []  # the reader notices missing frames
        finally:
            self._codec.flush_buffers()

    def picture(self, frame: Decoded) -> Planes | np.ndarray:
        """Return the planes of ``frame`` (views, valid while it is held), or RGB where the file stores RGB."""
        picture: av.VideoFrame = frame.payload
        if picture.format.is_rgb or picture.format.has_palette:
            return picture.to_ndarray(format="rgb24")
        if picture.format.name not in DIRECT and picture.format.name not in GREY:
            picture = picture.reformat(format="yuv444p")  # rare layouts; same matrix and range, no loss in layout
        return _planes(picture, self._codec.name)


def _decoded(frames: list[av.VideoFrame]) -> list[Decoded]:
    return [Decoded(frame.pts, frame.is_corrupt, frame) for frame in frames if frame.pts is not None]


def _planes(picture: av.VideoFrame, codec: str) -> Planes:
    name = picture.format.name
    full = name.startswith("yuvj") or picture.color_range == JPEG_RANGE
    matrix = matrix_name(int(picture.colorspace), picture.width, picture.height)
    if name in GREY:  # FFmpeg's grey formats are full range unless the file says otherwise
        colour = Colour(matrix, picture.color_range != MPEG_RANGE, GREY[name], False, False)
        return Planes(_samples(picture, 0, colour.bits), None, None, picture.width, colour)
    half_width, half_height, bits = DIRECT[name]
    colour = Colour(matrix, full, bits, half_width, half_height, codec in CENTRED_CHROMA)
    y, u, v = (_samples(picture, plane, bits) for plane in range(3))
    return Planes(y, u, v, picture.width, colour)


def _samples(picture: av.VideoFrame, plane: int, bits: int) -> np.ndarray:
    """Return (rows, padded columns) of one plane without copying."""
    samples = picture.planes[plane]
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.frombuffer(samples, dtype).reshape(-1, samples.line_size // np.dtype(dtype).itemsize)[: samples.height]
