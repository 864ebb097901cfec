"""Ratios of the inference pipeline, each measured within one run; goals stand beside them.

    python benchmarks/inference.py                          # everything a CPU can tell, about ten minutes
    python benchmarks/inference.py --only rle bytes         # some of it
    python benchmarks/inference_gpu.py --help               # what only a GPU can tell

The network of the CPU runs is a stand-in that takes 100 ms a frame without using the processor, as a GPU would, and
finds 20 birds. Frames are 2688 x 1520 px, H.264. Start-up (loading a network once a night) is counted in no ratio.

whole    frames/s from file to files / forward alone                                      goal >= 0.95
naive    naive loop (OpenCV, full paste, polygons, JSON) / pipeline, share of what the    goal >= 0.9
         slower of forward and decoding allows
memory   peak memory for 4 N frames / for N frames                                        goal <= 1.02
time     time for 4 N frames / for N frames                                               goal <= 4.05
rle      masks to RLE: torchvision's and Detectron2's way / ours, strings equal           goal >= 500, >= 150
bytes    bytes an instance / as JSON with RLE                                             goal <= 0.30
chunks   rows of 16 chunks and of one; throughput                                         goal equal, >= 0.97
redone   frames done again after a kill / one chunk a worker, worst of several kills      goal <= 1
"""

import argparse
import functools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
from pycocotools import mask as coco

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.detectors.detector_settings import DetectorSettings
from backend.inference import main as inference
from backend.jobs.script import run_script
from backend.masks.from_network import encode_masks
from backend.pipeline.detections import finished_chunks, open_detections
from backend.pipeline.network import ModelChoice, NetworkDetections, NetworkFacts
from backend.video import VideoReader

SIZE = (2688, 1520)
BIRDS = 20
FORWARD_S = 0.1  # a frame
CHUNK = 64
BATCH = 4


# ---------------------------------------------------------------- what everything is measured with


