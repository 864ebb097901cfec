"""Estimate of the memory a training will need, and suggested settings, before it starts. Imports no torch.

The bytes were counted, not guessed: those that torch keeps for the backward pass of each network, by picture size and
by boxes learnt from. On a GPU, temporary buffers come on top, hence `HEADROOM`.
"""

from dataclasses import dataclass

import numpy as np

from backend.detectors.detector_settings import DetectorSettings
from backend.masks import rle
from backend.training.read_coco import PictureSet
from backend.training.settings import TrainSettings

HEADROOM = 1.3
BASE_BYTES = 0.8e9  # CUDA's own, kernels, and what the allocator cannot use
COPIES = {"sgd": 3, "adamw": 4}  # weights, gradients, and the optimiser's moments; float32 each
HALF = 0.6  # of the activations, with bf16 or fp16: normalisation stays in float32
SMALLEST_SHARE = 0.75  # of the smallest anchor: animals below that are hardly ever proposed
ANCHORS = ((32, 64, 128, 256, 512), (16, 32, 64, 128, 256), (8, 16, 32, 64, 128))


@dataclass(frozen=True)
class Need:
    """Of one network: million weights, bytes a pixel of its input (all stages learning, two of them frozen), bytes a
    box. Widths as in `registry`.
    """

    million: float
    px: int
    px_frozen: int
    box: int


NEEDS = {
    "resnet50": Need(44.0, 1930, 850, 96_000),
    "resnet50_v2": Need(45.9, 2170, 1040, 540_000),
    "resnet34": Need(41.0, 900, 500, 96_000),
    "resnet18": Need(19.0, 600, 350, 48_000),
    "mobilenet_v3_large": Need(4.0, 700, 450, 24_000),
    "mask_rcnn_R_50_FPN_3x": Need(44.0, 1930, 850, 96_000),
    "mask_rcnn_R_101_FPN_3x": Need(63.0, 2900, 1500, 96_000),
}


@dataclass(frozen=True)
class SetFacts:
    """What a page says about a data set. ``median_px`` is the square root of the median mask box, original px.

    ``sides_px`` holds that root of every animal, by the width and height of its picture; () if not known.
    """

    images: int
    instances: int
    class_names: tuple[str, ...]
    picture_size: tuple[int, int]
    median_px: float
    sides_px: tuple[tuple[tuple[int, int], tuple[float, ...]], ...] = ()


def facts_of(image_set: PictureSet) -> SetFacts:
    """Return what a page says about a set; the size is that of its largest picture."""
    sides: dict[tuple[int, int], list[float]] = {}
    for picture in image_set.pictures:
        own = sides.setdefault((picture.width, picture.height), [])
        for instance in (one for one in picture.instances if not one.crowd):
            if len(instance.polygons):
                points = np.concatenate(instance.polygons)
                own.append(float(np.sqrt(np.prod(np.ptp(points, axis=0)))))
            else:
                own.append(float(np.sqrt(rle.area(instance.counts))))
    size = max((picture.width, picture.height) for picture in image_set.pictures)
    median = float(np.median([side for own in sides.values() for side in own]))
    by_size = tuple((picture_size, tuple(own)) for picture_size, own in sides.items())
    return SetFacts(len(image_set), image_set.n_instances, image_set.class_names, size, median, by_size)


def seen_px(facts: SetFacts, detector: DetectorSettings) -> float:
    """Return the size of the median animal as the network sees it, px of its input: each picture has its own scale."""
    sizes = facts.sides_px or ((facts.picture_size, (facts.median_px,)),)
    seen = [np.array(own) * (detector.input_size(size)[0] / size[0]) for size, own in sizes if own]
    return float(np.median(np.concatenate(seen)))


def memory_bytes(detector: DetectorSettings, settings: TrainSettings, picture_size: tuple[int, int], half: bool) -> int:
    """Return about how much memory a process of the training needs on its GPU.

    Parameters
    ----------
    detector
        Network, input size and boxes learnt from.
    settings
        Batch size and optimiser.
    picture_size
        Width and height of the pictures, px.
    half
        Whether it computes in bf16 or fp16.
    """
    need = NEEDS[detector.backbone]
    width, height = detector.input_size(picture_size)
    a_px = need.px_frozen if detector.frozen_stages >= 2 and detector.norm == "frozen" else need.px
    a_picture = width * height * a_px + detector.rois_in_training * need.box
    activations = settings.batch_size * a_picture * (HALF if half else 1.0) * HEADROOM
    return int(BASE_BYTES + 4e6 * need.million * COPIES[settings.optimiser] + activations)


def suggested_anchors(median_px: float, detector: DetectorSettings, picture_size: tuple[int, int]) -> tuple[int, ...]:
    """Return the anchor sizes for animals of ``median_px`` in the original picture: the usual ones, or smaller."""
    return anchors_for(median_px * detector.input_size(picture_size)[0] / picture_size[0])


def anchors_for(animal_px: float) -> tuple[int, ...]:
    """Return the anchor sizes for animals of a size at the network's input: the usual ones, or smaller."""
    fitting = (sizes for sizes in ANCHORS if animal_px >= SMALLEST_SHARE * sizes[0])
    return next(fitting, ANCHORS[-1])


def suggested_rate(batch_size: int, processes: int, random_start: bool) -> float:
    """Return a learning rate to begin with, which grows with the pictures a step.

    0.00075 for two pictures fine-tunes trained weights, as the first version did; from random weights 0.01 for four.
    """
    pictures = batch_size * processes
    return round(0.01 * pictures / 4 if random_start else 0.00075 * pictures / 2, 6)
