"""Small videos whose pictures say which frame they are, so that an off-by-one cannot hide.

Each picture shows its number as 16 bits in a grid of 8 x 4 cells, followed by the complement of the bits: a mixture of
two frames does not read as either.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 16
COLUMNS, ROWS = 8, 4
DARK, LIGHT = 40, 215


def barcode(number: int, size: tuple[int, int]) -> np.ndarray:
    """Return the picture of a number: (H, W, 3) uint8 grey."""
    width, height = size
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    cells = np.array([*bits, *(1 - bit for bit in bits)]).reshape(ROWS, COLUMNS)
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    grey = np.where(cells[rows][:, columns], LIGHT, DARK).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def number_of(picture: np.ndarray) -> int | None:
    """Return the number a picture shows; None if it shows none, or two at once."""
    height, width = picture.shape[:2]
    rows = ((np.arange(ROWS) + 0.5) * height / ROWS).astype(int)
    columns = ((np.arange(COLUMNS) + 0.5) * width / COLUMNS).astype(int)
    around = [picture[rows[:, None] + dy, columns + dx].mean(axis=-1) for dy in (-2, 0, 2) for dx in (-2, 0, 2)]
    light = (np.mean(around, axis=0) > (DARK + LIGHT) / 2).ravel()
    if (light[:BITS] == light[BITS:]).any():
        return None
    return int(sum(1 << bit for bit in range(BITS) if light[bit]))


def numbers_of(pictures: Iterable[np.ndarray]) -> list[int | None]:
    """Return the numbers of several pictures."""
    return [number_of(picture) for picture in pictures]


def write_video(
    path: Path,
    n_frames: int = 60,
    *,
    size: tuple[int, int] = (160, 96),
    fps: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 12,
    b_frames: int = 2,
    times_ms: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    picture: Callable[[int, tuple[int, int]], np.ndarray] = barcode,
    setup: Callable[[av.VideoStream], None] = lambda stream: None,
    metadata: dict[str, str] | None = None,
    time_code: str | None = None,
) -> Path:
    """Encode ``n_frames`` barcodes; the container follows the suffix.

    ``times_ms`` gives every frame a display time of its own; ``muxer`` and ``options`` go to FFmpeg's muxer and
    encoder; ``setup`` may change the stream before the first frame.
    """
    with av.open(str(path), "w", options=muxer or {}) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=fps, options=_encoder_options(codec, gop, b_frames, options or {}))
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.gop_size = gop
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if time_code is not None:
            stream.metadata["timecode"] = time_code
        setup(stream)
        for number in range(n_frames):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24").reformat(format=pix_fmt)
            if times_ms is None:
                frame.pts, frame.time_base = number, Fraction(1, fps)
            else:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def with_pictures(path: Path, sizes: Sequence[tuple[int, int]], default: int | None, n_frames: int = 5) -> Path:
    """Write a file of several video streams; ``default`` is the number of the one that players show."""
    with av.open(str(path), "w") as container:
        streams = []
        for number, (width, height) in enumerate(sizes):
            stream = container.add_stream("libx264", rate=25, options=_encoder_options("libx264", 12, 0, {}))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = stream.disposition.__class__.default if number == default else 0
            streams.append(stream)
        for number in range(n_frames):
            for stream, size in zip(streams, sizes, strict=True):
                frame = av.VideoFrame.from_ndarray(barcode(number, size), format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    return path


def with_sound(path: Path, n_frames: int, sound_s: float) -> Path:
    """Write a video at 25 frames/s with silence of ``sound_s`` seconds beside it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=_encoder_options("libx264", 12, 0, {}))
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for number in range(n_frames):
            frame = av.VideoFrame.from_ndarray(barcode(number, (160, 96)), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        samples = av.AudioFrame.from_ndarray(np.zeros((1, int(8000 * sound_s)), np.int16), format="s16", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = 8000, 0, Fraction(1, 8000)
        container.mux(sound.encode(samples))
        container.mux(sound.encode())
    return path


def copy_packets(
    source: Path,
    target: Path,
    first: int = 0,
    last: int | None = None,
    shift_frames: int = 0,
    keep_negative: bool = False,
) -> Path:
    """Copy packets number ``first`` to ``last`` (file order) without decoding, as cutting tools do.

    ``shift_frames`` moves all times to earlier; ``keep_negative``: an edit list (mp4) hides what then lies before 0.
    """
    with av.open(str(source)) as old:
        stream = old.streams.video[0]
        unit = int(1 / (stream.average_rate * stream.time_base))
        packets = [packet for packet in old.demux(stream) if packet.size][first:last]
        options = {"avoid_negative_ts": "disabled"} if keep_negative else {"avoid_negative_ts": "make_zero"}
        with av.open(str(target), "w", options=options) as new:
            copy = new.add_stream_from_template(stream)
            for packet in packets:
                packet.pts -= shift_frames * unit
                packet.dts -= shift_frames * unit
                packet.stream = copy
                new.mux(packet)
    return target


def cut_bytes(source: Path, target: Path, share: float) -> Path:
    """Copy the first ``share`` of a file's bytes, as an interrupted copy does."""
    content = source.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])
    return target


def _encoder_options(codec: str, gop: int, b_frames: int, options: dict[str, str]) -> dict[str, str]:
    if codec == "libx264":
        return {"preset": "ultrafast", "crf": "20", "g": str(gop), "bf": str(b_frames), "sc_threshold": "0", **options}
    if codec == "libx265":
        parameters = f"log-level=none:keyint={gop}:min-keyint={gop}:bframes={b_frames}:scenecut=0:pools=1"
        return {
            "preset": "ultrafast",
            "x265-params": f"{parameters}:{options.pop('x265-params', '')}".rstrip(":"),
            **options,
        }
    if codec == "libvpx-vp9":
        return {"deadline": "realtime", "cpu-used": "8", **options}
    return options
