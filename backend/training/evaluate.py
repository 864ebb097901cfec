"""Evaluation: validation loss, predictions and AP, the same figures however many processes share the work."""

import contextlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from backend.detectors.interface import Detections, Detector
from backend.masks.from_network import encode_masks
from backend.training.ap import Metrics, Result, average_precision
from backend.training.data_loading import Batch, Pictures, collate, evaluation_batches, loader
from backend.training.distributed import ProcessGroup
from backend.training.read_coco import Picture, PictureSet
from backend.training.seeding import EVALUATE, torch_seeded


class Interrupted(Exception):  # noqa: N818 - not an error
    """A stop was requested during an evaluation; it is repeated when the training resumes."""


@dataclass
class Evaluation:
    """The result of an evaluation.

    ``losses`` are means over batches, by name, and "loss", their sum; ``metrics`` as of `average_precision`;
    ``results`` are COCO results at the size of the original pictures, ``category_id`` our 1-based class id; ``dead``
    is, for each stage of the backbone, the share of channels that never fire; ``commonest_class_share`` is that of the
    most frequent class among the detections.
    """

    losses: dict[str, float]
    metrics: Metrics
    results: list[Result]
    dead: dict[str, float] = field(default_factory=dict)
    commonest_class_share: float | None = None

    @property
    def mask_ap(self) -> float | None:
        """Mask AP over IoU 0.5 to 0.95, 0 to 1; what "best" means."""
        return self.metrics["mask"]["ap"]

    def record(self) -> dict[str, Any]:
        """Return the figures as they stand in the history and in ``metrics.json``."""
        return {
            "losses": self.losses,
            "metrics": self.metrics,
            "dead_relu": self.dead,
            "share_of_commonest_class": self.commonest_class_share,
        }


def evaluate(
    detector: Detector,
    image_set: PictureSet,
    group: ProcessGroup,
    batch_size: int,
    n_workers: int,
    seed: int,
    on_progress: Callable[[int, int], bool],
) -> Evaluation:
    """Evaluate ``detector`` on all of ``image_set``. All processes must call it; only the first one gets ``metrics``.

    Parameters
    ----------
    detector
        Left in the mode it was in.
    image_set
        The validation set.
    group
        The processes that share the work.
    batch_size, n_workers
        Pictures a batch, and reading processes for each process.
    seed
        Losses sample anchors; the same seed samples the same ones in every evaluation.
    on_progress
        Called with the number of batches done and of all; if it returns True, the evaluation ends.

    Raises
    ------
    Interrupted
        In all processes, if ``on_progress`` returned True in one.
    InputError
        If a picture cannot be read.
    """
    all_batches = math.ceil(len(image_set) / batch_size)
    mine = evaluation_batches(len(image_set), batch_size, group.rank, group.size)
    batches = iter(loader(Pictures(image_set, detector.settings), mine, n_workers, group.device.type == "cuda"))
    part = _Part()
    mode = detector.training
    detector.eval()
    try:
        for number in range(group.rank, all_batches + group.rank, group.size):  # as many turns in every process
            if number < all_batches:
                part.add(number, detector, next(batches).to(group.device), image_set, seed)
            if group.any(on_progress(min(number + group.size, all_batches), all_batches)):
                raise Interrupted
    finally:
        detector.train(mode)
    return _together(group.gather(part), image_set, detector, group.first)


def predict(detector: Detector, image_set: PictureSet, indices: list[int]) -> list[Result]:
    """Return what ``detector`` finds in the pictures at ``indices``, one after the other, in this process alone."""
    mode = detector.training
    detector.eval()
    results: list[Result] = []
    try:
        for index in indices:
            batch = collate([Pictures(image_set, detector.settings)[0, index]]).to(detector.device)
            with torch.no_grad():
                detections = detector(batch.pictures, batch.sizes).to_host()
            picture = image_set.pictures[index]
            results += coco_results(detections, [picture], batch.sizes, detector.settings.mask_threshold)
    finally:
        detector.train(mode)
    return results


