"""Folders of images and masks for tests: birds that walk, on ground that looks different in every frame."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from backend.masks.indexed import encode_labels
from backend.masks.objects import LabelledObject, write_objects

SIZE = (160, 96)


def labels_at(number: int, birds: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return the label map of a frame, (H, W) uint8: bird ``k`` has the id ``k``; every third has a hole."""
    width, height = size
    labels = np.zeros((height, width), np.uint8)
    for bird in range(1, birds + 1):
        x = int((bird * 37 + number * 3) % (width - 40)) + 20
        y = int((bird * 23 + number * 2) % (height - 30)) + 15
        cv2.ellipse(labels, (x, y), (11, 7), bird * 20 + number, 0, 360, bird, -1)
        if bird % 3 == 0:
            cv2.circle(labels, (x, y), 2, 0, -1)
    return labels


def picture_of(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return (H, W, 3) uint8: smooth ground from ``seed``, brighter where a bird is."""
    height, width = labels.shape
    ground = np.random.default_rng(seed).integers(40, 120, (6, 8, 3)).astype(np.uint8)
    picture = cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC)
    picture[labels > 0] = picture[labels > 0] // 2 + 120
    return picture


def make_pair(
    root: Path,
    video: str,
    numbers: Iterable[int],
    birds: int | list[int] = 3,
    size: tuple[int, int] = SIZE,
    classes: tuple[str, ...] = ("ruff",),
) -> tuple[Path, Path]:
    """Write ``exported_frames/VIDEO`` and ``segannot/VIDEO`` under ``root`` and return both folders.

    ``birds`` is the number of birds in each frame. Bird ``k`` is of class ``classes[(k - 1) % len(classes)]``; with
    no classes there is no objects.json.
    """
    images, masks = root / "exported_frames" / video, root / "segannot" / video
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    numbers = list(numbers)
    counts = [birds] * len(numbers) if isinstance(birds, int) else birds
    for number, count in zip(numbers, counts, strict=True):
        labels = labels_at(number, count, size)
        seed = number + sum(video.encode()) * 1000
        cv2.imwrite(str(images / f"{number:06d}.png"), picture_of(labels, seed))
        (masks / f"{number:06d}.png").write_bytes(encode_labels(labels))  # no waiting for the disk in tests
    if classes:
        objects = [
            LabelledObject(id=bird, name=f"bird {bird}", class_name=classes[(bird - 1) % len(classes)])
            for bird in range(1, max([*counts, 1]) + 1)
        ]
        write_objects(masks, objects)
    return images, masks
