"""Frame export against a one-process OpenCV loop, at 2688 x 1520 px, within one run.

    python benchmarks/export_frames.py                     # about three minutes on two cores
    python benchmarks/export_frames.py --encoders          # how the PNG writer was chosen

The film is rendered: ground with detail at every scale, birds that move, shadows, camera noise; H.264 at the size and
quality of field footage. Starting processes (a second, once an export) is left out; flushing to the disk is counted.
Shared machines: the ratio of processor times is steadier than that of clock times, so both are printed.

one core     frames/s with one process / the OpenCV loop's                        goal >= 2.5
all cores    frames/s with all cores / with one process                           goal >= 0.85 x cores
bytes        size of the PNGs / OpenCV's
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.export_frames import ExportFolder, ExportSettings, exporter
from backend.video import VideoReader, load_index
from backend.video.png import PngEncoder
from backend.video.workers import WorkerPool, cut_stretches
from tests.videos import write_video

SIZE = (2688, 1520)
ENCODER = {"preset": "veryfast", "crf": "20"}


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=2, help="the best of these counts")
    parser.add_argument("--encoders", action="store_true")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        video = write_video(folder / "lek.mp4", options.frames, size=SIZE, gop=50, picture=field, options=ENCODER)
        rate = video.stat().st_size * 8 * 25 / options.frames / 1e6
        print(f"film: {options.frames} frames of {SIZE[0]} x {SIZE[1]} px, {rate:.0f} Mbit/s at 25 frames/s")
        if options.encoders:
            compare_encoders(video)
            return
        rows = {"OpenCV loop": [], "one process": [], f"{cores} processes": []}
        for repeat in range(options.repeats):
            rows["OpenCV loop"].append(measure(lambda: opencv_loop(video, folder / "loop")))
            for name, workers in (("one process", 1), (f"{cores} processes", cores)):
                rows[name].append(export(video, folder / f"{name} {repeat}", workers))
        report(rows, options.frames, cores, folder)


def field(number: int, size: tuple[int, int]) -> np.ndarray:
    """Return frame ``number`` of the film: (H, W, 3) uint8."""
    width, height = size
    ground = _ground(size)
    noise = np.random.default_rng(number % 8).normal(0, 2.5, (height, width, 1)).astype(np.float32)
    picture = ground + noise
    for bird in range(20):
        x = int(width * (0.05 + 0.9 * ((bird * 0.37 + number * 0.0008 * (bird % 5)) % 1)))
        y = int(height * (0.1 + 0.8 * ((bird * 0.61) % 1)))
        shade = (60.0 + 7 * bird, 50.0 + 5 * bird, 40.0 + 4 * bird)
        cv2.ellipse(picture, (x + 12, y + 30), (46, 14), 0, 0, 360, (70, 80, 60), -1, cv2.LINE_AA)
        cv2.ellipse(picture, (x, y), (44, 26), number * 2 + bird * 20, 0, 360, shade, -1, cv2.LINE_AA)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _ground(size: tuple[int, int], kept: dict = {}) -> np.ndarray:  # noqa: B006 - rendered once
    if size not in kept:
        generator = np.random.default_rng(0)
        ground = np.zeros((size[1], size[0], 3), np.float32) + (110, 125, 80)
        for octave in range(9):
            coarse = generator.normal(0, 22 * 0.72**octave, (3 * 2**octave, 5 * 2**octave, 1)).astype(np.float32)
            ground += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)[..., None]
        kept[size] = ground
    return kept[size]


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Return (clock, processor) seconds of ``work`` in this process and those it has started before."""
    family = [psutil.Process(), *psutil.Process().children()]

    def processor() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in family)

    clock, begin = time.perf_counter(), processor()
    work()
    return time.perf_counter() - clock, processor() - begin


def opencv_loop(video: Path, dest: Path) -> None:
    """Export every frame the way most scripts do."""
    dest.mkdir(exist_ok=True)
    capture = cv2.VideoCapture(str(video))
    number = 0
    while True:
        found, picture = capture.read()
        if not found:
            return
        cv2.imwrite(str(dest / f"{number:06d}.png"), picture)
        number += 1


