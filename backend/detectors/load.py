"""From a name or a folder to a detector that is ready to run."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from backend.detectors.detector_settings import DetectorSettings, read_detector_settings
from backend.detectors.interface import Detector
from backend.detectors.precision import number_format, pick_device
from backend.detectors.registry import check_backbone, engine
from backend.detectors.weights import Weights, WeightsFile, load_exactly, read_weights
from backend.project.errors import InputError
from backend.project.manifest import sha256
from backend.project.settings import first_problem

BEST_FILE = "model.safetensors"
LAST_FILE = "checkpoints/last.pt"
CHANGEABLE = {  # when a model is run; everything else belongs to its weights
    "short_side_px",
    "long_side_px",
    "proposals_before_nms",
    "proposals",
    "nms_iou",
    "score_threshold",
    "detections_per_image",
}


def build_detector(settings: DetectorSettings) -> Detector:
    """Return a detector with random weights on the CPU.

    Raises
    ------
    InputError
        If the engine cannot be used here or has no such backbone.
    """
    info = engine(settings.engine)
    check_backbone(info, settings.backbone)
    return importlib.import_module(info.module).build(settings)


def load_detector(
    model: Path,
    device: str | torch.device = "cpu",
    amp: str = "auto",
    checkpoint: str = "best",
    classes: tuple[str, ...] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Detector:
    """Return a trained detector in ``eval`` mode, frozen, on ``device``.

    Parameters
    ----------
    model
        A model's folder (``training/NAME``) or a weights file with a header (``weights/NAME.safetensors``).
    device
        "cpu", a GPU's number as text, or a device.
    amp
        Number format: "auto", "fp32", "bf16" or "fp16"; see `number_format`.
    checkpoint
        With a folder: "best", "last", or a file in it.
    classes
        Report these of the model's classes only ("bird" of a COCO model); see `Detector.restrict`.
    changes
        Settings that may change when a model is run; see `CHANGEABLE`.

    Raises
    ------
    InputError
        If there is no model, it is broken, its engine is missing here, or a class or setting is not allowed.
    """
    device = pick_device(device) if isinstance(device, str) else device
    file = load_weights_file(model, checkpoint)
    if file.backbone_only:
        raise InputError(f"{model} holds a backbone only: it is for starting a training, not for finding anything")
    detector = build_detector(changed_settings(file.settings, changes or {}))
    load_exactly(detector, file.weights, str(model))
    if classes:
        detector.restrict(classes)
    return detector.move_to(device, number_format(device, amp)).eval().requires_grad_(False)


def load_weights_file(model: Path, checkpoint: str = "best") -> WeightsFile:
    """Return weights and settings of a model's folder or of a weights file; InputError where there are none."""
    path = weights_path(model, checkpoint)
    if path.suffix != ".pt":
        return read_weights(path)
    return WeightsFile(_checkpoint_weights(path), read_detector_settings(model), False)


def weights_path(model: Path, checkpoint: str = "best") -> Path:
    """Return the weights file that ``checkpoint`` ("best", "last" or a file) names in the folder ``model``.

    A ``model`` that is a file is its own weights file. InputError where there is none.
    """
    if model.is_file():
        return _checked_suffix(model)
    name = {"best": BEST_FILE, "last": LAST_FILE}.get(checkpoint, checkpoint)
    path = model / name
    if not path.is_file():
        missing = "there is no such folder" if not model.is_dir() else f"it has no {name}"
        raise InputError(f"model {model}: {missing}; checkpoint is best, last or a file in the folder")
    return _checked_suffix(path)


def model_identity(model: Path, checkpoint: str = "best") -> dict[str, str]:
    """Return what a manifest writes down about a model: the weights file's name and SHA-256."""
    path = weights_path(model, checkpoint)
    return {"file": path.name, "sha256": sha256(path)}


def changed_settings(settings: DetectorSettings, changes: Mapping[str, Any]) -> DetectorSettings:
    """Return ``settings`` with ``changes``; InputError for one that belongs to the weights or is out of range."""
    fixed = sorted(set(changes) - CHANGEABLE)
    if fixed:
        raise InputError(f"{', '.join(fixed)}: fixed by the model; what may change: {', '.join(sorted(CHANGEABLE))}")
    try:
        return DetectorSettings.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        raise InputError(first_problem(error)) from error


def _checked_suffix(path: Path) -> Path:
    if path.suffix not in (".safetensors", ".pt"):
        raise InputError(
            f"{path} is not in a form that is read directly; "
            f".venv/bin/python -m backend.admin weights add {path} makes one that is"
        )
    return path


def _checkpoint_weights(path: Path) -> Weights:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)["model"]
    except Exception as error:  # torch raises nearly anything on a file that is torn or not a checkpoint
        raise InputError(f"checkpoint {path} cannot be read: {error}") from error
