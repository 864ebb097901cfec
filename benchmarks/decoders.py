"""Which decoder returns the frame that was asked for: the comparison behind the choice in docs/architecture.md.

    python benchmarks/decoders.py                                        # those that are installed
    python benchmarks/decoders.py --extra /tmp/decord --extra /tmp/tc    # folders of `pip install --target`
    python benchmarks/decoders.py --speed                                # sequential frames/s and memory

Every case of `tests.video_cases` and files cut off in the middle, 60 random reads each. A read is right if the picture
shows the number it must show, refused if the decoder raises, and wrong, the worst, if it is neither. Each decoder reads
each file in a process of its own with a time limit, because some hang.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.video import VideoReader, load_index
from tests.video_cases import CASES
from tests.videos import cut_bytes, number_of, write_video

READS = 60
LIMIT_S = 60
SPEED_SIZE = (2688, 1520)

Read = Callable[[int], np.ndarray]


def ours(path: str) -> Read:
    """PyAV with the packet index of `backend.video`."""
    reader = VideoReader(path)
    return lambda frame: reader.read([frame])[0]


def nvdec(path: str) -> Read:
    """NVDEC with the same index."""
    reader = VideoReader(path, "nvdec")
    return lambda frame: reader.read([frame])[0]


def naive_pyav(path: str) -> Read:
    """PyAV the usual way: seek to frame / rate, decode until that time."""
    import av

    container = av.open(path)
    stream = container.streams.video[0]
    unit = float(1 / stream.average_rate / stream.time_base)

    def read(frame: int) -> np.ndarray:
        target = round(frame * unit)
        container.seek(target, stream=stream)
        for picture in container.decode(stream):
            if picture.pts is not None and picture.pts >= target:
                return picture.to_ndarray(format="rgb24")
        raise IndexError(frame)

    return read


def torchcodec(path: str) -> Read:
    """The decoder of torchcodec in its exact mode."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(path, seek_mode="exact", dimension_order="NHWC")
    return lambda frame: decoder[frame].numpy()


def decord(path: str) -> Read:
    """Decord (or decord2, if that is what is installed)."""
    import decord as library

    reader = library.VideoReader(path)
    return lambda frame: reader[frame].asnumpy()


def opencv(path: str) -> Read:
    """OpenCV, positioned by frame number."""
    import cv2

    capture = cv2.VideoCapture(path)
    following = 0

    def read(frame: int) -> np.ndarray:
        nonlocal following
        if frame != following and not capture.set(cv2.CAP_PROP_POS_FRAMES, frame):
            raise IndexError(frame)
        following = frame + 1
        found, picture = capture.read()
        if not found:
            raise IndexError(frame)
        return picture[..., ::-1]

    return read


