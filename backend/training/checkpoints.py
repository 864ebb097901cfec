"""Checkpoints: everything that a resumed training needs to end with the same bits as one without a break.

Learning rate and random numbers are functions of the step (`optimiser`, `seeding`), so the step and the seed stand for
their state.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from backend.detectors.weights import load_exactly
from backend.project.atomic import atomic_file
from backend.project.errors import InputError
from backend.training.settings import TrainSettings
from backend.training.train_step import TrainingState, TrainStep

FORMAT = 1


def save_checkpoint(
    path: Path, train_step: TrainStep, state: TrainingState, settings: TrainSettings, steps_per_epoch: int
) -> None:
    """Replace the checkpoint at ``path`` in one step."""
    detector, optimiser, scaler = train_step.detector, train_step.optimiser, train_step.scaler
    content = {
        "format": FORMAT,
        "model": detector.network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "scaler": scaler.state_dict(),
        "state": asdict(state),
        "epoch": state.step / steps_per_epoch,
        "rng": {"seed": settings.seed, "step": state.step},
        "scheduler": {"lr": [group["lr"] for group in optimiser.param_groups]},
        "settings": settings.model_dump(mode="json"),
        "detector": detector.settings.model_dump(mode="json"),
        "class_names": list(detector.settings.class_names),
    }
    path.parent.mkdir(exist_ok=True)
    with atomic_file(path) as file:
        torch.save(content, file)


def load_checkpoint(path: Path, train_step: TrainStep) -> TrainingState:
    """Put a checkpoint's content into detector, optimiser and scaler, and return how far it was.

    Raises
    ------
    InputError
        If the file is damaged, from a newer version, or of another detector.
    """
    content = read_checkpoint(path)
    load_exactly(train_step.detector, content["model"], str(path))
    try:
        train_step.optimiser.load_state_dict(content["optimiser"])
        train_step.scaler.load_state_dict(content["scaler"])
        return TrainingState(**content["state"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"checkpoint {path} does not fit this training: {error}") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content, on the CPU. It cannot run code. InputError where it cannot be read."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version = content["format"]
    except Exception as error:  # torch raises nearly anything on a file that is torn or not a checkpoint
        raise InputError(f"checkpoint {path} cannot be read: {error}") from error
    if version > FORMAT:
        raise InputError(f"checkpoint {path} has format {version}; this version of Lektrack reads up to {FORMAT}")
    return content
