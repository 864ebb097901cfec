"""H.264 as cameras write it: yuv420p, BT.709 limited range, closed groups of frames."""

from datetime import datetime
from fractions import Fraction
from typing import IO

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream


def say_bt709(stream: VideoStream) -> None:
    """Write into the file that its colours are BT.709, limited range; where nothing is said, players guess by size."""
    codec = stream.codec_context
    codec.color_range, codec.colorspace = ColorRange.MPEG, Colorspace.ITU709
    codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709


def bt709_frame(rgb: np.ndarray) -> av.VideoFrame:
    """Return (H, W, 3) uint8 RGB as a yuv420p frame in the colours that `say_bt709` tells of."""
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )


class VideoWriter:
    """Encodes frames into an open, seekable binary file; use it as a context manager.

    Parameters
    ----------
    file, size
        Where to, and (width, height) in px, both even.
    fps
        Frames a second; frame k is shown at k / fps.
    crf
        Quality, 0 (lossless) to 51.
    group
        Frames from one key frame to the next; 1: every frame stands alone.
    threads
        Encoding threads; 0 lets the encoder choose. With one, the same frames give the same bytes.
    start
        When frame 0 was recorded.
    """

    def __init__(
        self,
        file: IO[bytes],
        size: tuple[int, int],
        fps: int | Fraction,
        crf: int,
        group: int,
        threads: int = 1,
        start: datetime | None = None,
    ):
        self._container = av.open(file, "w", format="mp4")
        if start is not None:
            self._container.metadata["creation_time"] = start.isoformat()
        stream = self._container.add_stream("libx264", rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = 1 / Fraction(fps)
        stream.gop_size = group
        stream.codec_context.thread_count = threads
        stream.codec_context.options = {"preset": "veryfast", "crf": str(crf), "x264-params": "open-gop=0:scenecut=0"}
        say_bt709(stream)
        self._stream = stream
        self._written = 0

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def write(self, rgb: np.ndarray) -> None:
        """Append a (H, W, 3) uint8 RGB frame."""
        frame = bt709_frame(rgb)
        frame.pts = self._written
        self._written += 1
        self._container.mux(self._stream.encode(frame))