DECODERS: dict[str, tuple[Callable[[str], Read], str]] = {  # name: (opener, module that must be installed)
    "PyAV, own index": (ours, "av"),
    "NVDEC, own index": (nvdec, "PyNvVideoCodec"),
    "PyAV, naive": (naive_pyav, "av"),
    "torchcodec, exact": (torchcodec, "torchcodec"),
    "decord": (decord, "decord"),
    "OpenCV": (opencv, "cv2"),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extra", action="append", default=[], help="folder with further packages")
    parser.add_argument("--speed", action="store_true", help="frames/s and memory instead of exactness")
    parser.add_argument("--one", nargs=3, metavar=("DECODER", "FILE", "NUMBERS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path += options.extra
    if options.one:
        name, path, numbers = options.one
        one = speed if numbers == "speed" else exactness
        print(json.dumps(one(DECODERS[name][0], path, numbers)))
        return
    names = installed(options.extra)
    with tempfile.TemporaryDirectory() as scratch:
        if options.speed:
            compare_speed(Path(scratch), names, options.extra)
            return
        print(f"right of {READS} random reads (r: refused, w: wrong and silent)\n\n| file | {' | '.join(names)} |")
        print("|---|" + "---|" * len(names))
        for case, (path, numbers) in files(Path(scratch)).items():
            cells = [cell(ask(name, path, json.dumps(numbers), options.extra)) for name in names]
            print(f"| {case} | {' | '.join(cells)} |", flush=True)


def installed(extra: list[str]) -> list[str]:
    """Return the decoders that can be imported; say which cannot."""
    found = []
    for name, (_, module) in DECODERS.items():
        program = f"import sys; sys.path += {extra!r}; import {module}"
        if subprocess.run([sys.executable, "-c", program], capture_output=True).returncode:
            print(f"{name}: skipped, {module} cannot be imported here")
        else:
            found.append(name)
    return found


def files(folder: Path) -> dict[str, tuple[Path, list[int]]]:
    """Return name: (file, numbers its frames show)."""
    made = {}
    for name, make in CASES.items():
        (folder / str(len(made))).mkdir()
        made[name] = make(folder / str(len(made)))
    for suffix, muxer in (("mp4", {"movflags": "faststart"}), ("mkv", {})):
        whole = write_video(folder / f"whole.{suffix}", 300, gop=50, muxer=muxer)
        path = cut_bytes(whole, folder / f"cut.{suffix}", 0.6)
        made[f"{suffix}, cut off at 60 %"] = path, list(range(len(load_index(path).pts) - 4))
    return made


def ask(name: str, path: Path, numbers: str, extra: list[str]) -> dict | str:
    """Let one decoder read one file in a process of its own."""
    folders = [part for folder in extra for part in ("--extra", folder)]
    command = [sys.executable, __file__, *folders, "--one", name, str(path), numbers]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return "hangs"
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if done.returncode == 0 and lines else "fails"


def cell(result: dict | str) -> str:
    """Return what stands in the table."""
    if isinstance(result, str):
        return result
    notes = [f"{result[kind]} {kind[0]}" for kind in ("refused", "wrong") if result[kind]]
    return str(result["right"]) + (f" ({', '.join(notes)})" if notes else "")


def exactness(open_file: Callable[[str], Read], path: str, numbers: str) -> dict:
    """Read random frames and count."""
    expected = json.loads(numbers)
    counts = {"right": 0, "refused": 0, "wrong": 0}
    try:
        read = open_file(path)
    except Exception:
        return {**counts, "refused": READS}
    for frame in np.random.default_rng(0).integers(0, len(expected), READS).tolist():
        try:
            shown = number_of(np.asarray(read(frame)))
        except Exception:
            counts["refused"] += 1
        else:
            counts["right" if shown == expected[frame] else "wrong"] += 1
    return counts


def compare_speed(folder: Path, names: list[str], extra: list[str]) -> None:
    """Print frames/s in sequence, and how much memory a process holds after one frame and after 100."""
    from benchmarks.export_frames import ENCODER, field

    path = write_video(folder / "speed.mp4", 150, size=SPEED_SIZE, gop=50, picture=field, options=ENCODER)
    print(f"\n{SPEED_SIZE[0]} x {SPEED_SIZE[1]} px, in sequence, to RGB")
    for name in names:
        if name != "PyAV, naive":  # it seeks for every frame
            print(f"{name:18} {ask(name, path, 'speed', extra)}", flush=True)


def speed(open_file: Callable[[str], Read], path: str, _: str) -> dict:
    """Read 100 frames one after the other."""
    process = psutil.Process()
    before = process.memory_info().rss
    read = open_file(path)
    read(0)
    after_one = process.memory_info().rss
    clock, processor = time.perf_counter(), time.process_time()
    for frame in range(1, 101):
        read(frame)
    return {
        "frames/s": round(100 / (time.perf_counter() - clock), 1),
        "ms of processor a frame": round(10 * (time.process_time() - processor), 1),
        "MB after 1 frame": round((after_one - before) / 1e6),
        "MB after 100": round((process.memory_info().rss - before) / 1e6),
    }


if __name__ == "__main__":
    main()
