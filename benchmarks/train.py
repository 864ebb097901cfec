"""Training: images a second, where the time goes, and what the loop costs beside forward and backward alone.

    python -m benchmarks.train                                     # a small network on the CPU
    python -m benchmarks.train --device 0 --backbone resnet50 --short-side 800 --long-side 1333 --batch-size 8

Prints the share of data, forward, backward and step, and the ratio of the whole loop to forward and backward alone
(goal: at least 0.9). Both are measured in turns within one run, so that a busy machine slows both.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.load import build_detector
from backend.detectors.precision import number_format, pick_device
from backend.training.augmentation import augment_settings
from backend.training.checkpoints import TrainingState
from backend.training.data_loading import Batch, Pictures, TrainingOrder, loader
from backend.training.distributed import ProcessGroup
from backend.training.model_folder import ModelFolder
from backend.training.read_coco import read_pictures
from backend.training.settings import TrainSettings
from backend.training.train_step import TrainStep

GOAL = 0.9
BIRDS = 20


def main() -> None:
    """Measure and print."""
    given = parse()
    if given.threads:
        torch.set_num_threads(given.threads)
    device = pick_device(given.device)
    with tempfile.TemporaryDirectory() as folder:
        path = write_set(Path(folder), given.images, tuple(given.frame))
        settings = TrainSettings(train_annot=path, out_dir=Path(folder) / "out", batch_size=given.batch_size, lr=1e-6)
        train_step, batches = prepare(given, settings, device)
        state = TrainingState()
        for batch in itertools.islice(batches, given.warm_up):
            train_step.take(state, batch.to(device), [])
        measure(given, train_step, state, batches, device)


def measure(given, train_step: TrainStep, state: TrainingState, batches, device: torch.device) -> None:
    """Take turns: a few steps of the loop, as many of forward and backward alone on a batch that is there already."""
    loop_s = alone_s = data_s = 0.0
    pictures = 0
    train_step.synchronise = True
    train_step.phases = type(train_step.phases)()
    for _ in range(given.turns):
        for _ in range(given.steps):
            begin = now(device)
            batch = next(batches).to(device)
            data_s += now(device) - begin
            train_step.take(state, batch, [])
            loop_s += now(device) - begin
            pictures += len(batch.indices)
            alone_s += forward_and_backward(train_step, batch, device)
    phases = train_step.phases
    number_format_used = train_step.detector.number_format
    print(f"{given.backbone}, batch {given.batch_size}, {number_format_used} on {device}, workers {given.workers}")
    print(f"images/s              {pictures / loop_s:8.2f}")
    for name, seconds in (
        ("data", data_s),
        ("forward", phases.forward),
        ("backward", phases.backward),
        ("step", phases.step),
    ):
        print(f"{name:20} {100 * seconds / loop_s:6.1f} %  {1000 * seconds / pictures:9.1f} ms an image")
    ratio = alone_s / loop_s
    verdict = "" if ratio >= GOAL else "  MISSED"
    print(f"loop / (forward + backward alone), images/s: {ratio:.3f} (goal >= {GOAL}){verdict}")


def forward_and_backward(train_step: TrainStep, batch: Batch, device: torch.device) -> float:
    """Return the seconds of forward and backward alone, on a batch that was just seen; weights stay as they are."""
    begin = now(device)
    losses = train_step.detector(batch.pictures, batch.sizes, batch.targets)
    train_step.scaler.scale(sum(losses.values())).backward()
    seconds = now(device) - begin
    train_step.optimiser.zero_grad(set_to_none=True)
    return seconds


def prepare(given, settings: TrainSettings, device: torch.device):
    """Return the train_step and an endless reader of batches."""
    detector_settings = DetectorSettings(
        backbone=given.backbone,
        class_names=("ruff",),
        norm="group",
        channels=given.channels,
        rois_in_training=given.rois,
        short_side_px=given.short_side,
        long_side_px=given.long_side,
    )
    detector = build_detector(detector_settings).move_to(device, number_format(device)).train()
    image_set = read_pictures(settings.train_annot)
    order = TrainingOrder(len(image_set), given.batch_size, 0)
    order.n_steps = given.warm_up + given.turns * given.steps + 8
    pictures = Pictures(image_set, detector_settings, 0, augment_settings("light"))
    folder = ModelFolder(settings.out_dir)
    train_step = TrainStep(detector, settings, ProcessGroup(0, 1, device), order.n_steps, folder)
    return train_step, iter(loader(pictures, order, given.workers, device.type == "cuda"))


def write_set(folder: Path, n: int, frame: tuple[int, int]) -> Path:
    """Write ``n`` noisy frames with 20 elliptic birds each, as PNG and COCO JSON."""
    random = np.random.default_rng(0)
    width, height = frame
    images, annotations = [], []
    for number in range(1, n + 1):
        picture = cv2.GaussianBlur(random.integers(0, 200, (height, width, 3), np.uint8), (0, 0), 2)
        for _ in range(BIRDS):
            radius = random.uniform(0.02, 0.05) * height
            centre = random.uniform([radius, radius], [width - radius, height - radius])
            angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
            points = centre + radius * np.stack([np.cos(angles), 0.6 * np.sin(angles)], 1)
            cv2.fillPoly(picture, [points.round().astype(np.int32)], random.integers(120, 255, 3).tolist())
            annotation = {"image_id": number, "category_id": 1, "segmentation": [points.ravel().round(1).tolist()]}
            annotations.append({"id": len(annotations) + 1, "iscrowd": 0, **annotation})
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png", "width": width, "height": height})
    path = folder / "set.json"
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ruff"}]}
    path.write_text(json.dumps(content))
    return path


def now(device: torch.device) -> float:
    """Return the time once the GPU has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--device", default="cpu")
    add("--backbone", default="resnet18")
    add("--channels", type=int, default=128)
    add("--rois", type=int, default=64)
    add("--short-side", type=int, default=320)
    add("--long-side", type=int, default=566)
    add("--batch-size", type=int, default=2)
    add("--workers", type=int, default=1)
    add("--threads", type=int, default=0, help="of torch on the CPU; 0: as many as it likes")
    add("--images", type=int, default=16)
    add("--frame", type=int, nargs=2, default=(1344, 760))
    add("--steps", type=int, default=3)
    add("--turns", type=int, default=4)
    add("--warm-up", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
