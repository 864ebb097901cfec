"""The default decoder: FFmpeg through PyAV, on the CPU."""

from collections import deque
from pathlib import Path

import av
import numpy as np

from backend.video.colour import Colour, Planes, matrix_name
from backend.video.decoder import Decoded, DecodingError
from backend.video.index import PacketIndex
from backend.video.source import open_video_file

JPEG_RANGE = 2  # AVCOL_RANGE_JPEG
STRICT = {"mjpeg": "explode"}  # hides damage unless told not to
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


class AvDecoder:
    """Decodes one file from any key frame on. ``threads`` = 0 lets FFmpeg choose (one a core, at most 16)."""

    def __init__(self, path: Path, index: PacketIndex, threads: int = 0):
        self.landed: int | None = None
        self._path = path
        self._index = index
        self._threads = threads
        self._ready: deque[Decoded] = deque()
        self._trouble: DecodingError | None = None  # to be raised once what is ready was taken
        self._finished = False
        self._awaits_key = False
        self._open()

    def seek(self, timestamp: int | None, anew: bool = False) -> None:
        """See `Decoder.seek`."""
        if anew:
            self.close()
            self._open()
        self._ready.clear()
        self._trouble = None
        self._finished = False
        self.landed = None
        self._awaits_key = timestamp is not None
        target = self._index.first_seek if timestamp is None else timestamp
        try:
            self._container.seek(target, stream=self._stream, backward=True)
        except (av.error.FFmpegError, OSError) as error:
            raise DecodingError(f"the file cannot be searched: {error.strerror or error}") from error
        self._packets = self._container.demux(self._stream)

    def next(self) -> Decoded | None:
        """See `Decoder.next`."""
        while not self._ready:
            if self._trouble is not None:
                trouble, self._trouble = self._trouble, None
                raise trouble
            if self._finished:
                return None
            self._decode_packet()
        return self._ready.popleft()

    def _open(self) -> None:
        self._container, self._stream = open_video_file(self._path)
        self._codec = self._stream.codec_context
        self._codec.thread_type = "AUTO"
        self._codec.thread_count = self._threads
        if self._codec.name in STRICT:
            self._codec.options = {"err_detect": STRICT[self._codec.name]}
        self._packets = self._container.demux(self._stream)

    def _decode_packet(self) -> None:
        packet = None
        try:
            packet = next(self._packets, None)
            if packet is None:
                self._finished = True
            elif not packet.size:
                self._collect(packet.decode())
            elif packet.is_corrupt:
                self._skip_to_key(packet)
            elif packet.is_keyframe or not self._awaits_key:
                self._awaits_key = False
                packet.pts = packet.dts if packet.pts is None else packet.pts
                self.landed = packet.pts if self.landed is None else self.landed
                self._collect(packet.decode())
        except av.error.EOFError:
            self._finished = True
        except (av.error.FFmpegError, OSError) as error:
            self._finished = packet is None  # the file itself cannot be read on
            lag = self._codec.thread_count if packet is not None and self._codec.thread_count != 1 else 0
            self._trouble = DecodingError(str(error.strerror or error), packet.pts if packet else None, lag)

    def _skip_to_key(self, packet: av.Packet) -> None:
        """Finish what came before a damaged packet, which is not given to the decoder, and go on at a key frame."""
        self._collect(self._codec.decode(None))
        self._codec.flush_buffers()
        self._awaits_key, self.landed = True, None
        self._trouble = DecodingError("a packet is cut off or damaged", packet.pts)

    def _collect(self, frames: list[av.VideoFrame]) -> None:
        for frame in frames:
            if frame.pts is not None:
                self._ready.append(Decoded(frame.pts, frame.is_corrupt, frame))

    def picture(self, frame: Decoded) -> Planes | np.ndarray:
        """Return the planes of ``frame`` (views, valid while it is held), or RGB where the file stores RGB."""
        picture: av.VideoFrame = frame.payload
        if picture.format.is_rgb or picture.format.has_palette:
            return picture.to_ndarray(format="rgb24")
        if picture.format.name not in DIRECT and picture.format.name not in GREY:
            picture = picture.reformat(format="yuv444p")  # rare layouts; same matrix and range, no loss in layout
        return _planes(picture, self._codec.name)

    def close(self) -> None:
        """Give back the file and the decoder's threads."""
        self._ready.clear()
        self._packets = iter(())
        self._container.close()


def _planes(picture: av.VideoFrame, codec: str) -> Planes:
    name = picture.format.name
    full = name.startswith("yuvj") or picture.color_range == JPEG_RANGE
    matrix = matrix_name(int(picture.colorspace), picture.width, picture.height)
    if name in GREY:
        colour = Colour(matrix, full, GREY[name], False, False)
        return Planes(_samples(picture, 0, colour.bits), None, None, picture.width, colour)
    half_width, half_height, bits = DIRECT[name]
    colour = Colour(matrix, full, bits, half_width, half_height, codec in CENTRED_CHROMA)
    y, u, v = (_samples(picture, plane, bits) for plane in range(3))
    return Planes(y, u, v, picture.width, colour)


def _samples(picture: av.VideoFrame, plane: int, bits: int) -> np.ndarray:
    """Return (rows, padded columns) of one plane without copying."""
    found = picture.planes[plane]
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.frombuffer(found, dtype).reshape(-1, found.line_size // np.dtype(dtype).itemsize)[: found.height]
