"""From pictures on the disk to batches, the same ones in the same order whatever the number of worker processes.

What a step sees is a function of (seed, step, process): a training can begin anywhere.
"""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.interface import Target
from backend.masks import rle
from backend.masks.orientation import UPRIGHT, orientation_of_bytes
from backend.masks.polygons import to_counts
from backend.project.errors import InputError
from backend.training.augmentation import AugmentSettings, augment
from backend.training.read_coco import Instance, Picture, PictureSet
from backend.training.seeding import AUGMENT, ORDER, seed_of
from backend.video.resize import resize

MIN_SIDE_PX = 1.0  # a box thinner than a pixel of the network's input teaches nothing and makes losses explode


class Sample(NamedTuple):
    """One picture at the network's size. ``picture`` (3, H, W) uint8 RGB; ``index`` is its index in the set."""

    picture: Tensor
    target: Target
    index: int


class Batch(NamedTuple):
    """Pictures side by side, padded right and below, with all truth in three tensors: few things to hand over.

    ``pictures`` (N, 3, H, W) uint8 RGB; ``sizes`` (width, height) px and ``counts`` M of each; ``boxes`` (sum of M, 4)
    and ``class_ids`` (sum of M,) as in `Target`; ``masks`` (B,) uint8, all masks one after the other; ``indices`` in
    the set. ``problem`` is the reason in words where a picture could not be read; the rest is then empty.
    """

    pictures: Tensor
    sizes: list[tuple[int, int]]
    counts: list[int]
    boxes: Tensor
    class_ids: Tensor
    masks: Tensor
    indices: list[int]
    problem: str = ""

    def to(self, device: torch.device) -> "Batch":
        """Return the same on ``device``, asking the host not to wait; InputError for a batch with a problem."""
        if self.problem:
            raise InputError(self.problem)
        names = ("pictures", "boxes", "class_ids", "masks")
        return self._replace(**{name: getattr(self, name).to(device, non_blocking=True) for name in names})

    @property
    def targets(self) -> list[Target]:
        """The truth of each picture."""
        areas = [count * width * height for count, (width, height) in zip(self.counts, self.sizes, strict=True)]
        masks = [
            flat.view(count, height, width)
            for flat, count, (width, height) in zip(self.masks.split(areas), self.counts, self.sizes, strict=True)
        ]
        parts = (self.boxes.split(self.counts), self.class_ids.split(self.counts), masks)
        return [Target(*parts_of_image) for parts_of_image in zip(*parts, strict=True)]


class Pictures(Dataset):
    """Reads samples; a key is (epoch, index in the set). ``changes`` says how strongly pictures are augmented."""

    def __init__(
        self, image_set: PictureSet, settings: DetectorSettings, seed: int = 0, changes: AugmentSettings | None = None
    ):
        self._pictures = image_set.pictures
        self._settings = settings
        self._seed = seed
        self._changes = changes

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, key: tuple[int, int]) -> Sample | str:
        """Return a sample, or in words why there is none: an exception would lose its type between processes."""
        epoch, index = key
        try:
            if self._changes is None:
                return read_sample(self._pictures[index], self._settings, index)
            rng = np.random.default_rng(seed_of(AUGMENT, self._seed, epoch, index))
            return read_sample(self._pictures[index], self._settings, index, self._changes, rng)
        except (InputError, OSError) as error:
            return str(error)


def read_sample(
    picture: Picture,
    settings: DetectorSettings,
    index: int = 0,
    changes: AugmentSettings | None = None,
    rng: np.random.Generator | None = None,
) -> Sample:
    """Read one picture with its instances, crowds left out, at the network's size, augmented if ``rng`` is given.

    Raises
    ------
    InputError
        If the file is no image, is stored turned, or has another size than the JSON says.
    """
    image = _read_image(picture.path)
    height, width = image.shape[:2]
    if (width, height) != (picture.width, picture.height):
        raise InputError(f"{picture.path} is {width}x{height}, its JSON says {picture.width}x{picture.height}")
    size = settings.input_size((width, height))
    image = resize(image, size)
    boxes, class_ids, masks = _truth([instance for instance in picture.instances if not instance.crowd], picture, size)
    if changes is not None and rng is not None:
        image, masks, boxes, kept = augment(image, masks, boxes, rng, changes)
        class_ids = class_ids[kept]
    target = Target(torch.from_numpy(boxes), torch.from_numpy(class_ids), torch.from_numpy(masks))
    return Sample(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), target, index)


def _read_image(path: Path) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB; InputError for one stored turned: OpenCV turns it upright, its masks stay."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read as an image: {error.strerror}") from error
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if image is None:
        raise InputError(f"{path} cannot be read as an image")
    try:
        turned = orientation_of_bytes(data)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        turned = UPRIGHT  # a format that only OpenCV reads
    if turned != UPRIGHT:
        raise InputError(f"{path} is stored turned (EXIF orientation {turned}); save it upright")
    return image