def make_video(path: Path, frames: int) -> Path:
    """Write a grassy ground with dark ellipses that walk about."""
    rng = np.random.default_rng(0)
    ground = cv2.resize(rng.integers(60, 140, (SIZE[1] // 2, SIZE[0] // 2, 3)).astype(np.uint8), SIZE)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "23", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.thread_count = 2
        start, speed = rng.uniform(100, 1400, (BIRDS, 2)), rng.uniform(-4, 4, (BIRDS, 2))
        for number in range(frames):
            picture = ground.copy()
            for bird in range(BIRDS):
                centre = ((start[bird] + number * speed[bird]) % np.array(SIZE)).astype(int).tolist()
                cv2.ellipse(picture, centre, (50, 28), number % 180, 0, 360, (30, 40 + 5 * bird, 200), -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def birds(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return masks (N, 28, 28) float32 like those of a network, and boxes (N, 4) float32, px, sides 60 to 150."""
    rng = np.random.default_rng(seed)
    rough = rng.normal(0, 1.2, (number, 7, 7)).astype(np.float32)
    logits = np.stack([cv2.resize(each, (28, 28), interpolation=cv2.INTER_CUBIC) for each in rough])
    across = (np.arange(28, dtype=np.float32) - 13.5) / 12
    logits += 6 * (1 - across[:, None] ** 2 - across**2)
    sides = rng.uniform(60, 150, (number, 2))
    corner = rng.uniform(0, np.array(SIZE) - sides)
    return 1 / (1 + np.exp(-logits)), np.concatenate([corner, corner + sides], 1).astype(np.float32)


class StandIn:
    """A network that takes its time and finds birds that depend on the picture alone."""

    def __init__(self, choice: ModelChoice):
        self.model = choice.model
        self.forward_s = json.loads(choice.model.read_text())["forward_s"]
        settings = DetectorSettings(class_names=("bird",))
        self.scale = settings.input_size(SIZE)[0] / SIZE[0]
        self.facts = NetworkFacts(settings, {"file": "stand-in", "sha256": ""}, "fp32", "cpu")

    def pin(self, memory: np.ndarray) -> None:
        """Nothing to do."""

    def find(self, pictures: np.ndarray, number: int) -> NetworkDetections:
        """Return 20 birds for each picture, the same for the same picture."""
        mark(self.model, "forward", number)
        end = time.perf_counter() + self.forward_s * number
        flocks = [birds(int(picture[::31, ::31].sum()), BIRDS) for picture in pictures[:number]]
        time.sleep(max(0.0, end - time.perf_counter()))
        return NetworkDetections(
            np.repeat(np.arange(number), BIRDS),
            np.ones(number * BIRDS, np.int64),
            np.tile(np.linspace(0.99, 0.5, BIRDS, dtype=np.float32), number),
            np.concatenate([boxes * self.scale for _, boxes in flocks]),
            np.concatenate([masks for masks, _ in flocks]),
        )


def load(choice: ModelChoice, device: str) -> StandIn:
    """Make the stand-in; see `backend.pipeline.network.Load`."""
    return StandIn(choice)


def mark(model: Path, what: str, number: int) -> None:
    """Add a line to the model's log: time, what, number."""
    descriptor = os.open(model.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{time.time()} {what} {number}\n".encode())
    os.close(descriptor)


class Bench:
    """A folder with a video, and runs over it."""

    def __init__(self, folder: Path, frames: int):
        self.folder, self.frames = folder, frames
        self.video = make_video(folder / "lek.mp4", 4 * frames)
        os.environ["LEKTRACK_STATE"] = str(folder / "state")
        self.count = 0

    def model(self, forward_s: float = FORWARD_S) -> Path:
        """Return a new stand-in."""
        self.count += 1
        path = self.folder / f"model-{self.count}.json"
        path.write_text(json.dumps({"forward_s": forward_s}))
        return path

    def arguments(self, model: Path, frames: int, *more: str) -> list[str]:
        """Return the arguments of a run over the first frames."""
        given = ["--video-path", self.video, "--base-out-dir", self.folder / model.stem, "--model-dir", model]
        usual = {"--run": "a", "--gpu-id": "cpu", "--cpu-workers": 1, "--batch-size": BATCH, "--chunk-frames": CHUNK}
        chosen = [word for name, value in usual.items() if name not in more for word in (name, value)]
        return [str(word) for word in [*given, "--frame-end", frames, *chosen, *more]]

    def start(self, model: Path, frames: int, *more: str) -> subprocess.Popen:
        """Start a run as a process of its own."""
        return subprocess.Popen(
            [sys.executable, __file__, "run", *self.arguments(model, frames, *more)],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )

    def run(self, model: Path, frames: int, *more: str) -> float:
        """Run and return the seconds from the first forward to the last file."""
        process = self.start(model, frames, *more)
        if process.wait() != 0:
            raise RuntimeError(f"the run ended with {process.returncode}")
        first = float(model.with_suffix(".log").read_text().split(maxsplit=1)[0])
        last = max(path.stat().st_mtime for path in self.output(model).glob("*.parquet"))
        return last - first

    def output(self, model: Path) -> Path:
        """Return the folder that a run with ``model`` writes to."""
        return self.folder / model.stem / "lek" / "a"


def show(name: str, value: float, goal: str, more: str = "") -> None:
    """Print one ratio."""
    print(f"{name:10s} {value:9.3f}   goal {goal:14s} {more}", flush=True)


# ---------------------------------------------------------------- the ratios


def whole(bench: Bench) -> None:
    model = bench.model()
    network = load(ModelChoice(model), "cpu")
    black = np.zeros((BATCH, 754, 1333, 3), np.uint8)
    begun = time.perf_counter()
    for _ in range(bench.frames // BATCH):
        network.find(black, BATCH)
    alone = bench.frames / (time.perf_counter() - begun)
    model.with_suffix(".log").unlink()
    together = bench.frames / bench.run(model, bench.frames)
    show("whole", together / alone, ">= 0.95", f"{together:.2f} and {alone:.2f} frames/s")


def naive(bench: Bench) -> None:
    frames = min(bench.frames, 48)
    naive_s = timed(lambda: naive_loop(bench, frames)) / frames
    with VideoReader(bench.video) as reader:
        decode_s = timed(lambda: deque(reader.stream(0, frames, BATCH, size=(1333, 754)), 0)) / frames
    model = bench.model()
    ours_s = bench.run(model, bench.frames) / bench.frames
    possible = naive_s / max(FORWARD_S, decode_s)
    more = f"{naive_s:.3f} and {ours_s:.3f} s a frame, decoding {decode_s:.3f}: {naive_s / ours_s:.1f} times as fast"
    show("naive", naive_s / ours_s / possible, ">= 0.9", more)


def naive_loop(bench: Bench, frames: int) -> None:
    """Do one thing after the other, as scripts do: OpenCV, full size to float, full paste, polygons, JSON."""
    import torch
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    torch.set_num_threads(1)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    capture = cv2.VideoCapture(str(bench.video))
    rows = []
    for number in range(frames):
        _, bgr = capture.read()
        picture = torch.from_numpy(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).permute(2, 0, 1).float() / 255
        picture = (picture - mean) / std
        torch.nn.functional.interpolate(picture[None], (754, 1333), mode="bilinear", align_corners=False)
        time.sleep(FORWARD_S)
        masks, boxes = birds(number, BIRDS)
        pasted = paste_masks_in_image(torch.from_numpy(masks)[:, None], torch.from_numpy(boxes), SIZE[::-1])
        for mask, box in zip((pasted[:, 0] > 0.5).numpy().astype(np.uint8), boxes, strict=True):
            counts = coco.encode(np.asfortranarray(mask))["counts"].decode()
            outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            polygons = [outline.ravel().tolist() for outline in outlines]
            rows.append({"frame": number, "box": box.tolist(), "counts": counts, "polygons": polygons})
    (bench.folder / "naive.json").write_text(json.dumps(rows))


def memory(bench: Bench) -> None:
    model = bench.model(0.0)
    short = peak_bytes(bench.start(model, bench.frames))
    model = bench.model(0.0)
    long = peak_bytes(bench.start(model, 4 * bench.frames))
    show("memory", long / short, "<= 1.02", f"{long / 1e6:.0f} and {short / 1e6:.0f} MB, all processes")


def peak_bytes(process: subprocess.Popen) -> float:
    """Return the sum of the peaks of resident memory of a process and its descendants."""
    peaks: dict[int, int] = {}
    root = psutil.Process(process.pid)
    while process.poll() is None:
        for each in (root, *root.children(recursive=True)):
            try:
                status = Path(f"/proc/{each.pid}/status").read_text()
            except OSError:
                continue
            peak = [line.split()[1] for line in status.split("\n") if line.startswith("VmHWM")]
            peaks[each.pid] = int(peak[0]) * 1024 if peak else peaks.get(each.pid, 0)
        time.sleep(0.05)
    return float(sum(peaks.values()))


def duration(bench: Bench) -> None:
    short, long = (bench.run(bench.model(), times * bench.frames) for times in (1, 4))
    show("time", long / short, "<= 4.05", f"{long:.1f} and {short:.1f} s")


def rle(bench: Bench) -> None:
    import torch
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    torch.set_num_threads(1)
    masks, boxes = birds(0, 300)
    encode_masks(masks[:1], boxes[:1], SIZE)
    ours_s = min(timed(lambda: encode_masks(masks, boxes, SIZE)) for _ in range(5))
    ours = encode_masks(masks, boxes, SIZE)
    torchvision_s = detectron2_s = 0.0
    equal = 0
    for begin in range(0, 300, BIRDS):
        part = slice(begin, begin + BIRDS)
        tensors = torch.from_numpy(masks[part]), torch.from_numpy(boxes[part])
        begun = time.perf_counter()
        pasted = (paste_masks_in_image(tensors[0][:, None], tensors[1], SIZE[::-1])[:, 0] > 0.5).numpy()
        [coco.encode(np.array(mask, order="F", dtype=np.uint8)) for mask in pasted]
        torchvision_s += time.perf_counter() - begun
        begun = time.perf_counter()
        pasted = paste_subpixel(*tensors).numpy()
        strings = [coco.encode(np.array(mask, order="F", dtype=np.uint8))["counts"] for mask in pasted]
        detectron2_s += time.perf_counter() - begun
        equal += sum(strings[k] == ours.counts(begin + k) for k in range(BIRDS))
    show("rle", torchvision_s / ours_s, ">= 500", f"torchvision + pycocotools; ours {ours_s / 300 * 1e6:.1f} us a mask")
    show("rle", detectron2_s / ours_s, ">= 150", f"Detectron2's paste + pycocotools; {equal} of 300 strings equal")


def paste_subpixel(masks, boxes):
    """Paste (N, 28, 28) masks into (N, H, W) bool as Detectron2 does on the CPU: one by one, near the box only."""
    import torch

    full = torch.zeros((len(masks), *SIZE[::-1]), dtype=torch.bool)
    for k, (left, top, right, bottom) in enumerate(boxes):
        x1, y1 = max(int(left.floor()) - 1, 0), max(int(top.floor()) - 1, 0)
        x2, y2 = min(int(right.ceil()) + 1, SIZE[0]), min(int(bottom.ceil()) + 1, SIZE[1])
        across = (torch.arange(x1, x2, dtype=torch.float32) + 0.5 - left) / (right - left) * 2 - 1
        down = (torch.arange(y1, y2, dtype=torch.float32) + 0.5 - top) / (bottom - top) * 2 - 1
        grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1)[None]
        values = torch.nn.functional.grid_sample(masks[k][None, None], grid, align_corners=False)
        full[k, y1:y2, x1:x2] = values[0, 0] >= 0.5
    return full


def bytes_an_instance(bench: Bench) -> None:
    model = bench.model(0.0)
    bench.run(model, bench.frames)
    found = open_detections(bench.output(model))
    rows = json_bytes = 0
    for part in found:
        for k in range(len(part.detections)):
            x1, y1, x2, y2 = part.detections.boxes[k].tolist()
            row = {
                "image_id": int(part.detections.frame[k]),
                "category_id": 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": float(part.detections.score[k]),
                "segmentation": {"size": [SIZE[1], SIZE[0]], "counts": part.detections.counts(k).decode()},
            }
            json_bytes += len(json.dumps(row)) + 1
            rows += 1
    ours = sum(path.stat().st_size for path in found.folder.glob("*.parquet"))
    show("bytes", ours / json_bytes, "<= 0.30", f"{ours / rows:.0f} and {json_bytes / rows:.0f} bytes an instance")


def chunks(bench: Bench) -> None:
    frames = bench.frames // 16 * 16
    models = [bench.model(), bench.model()]
    one, many = (
        bench.run(model, frames, "--chunk-frames", str(frames // count))
        for model, count in zip(models, (1, 16), strict=True)
    )
    tables = [
        [part.detections.table().to_pylist() for part in open_detections(bench.output(model))] for model in models
    ]
    equal = sum(tables[0], []) == sum(tables[1], [])
    show("chunks", one / many, ">= 0.97", f"rows {'equal' if equal else 'DIFFER'}; {many:.1f} and {one:.1f} s")


def redone(bench: Bench) -> None:
    model, dice = bench.model(0.02), random.Random(0)
    kills, workers, chunk = 6, 2, 16
    more = ("--resume", "--cpu-workers", str(workers), "--chunk-frames", str(chunk))
    lost = []
    for _ in range(kills):
        worked, saved = frames_worked(model), frames_saved(bench.output(model))
        process = bench.start(model, 4 * bench.frames, *more)
        while process.poll() is None and frames_worked(model) == worked:
            time.sleep(0.01)
        time.sleep(dice.uniform(0.2, 1.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        lost.append(frames_worked(model) - worked - frames_saved(bench.output(model)) + saved)
    worst = max(lost) / workers / chunk
    show("redone", worst, "<= 1", f"{lost} frames lost by {kills} kills of {workers} workers with chunks of {chunk}")


def frames_worked(model: Path) -> int:
    """Return how many frames went through the network so far."""
    log = model.with_suffix(".log")
    return sum(int(line.split()[2]) for line in log.read_text().splitlines()) if log.exists() else 0


def frames_saved(folder: Path) -> int:
    """Return how many frames are on the disk."""
    return sum(len(chunk.frames) for chunk in finished_chunks(folder, 1))


RATIOS: dict[str, Callable[[Bench], None]] = {
    "whole": whole,
    "naive": naive,
    "memory": memory,
    "time": duration,
    "rle": rle,
    "bytes": bytes_an_instance,
    "chunks": chunks,
    "redone": redone,
}


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that ``action`` takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=128, help="N; the longest run takes four times as many")
    parser.add_argument("--only", nargs="+", choices=RATIOS, default=list(RATIOS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.frames)
        for name in arguments.only:
            RATIOS[name](bench)


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        del sys.argv[1]
        run_script("inference", functools.partial(inference, load=load))
    else:
        main()
