"""One barcode video for each way in which containers and codecs lead readers to wrong frames.

`CASES` maps a name to a function that writes the file into a folder and returns it with the numbers its frames must
show, in display order. The decoder comparison (``benchmarks/decoders.py``) runs over the same list.
"""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from tests.videos import copy_packets, write_video

N = 72
OPEN_GOP = {"preset": "veryfast", "x264-params": "open-gop=1:b-adapt=0:b-pyramid=normal"}
Case = Callable[[Path], tuple[Path, list[int]]]


def whole(name: str, n_frames: int = N, **options) -> Case:
    """Return a case whose frames are all shown."""
    return lambda folder: (write_video(folder / name, n_frames, **options), list(range(n_frames)))


def cut(name: str, key: int, later: int = 0, **options) -> Case:
    """Return a case cut without decoding: from key packet number ``key``, or ``later`` packets after it.

    What a decoder can show begins with a key frame: the one cut at, or the next one when cut inside a GOP.
    """

    def make(folder: Path) -> tuple[Path, list[int]]:
        source = write_video(folder / f"whole_{name}", N, b_frames=3, **options)
        packets = packets_of(source)
        keys = [place for place, packet in enumerate(packets) if packet[1]]
        first_key = keys[key + 1] if later else keys[key]
        shown = sorted(packet[0] for packet in packets).index(packets[first_key][0])
        return copy_packets(source, folder / name, first=keys[key] + later), list(range(shown, N))

    return make


def edited(name: str, hidden: int, **options) -> Case:
    """Return a case whose first ``hidden`` frames are hidden by an edit list."""

    def make(folder: Path) -> tuple[Path, list[int]]:
        source = write_video(folder / f"whole_{name}", N, **options)
        target = copy_packets(source, folder / name, shift_frames=hidden, keep_negative=True)
        return target, list(range(hidden, N))

    return make


def uneven_times() -> list[int]:
    """Return display times in ms with gaps of 10 to 90 ms."""
    return np.cumsum(np.random.default_rng(0).integers(10, 90, N)).tolist()


def packets_of(path: Path) -> list[tuple[int, bool, int, int]]:
    """Return (pts, key, position in the file, size) of each packet, in file order."""
    with av.open(str(path)) as container:
        packets = container.demux(video=0)
        return [(packet.pts, packet.is_keyframe, packet.pos, packet.size) for packet in packets if packet.size]


CASES: dict[str, Case] = {
    "GOP 250 with B-frames": whole("gop250.mp4", 300, gop=250),
    "short GOPs with B-frames": whole("short.mp4"),
    "no B-frames": whole("plain.mkv", b_frames=0),
    "open GOP": whole("open.mp4", b_frames=3, options=OPEN_GOP),
    "open GOP in mkv": whole("open.mkv", b_frames=3, options=OPEN_GOP),
    "open GOP cut at a GOP": cut("open_at.mp4", 2, options=OPEN_GOP),
    "open GOP cut at a GOP in mkv": cut("open_at.mkv", 2, options=OPEN_GOP),
    "open GOP cut inside a GOP": cut("open_in.mp4", 2, 5, options=OPEN_GOP),
    "closed GOP cut inside a GOP": cut("closed_in.mkv", 1, 4),
    "edit list": edited("edit.mp4", 5),
    "edit list beyond the first GOP": edited("edit_far.mp4", 17),
    "edit list in an open GOP": edited("edit_open.mp4", 17, b_frames=3, options=OPEN_GOP),
    "variable rate": whole("variable.mp4", times_ms=uneven_times()),
    "variable rate in mkv": whole("variable.mkv", times_ms=uneven_times()),
    "fragmented mp4": whole("fragmented.mp4", muxer={"movflags": "frag_keyframe+empty_moov"}),
    "intra refresh without key frames": whole("refresh.mp4", options={"x264-params": "intra-refresh=1"}),
    "MPEG-TS": whole("stream.ts"),
    "AVI, MPEG-4 with B-frames": whole("mpeg4.avi", codec="mpeg4", options={"b": "2000000", "bf": "2"}),
    "MPEG-2 program stream": whole("mpeg2.mpg", codec="mpeg2video", options={"b": "2000000", "bf": "2"}),
    "motion JPEG": whole("mjpeg.avi", codec="mjpeg", pix_fmt="yuvj420p"),
    "H.265": whole("hevc.mp4", codec="libx265"),
    "H.265, open GOP, 10 bit": whole(
        "hevc10.mkv", codec="libx265", pix_fmt="yuv420p10le", options={"x265-params": "open-gop=1"}
    ),
    "VP9": whole("vp9.webm", codec="libvpx-vp9"),
    "VP9, odd size": whole("vp9_odd.webm", codec="libvpx-vp9", size=(161, 97)),
    "H.264, 10 bit": whole("h264_10.mp4", pix_fmt="yuv420p10le"),
    "H.264, 4:2:2": whole("h264_422.mp4", pix_fmt="yuv422p"),
    "H.264, 4:4:4, odd size": whole("h264_444.mp4", pix_fmt="yuv444p", size=(161, 97)),
    "FFV1, odd size": whole("ffv1_odd.mkv", codec="ffv1", size=(161, 97)),
    "FFV1, grey": whole("ffv1_grey.mkv", codec="ffv1", pix_fmt="gray"),
    "FFV1, RGB": whole("ffv1_rgb.mkv", codec="ffv1", pix_fmt="bgr0"),
}