def _truth(
    instances: list[Instance], picture: Picture, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes (M, 4) float32, class ids (M,) int64 and masks (M, H, W) uint8 at the network's ``size``."""
    scale = np.array(size, np.float32) / (picture.width, picture.height)
    boxes = (
        np.stack([_box(instance, picture.height) for instance in instances])
        if instances
        else np.zeros((0, 4), np.float32)
    )
    boxes = np.clip(boxes * np.tile(scale, 2), 0, np.tile(np.array(size, np.float32), 2))
    keep = np.flatnonzero((boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf) >= MIN_SIDE_PX)
    masks = [_mask(instances[k], picture, size, scale) for k in keep]
    class_ids = np.array([instances[k].class_id for k in keep], np.int64)
    none = np.zeros((0, size[1], size[0]), np.uint8)
    return boxes[keep].astype(np.float32), class_ids, np.stack(masks) if masks else none


def _box(instance: Instance, height: int) -> np.ndarray:
    """Return ``x1 y1 x2 y2`` px of the original picture, from the mask: boxes in JSON files are not always right."""
    if instance.counts:
        return rle.box(instance.counts, height)
    points = np.concatenate(instance.polygons)
    return np.concatenate((points.min(0), points.max(0)))


def _mask(instance: Instance, picture: Picture, size: tuple[int, int], scale: np.ndarray) -> np.ndarray:
    """Return (H, W) uint8, 0 or 1, at the network's size."""
    if instance.counts:
        whole = rle.decode(instance.counts, picture.height, picture.width)
        shrinks = size[0] <= picture.width
        smaller = cv2.resize(
            whole.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        return (smaller >= 128).astype(np.uint8)
    scaled = [(polygon * scale).astype(float).ravel().tolist() for polygon in instance.polygons]
    width, height = size
    return rle.decode(to_counts(scaled, height, width), height, width).astype(np.uint8)


def collate(samples: list[Sample | str]) -> Batch:
    """Pad samples to one size and put them side by side."""
    problems = [sample for sample in samples if isinstance(sample, str)]
    if problems:
        none = torch.zeros(0)
        return Batch(none, [], [], none, none, none, [], problems[0])
    sizes = [(sample.picture.shape[2], sample.picture.shape[1]) for sample in samples]
    width, height = (max(lengths) for lengths in zip(*sizes, strict=True))
    pictures = torch.zeros((len(samples), 3, height, width), dtype=torch.uint8)
    for picture, sample, (own_width, own_height) in zip(pictures, samples, sizes, strict=True):
        picture[:, :own_height, :own_width] = sample.picture
    targets = [sample.target for sample in samples]
    return Batch(
        pictures,
        sizes,
        [len(target.boxes) for target in targets],
        torch.cat([target.boxes for target in targets]),
        torch.cat([target.class_ids for target in targets]),
        torch.cat([target.masks.flatten() for target in targets]),
        [sample.index for sample in samples],
    )


class TrainingOrder(Sampler):
    """Yields the keys of each step's batch for one process, from ``first_step`` to the last.

    Every epoch is a fresh shuffle of all pictures, cut into steps of ``batch_size * n_processes``; the last step is
    filled up from the epoch's beginning, so that all processes have as many steps and none waits for ever.
    """

    def __init__(self, n: int, batch_size: int, seed: int, process: int = 0, n_processes: int = 1):
        self._n, self._batch_size, self._seed = n, batch_size, seed
        self._process, self._n_processes = process, n_processes
        self.first_step, self.n_steps = 0, 0

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in which every picture is seen once."""
        return -(-self._n // (self._batch_size * self._n_processes))

    def __len__(self) -> int:
        return self.n_steps - self.first_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = -1, np.zeros(0, np.int64)
        for step in range(self.first_step, self.n_steps):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = np.random.default_rng(seed_of(ORDER, self._seed, epoch)).permutation(self._n)
            start = (step % self.steps_per_epoch * self._n_processes + self._process) * self._batch_size
            indices = np.take(order, range(start, start + self._batch_size), mode="wrap")
            yield [(epoch, int(index)) for index in indices]


def evaluation_batches(n: int, batch_size: int, process: int, n_processes: int) -> list[list[tuple[int, int]]]:
    """Return this process's share of the batches; which pictures are together does not depend on how many processes."""
    batches = [[(0, index) for index in range(start, min(start + batch_size, n))] for start in range(0, n, batch_size)]
    return batches[process::n_processes]


def loader(pictures: Pictures, batches: TrainingOrder | list, n_workers: int, pin: bool) -> DataLoader:
    """Return a loader that reads ``batches`` in ``n_workers`` processes (0: in this one).

    Readers are forked from a process that has imported what they need and done nothing else: forked from this one, with
    its threads, they could wait for ever for a lock that nobody holds.
    """
    context = None
    if n_workers:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["backend.training.ignore_signals", __name__])
    return DataLoader(
        pictures,
        batch_sampler=batches,
        num_workers=n_workers,
        collate_fn=collate,
        pin_memory=pin,
        worker_init_fn=_begin_reader,
        multiprocessing_context=context,
        prefetch_factor=4 if n_workers else None,
    )


def _begin_reader(number: int) -> None:
    cv2.setNumThreads(1)
