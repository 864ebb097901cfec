"""H.264 encoding as cameras do it: yuv420p, BT.709 limited range, closed GOPs."""

from datetime import datetime
from fractions import Fraction
from typing import IO

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream


def tag_bt709(stream: VideoStream) -> None:
    """Tag the stream as BT.709, limited range; without a tag, players guess from the size."""
    codec = stream.codec_context
    codec.color_range, codec.colorspace = ColorRange.MPEG, Colorspace.ITU709
    codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709


def bt709_frame(rgb: np.ndarray) -> av.VideoFrame:
    """Return (H, W, 3) uint8 RGB as a yuv420p frame in the colours that `tag_bt709` tells of."""
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
        Open binary file, and (width, height) in px, both even.
    fps
        Frame rate in Hz; frame k is displayed at k / fps s.
    crf
        Constant rate factor of x264: 0 (lossless) to 51 (worst).
    group
        GOP length: frames from one key frame to the next; 1: intra only.
    threads
        Encoding threads; 0 lets the encoder choose. With one, the same frames give the same bytes.
    start
        Time at which frame 0 was recorded, written as ``creation_time``.
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
        tag_bt709(stream)
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
