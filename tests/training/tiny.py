"""The smallest training there is: a step takes a sixth of a second."""

import hashlib
from pathlib import Path

import torch

from backend.train import main
from tests.training.shapes import shapes_set

SIZE = (96, 64)  # width, height px
LINE = (
    "--backbone mobilenet_v3_large --channels 16 --rois 8 --image-size 64 96 --anchor-sizes 8 16 24 32 48 "
    "--batch-size 2 --n-workers 0 --gpu-id cpu --augment none --log-period 1 --lr 0.01"
)
OPTIONS = LINE.split()


def make_data(folder: Path) -> Path:
    """Write eight training and five validation pictures of two classes and return their folder."""
    shapes_set(folder, "train", 8, 1, SIZE)
    shapes_set(folder, "val", 5, 2, SIZE)
    return folder


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    """Return the arguments of a training on ``data/train.json`` and ``data/val.json``; later ones win."""
    given = ["--train-annot", str(data / "train.json"), "--val-annot", str(data / "val.json"), "--out-dir", str(out)]
    return [*given, *OPTIONS, *more]


def train(data: Path, out: Path, *more: str) -> Path:
    """Train in this process and return the model's folder."""
    torch.set_num_threads(1)
    main(arguments(data, out, *more))
    return out


def weights_sum(model: Path) -> str:
    """Return a checksum of a checkpoint's weights, bit by bit."""
    content = torch.load(model / "checkpoints" / "last.pt", weights_only=True)["model"]
    digest = hashlib.sha256()
    for name in sorted(content):
        digest.update(name.encode() + content[name].numpy().tobytes())
    return digest.hexdigest()
