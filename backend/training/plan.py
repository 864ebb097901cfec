"""From arguments to a plan: data, network and start weights. All errors of the user are found here."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.interface import Detector
from backend.detectors.load import build_detector, load_weights_file, model_identity
from backend.detectors.precision import number_format
from backend.detectors.registry import TORCHVISION, check_backbone, engine
from backend.detectors.weights import WeightsFile, start_from
from backend.project.errors import InputError
from backend.project.settings import first_problem
from backend.training.augmentation import AugmentSettings, augment_settings
from backend.training.read_coco import PictureSet, check_classes, read_pictures, without_crowds
from backend.training.seeding import seed_of
from backend.training.settings import TrainSettings


@dataclass(frozen=True)
class Plan:
    """What will be trained on what. ``inputs`` is what the manifest says of data and start weights."""

    training_set: PictureSet
    validation_set: PictureSet | None
    detector_settings: DetectorSettings
    start: WeightsFile | None
    inputs: dict[str, Any]
    changes: AugmentSettings | None

    def build(self, device: torch.device, settings: TrainSettings) -> Detector:
        """Return the detector on ``device`` with its start weights; what these do not give is random by the seed."""
        with torch.random.fork_rng([]):
            torch.manual_seed(seed_of(settings.seed))
            detector = build_detector(self.detector_settings)
        if self.start is not None:
            start_from(detector, self.start)
        return detector.move_to(device, number_format(device, settings.amp)).train()


def make_plan(settings: TrainSettings) -> Plan:
    """Read the data and decide the network.

    Raises
    ------
    InputError
        For anything about data, classes, engine, start weights or folder that cannot work; nothing was written.
    """
    check_folder(settings.out_dir)
    changes = augment_settings(settings.augment)
    training_set = without_crowds(read_pictures(settings.train_annot))
    check_classes(training_set, settings.n_classes)
    validation_set = None
    if settings.val_annot is not None:
        validation_set = read_pictures(settings.val_annot, training_set.class_names)
    start = load_weights_file(settings.model_dir, settings.model_ckpt) if settings.model_dir else None
    inputs = {
        "train": training_set.identity(),
        "val": validation_set.identity() if validation_set else None,
        "start": model_identity(settings.model_dir, settings.model_ckpt) if settings.model_dir else None,
    }
    chosen = choose_detector(settings, training_set.class_names, start.settings if start else None)
    return Plan(training_set, validation_set, chosen, start, inputs, changes)


def choose_detector(
    settings: TrainSettings, class_names: tuple[str, ...], start: DetectorSettings | None
) -> DetectorSettings:
    """Return the settings of the detector: those of the start weights where the arguments leave them open."""
    if start and settings.engine not in (None, start.engine):
        raise InputError(f"--engine {settings.engine}: the start weights are of {start.engine} {start.backbone}")
    name = settings.engine or (start.engine if start else TORCHVISION.name)
    info = engine(name)
    backbone = check_backbone(info, settings.backbone or (start.backbone if start else info.backbones[0].name))
    kept = start.model_dump() if start else {"engine": name, "norm": "group", "channels": backbone.channels}
    chosen: dict[str, Any] = {
        "engine": settings.engine,
        "backbone": backbone.name,
        "norm": None if settings.norm == "auto" else settings.norm,
        "frozen_stages": settings.frozen_stages,
        "detections_per_image": settings.detections_per_image,
        "score_threshold": settings.score_threshold,
        "anchor_sizes_px": settings.anchor_sizes or None,
        "channels": settings.channels,
        "rois_in_training": settings.rois,
        "auto_gamma": settings.auto_gamma or None,
    }
    if settings.image_size:
        chosen["short_side_px"], chosen["long_side_px"] = _sides(settings.image_size)
    if start is None:
        chosen["frozen_stages"] = 0  # random features must not stay what they are
    changes = {key: value for key, value in chosen.items() if value is not None}
    try:
        return DetectorSettings.model_validate({**kept, **changes, "class_names": class_names})
    except ValidationError as error:
        raise InputError(first_problem(error)) from error


def check_folder(folder: Path) -> None:
    """Raise InputError if ``folder`` cannot be made or written into."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise InputError(f"--out-dir {folder}: {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"--out-dir {folder}: {existing} is read-only for this user; choose another folder")


def _sides(image_size: tuple[int, ...]) -> tuple[int, int]:
    """Return shorter and longest longer side; one number alone stands for a picture of up to 5 to 3."""
    short = image_size[0]
    return short, image_size[1] if len(image_size) == 2 else round(short * 5 / 3)