def export(video: Path, dest: Path, workers: int) -> tuple[float, float]:
    """Export every frame with `backend.export_frames`; seconds from the moment at which the processes stand."""
    index = load_index(video)
    dest.mkdir()
    folder = ExportFolder(dest, video, index)
    folder.begin(ExportSettings(src=str(video)))
    stretches = cut_stretches(list(range(len(index.pts))), index.pts.searchsorted(index.key_pts).tolist(), workers)

    def all_frames() -> None:
        for frame, file in crew.run(stretches):
            folder.add(frame, file)
        folder.finish(range(len(index.pts)))

    with WorkerPool(workers, exporter, video, index, dest) as crew:
        list(crew.run([[frame] for frame in range(workers)]))
        return measure(all_frames)


def report(rows: dict[str, list[tuple[float, float]]], frames: int, cores: int, folder: Path) -> None:
    """Print frames/s and the ratios of the best repeats."""
    best = {name: (min(row[0] for row in found), min(row[1] for row in found)) for name, found in rows.items()}
    for name, (clock, processor) in best.items():
        print(f"{name:14} {frames / clock:6.1f} frames/s, {1000 * processor / frames:5.1f} ms of processor a frame")
    loop, one, every = (best[name] for name in best)
    print(f"one core       {loop[0] / one[0]:6.2f} by the clock, {loop[1] / one[1]:.2f} by the processor; goal >= 2.5")
    print(f"all cores      {one[0] / every[0]:6.2f} on {cores} cores; goal >= {0.85 * cores:.2f}")
    print(f"               {one[1] / every[1] * cores:6.2f} by the processor: what idle cores would give")
    sizes = [sum(path.stat().st_size for path in (folder / name).glob("*.png")) for name in ("loop", "one process 0")]
    print(f"bytes          {sizes[1] / sizes[0]:6.2f} ({sizes[1] / frames / 1e6:.1f} MB a frame)")


def compare_encoders(video: Path) -> None:
    """Print processor time and size of each lossless PNG encoder that is installed."""
    with VideoReader(video) as reader:
        rgb = reader.read([len(reader) // 2])[0]
    bgr, filtered = rgb[..., ::-1].copy(), PngEncoder(SIZE)
    encoders: dict[str, Callable[[], bytes]] = {
        "OpenCV, default": lambda: cv2.imencode(".png", bgr)[1].tobytes(),
        "OpenCV, level 1": lambda: cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes(),
        "imagecodecs libpng, level 1": lambda: imagecodecs.png_encode(rgb, level=1),
        "imagecodecs libpng, level 1, RLE": lambda: imagecodecs.png_encode(rgb, level=1, strategy=3),
        "imagecodecs spng, level 1": lambda: imagecodecs.spng_encode(rgb, level=1),
        "Pillow, level 1": lambda: _pillow(rgb),
        "mean filter + zlib-ng, level 1": lambda: _filtered(filtered, rgb, imagecodecs.zlibng_encode),
        "mean filter + libdeflate, level 1": lambda: _filtered(filtered, rgb, imagecodecs.deflate_encode),
        "mean filter + Huffman codes (ours)": lambda: b"".join(filtered.encode(rgb)),
    }
    try:
        from isal import isal_zlib
    except ImportError:
        print("mean filter + ISA-L: skipped, the package isal is not installed")
    else:
        encoders["mean filter + ISA-L, level 1"] = lambda: _filtered(filtered, rgb, isal_zlib.compress)
    base = 0.0
    for name, encode in encoders.items():
        content = encode()
        seconds = min(measure(encode)[1] for _ in range(5))
        base = base or seconds
        print(f"{name:36} {1000 * seconds:6.1f} ms {base / seconds:5.1f} times OpenCV {len(content) / 1e6:6.2f} MB")


def _filtered(encoder: PngEncoder, rgb: np.ndarray, compress: Callable[..., bytes]) -> bytes:
    encoder.filter(rgb)
    return compress(encoder.rows, level=1)


def _pillow(rgb: np.ndarray) -> bytes:
    import io

    content = io.BytesIO()
    Image.fromarray(rgb).save(content, "png", compress_level=1)
    return content.getvalue()


if __name__ == "__main__":
    main()
