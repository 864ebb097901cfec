"""Hardware checks of the doctor: disk write speed, and encoding and decoding of a clip."""

import os
import tempfile
import time
from pathlib import Path
from typing import IO

import av
import numpy as np

from backend.project.atomic import atomic_file
from backend.project.errors import InputError
from backend.video.reader import VideoReader

TRIAL_BYTES = 64 * 1024**2
ENCODERS = {"h264": "libx264", "hevc": "libx265"}
N_FRAMES = 24
STEP = 8  # grey levels from frame to frame: far more than what compression changes


def write_speed(folder: Path, size: int = TRIAL_BYTES) -> float:
    """Return how many bytes a second are written to ``folder`` and flushed. Nothing is left there."""
    block = os.urandom(1024**2)
    with tempfile.TemporaryFile(dir=folder) as file:
        begun = time.monotonic()
        for _ in range(size // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return size / max(1e-6, time.monotonic() - begun)


def decode_a_clip(codec: str) -> str:
    """Write a small clip with ``codec`` ("h264", "hevc"), read it back out of order; return what is wrong, or ""."""
    with tempfile.TemporaryDirectory(prefix="lektrack-") as folder:
        path = Path(folder) / "clip.mp4"
        try:
            with atomic_file(path, durable=False) as file:
                _encode(file, ENCODERS[codec])
            with VideoReader(path, cache_folder=Path(folder)) as reader:
                order = np.random.default_rng(0).permutation(N_FRAMES)
                grey = reader.read(order).mean(axis=(1, 2, 3))
        except (av.FFmpegError, InputError, OSError, ValueError) as error:
            return str(error)
    off = np.abs(grey - (16 + STEP * order) * 1.0) > STEP / 2
    return f"frame {order[off.argmax()]} came back as another one" if off.any() else ""


def _encode(file: IO[bytes], encoder: str) -> None:
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(encoder, rate=25, options={"x265-params": "log-level=none", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(N_FRAMES):
            picture = np.full((96, 128, 3), 16 + STEP * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
