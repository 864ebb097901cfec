"""The models of a project: what lies in ``training/``, as pages and ``backend.models`` list it. Imports no torch."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from backend.detectors.detector_settings import DetectorSettings, read_detector_settings
from backend.project.errors import InputError
from backend.project.manifest import Manifest, read_manifest
from backend.training.folder import ModelFolder


@dataclass(frozen=True)
class ModelRecord:
    """A model's folder. ``problem`` says in words why it cannot be used (yet); it is empty for a finished model.

    ``mask_ap`` and ``box_ap``, 0 to 1, are those of its best evaluation; None where there was none.
    """

    name: str
    path: Path
    problem: str
    started: datetime | None
    detector: DetectorSettings | None
    manifest: Manifest | None
    metrics: dict[str, Any] | None

    @property
    def mask_ap(self) -> float | None:
        """Mask AP over IoU 0.5 to 0.95."""
        return self.metrics["metrics"]["mask"]["ap"] if self.metrics else None

    @property
    def box_ap(self) -> float | None:
        """Box AP over IoU 0.5 to 0.95."""
        return self.metrics["metrics"]["box"]["ap"] if self.metrics else None

    @property
    def data(self) -> str:
        """The name of the training set's JSON."""
        return self.manifest.inputs["train"]["name"] if self.manifest else ""


def list_models(folder: Path) -> list[ModelRecord]:
    """Return the models in ``folder``, newest first; unfinished and broken ones too, with the reason."""
    found = [read_model(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []
    return sorted(found, key=lambda model: model.started.timestamp() if model.started else 0.0, reverse=True)


def read_model(path: Path) -> ModelRecord:
    """Return what is known of the model in the folder ``path``."""
    folder = ModelFolder(path)
    manifest = detector = None
    try:
        found = read_manifest(path)
        if found is None or found.script != "train":
            raise InputError(f"{path} holds no training")
        manifest = found
        detector = read_detector_settings(path)
        if not manifest.complete:
            usable = "its weights so far can be used" if folder.best.exists() else "it has no weights yet"
            raise InputError(f"training is not finished; {usable}")
        problem = "" if folder.best.exists() else f"{folder.best.name} is missing"
    except InputError as error:
        problem = str(error)
    started = manifest.started if manifest else None
    return ModelRecord(path.name, path, problem, started, detector, manifest, _metrics(folder.metrics))


def _metrics(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
        return found if found["metrics"]["mask"] and found["metrics"]["box"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