@dataclass
class _Part:
    """One process's share: losses and results by the number of the batch, and the activations of its first batch."""

    losses: dict[int, dict[str, float]] = field(default_factory=dict)
    results: dict[int, list[Result]] = field(default_factory=dict)
    dead: dict[str, float] = field(default_factory=dict)

    def add(self, number: int, detector: Detector, batch: Batch, image_set: PictureSet, seed: int) -> None:
        watch = watch_activations(detector) if number == 0 else contextlib.nullcontext({})
        with torch.no_grad(), torch_seeded(EVALUATE, seed, number, device=detector.device), watch as dead:
            losses, detections = detector.losses_and_detections(batch.pictures, batch.sizes, batch.targets)
        self.losses[number] = {name: float(loss) for name, loss in losses.items()}
        self.dead = self.dead or dead
        pictures = [image_set.pictures[index] for index in batch.indices]
        self.results[number] = coco_results(
            detections.to_host(), pictures, batch.sizes, detector.settings.mask_threshold
        )


def coco_results(
    detections: Detections, pictures: list[Picture], sizes: list[tuple[int, int]], threshold: float
) -> list[Result]:
    """Return detections as COCO results at the size of the original pictures.

    Parameters
    ----------
    detections
        Of one batch, in CPU memory.
    pictures, sizes
        The batch's pictures, and their width and height at the network's input.
    threshold
        Least probability inside a mask.
    """
    results: list[Result] = []
    for index, (picture, size) in enumerate(zip(pictures, sizes, strict=True)):
        own = (detections.image == index).numpy()
        scale = np.array([picture.width, picture.height] * 2, np.float32) / np.array([*size, *size], np.float32)
        boxes = detections.boxes.numpy()[own] * scale
        frame = (picture.width, picture.height)
        encoded = encode_masks(detections.masks.numpy()[own], boxes, frame, threshold)
        scores, class_ids = detections.scores.numpy()[own].tolist(), detections.class_ids.numpy()[own].tolist()
        for k, (score, class_id, (x1, y1, x2, y2)) in enumerate(zip(scores, class_ids, boxes.tolist(), strict=True)):
            results.append(
                {
                    "image_id": picture.image_id,
                    "category_id": class_id,
                    "score": score,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "segmentation": {"size": [picture.height, picture.width], "counts": encoded.counts(k).decode()},
                }
            )
    return results


def _together(parts: list[_Part], image_set: PictureSet, detector: Detector, first: bool) -> Evaluation:
    """Join the shares in the order of the batches, so that sums round alike however they were shared."""
    losses = {number: values for part in parts for number, values in part.losses.items()}
    results = {number: values for part in parts for number, values in part.results.items()}
    mean = {
        name: math.fsum(losses[number][name] for number in sorted(losses)) / len(losses)
        for name in next(iter(losses.values()))
    }
    mean["loss"] = math.fsum(mean.values())
    joined = [result for number in sorted(results) for result in results[number]]
    metrics = average_precision(image_set, joined, detector.settings.detections_per_image) if first else {}
    classes = Counter(result["category_id"] for result in joined)
    commonest_class_share = max(classes.values()) / len(joined) if joined and len(image_set.class_names) > 1 else None
    dead = next((part.dead for part in parts if part.dead), {})
    return Evaluation(mean, metrics, joined, dead, commonest_class_share)


@contextlib.contextmanager
def watch_activations(detector: Detector) -> Iterator[dict[str, float]]:
    """Yield a dictionary that, at the end, holds the share of dead channels of each stage during what was run inside.

    A channel is dead if it was above zero nowhere, in no picture; a network that is mostly dead has collapsed.
    """
    shares: dict[str, float] = {}
    channels: dict[str, list[bool]] = defaultdict(list)

    def hook(stage: str) -> Callable[..., None]:
        def record_dead(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            channels[stage] += (output.amax((0, 2, 3)) <= 0).tolist()

        return record_dead

    handles = [
        module.register_forward_hook(hook(stage))
        for stage, modules in detector.activations().items()
        for module in modules
    ]
    try:
        yield shares
    finally:
        for handle in handles:
            handle.remove()
        shares.update({stage: sum(dead) / len(dead) for stage, dead in channels.items()})
