"""Models in a project's ``training/``: what lies where in a model's folder, and the list of them. Imports no torch."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from backend.detectors.detector_settings import DETECTOR_FILE, DetectorSettings, read_detector_settings
from backend.project.errors import InputError
from backend.project.locks import is_locked
from backend.project.manifest import Manifest, read_manifest

CARD_FILE = "README.md"
METRICS_FILE = "metrics.json"
HISTORY_FILE = "history.json"
REFUSED_FILE = "refused_batch.json"
COMPARISON_FILE = "comparison.json"
COMPARED_PREDICTIONS = ("predictions_a.json", "predictions_b.json")
CURVES = ("curves_loss.png", "curves_ap.png")


@dataclass(frozen=True)
class ModelFolder:
    """The layout of ``training/NAME/``. Paths only; nothing is created or read here."""

    root: Path

    @property
    def detector(self) -> Path:
        """`DetectorSettings` with the class names."""
        return self.root / DETECTOR_FILE

    @property
    def settings(self) -> Path:
        """All arguments of the training."""
        return self.root / "training.json"

    @property
    def best(self) -> Path:
        """Weights of the evaluation with the highest mask AP."""
        return self.root / "model.safetensors"

    @property
    def last(self) -> Path:
        """The newest checkpoint, from which a training goes on."""
        return self.root / "checkpoints" / "last.pt"

    @property
    def history(self) -> Path:
        """Curves: losses, learning rate, speed and evaluations by step."""
        return self.root / HISTORY_FILE

    @property
    def metrics(self) -> Path:
        """The figures of the best evaluation."""
        return self.root / METRICS_FILE

    @property
    def card(self) -> Path:
        """The model card."""
        return self.root / CARD_FILE

    @property
    def refused(self) -> Path:
        """The batch whose loss was not finite."""
        return self.root / REFUSED_FILE

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "tensorboard"

    @property
    def pictures(self) -> Path:
        """Drawn pictures, ``train_STEP.jpg`` and ``val_STEP.jpg``."""
        return self.root / "pictures"

    def predictions(self, step: int) -> Path:
        """COCO results behind the figures of the evaluation after ``step`` steps."""
        return self.root / "evaluations" / f"predictions_{step:08d}.json"

    def picture(self, kind: str, step: int) -> Path:
        """Return the drawn picture of ``kind`` ("train" or "val") after ``step`` steps."""
        return self.pictures / f"{kind}_{step:08d}.jpg"


@dataclass(frozen=True)
class ModelRecord:
    """A model's folder. ``problem`` says in words why it cannot be used (yet); it is empty for a usable model.

    A training that was stopped after an evaluation is usable: ``note`` then says which weights it has.
    ``mask_ap`` and ``box_ap``, 0 to 1, are those of its best evaluation; None where there was none.
    """

    name: str
    path: Path
    problem: str
    started: datetime | None
    detector: DetectorSettings | None
    manifest: Manifest | None
    metrics: dict[str, Any] | None
    note: str = ""

    @property
    def state(self) -> str:
        """Why it cannot be used, which weights a stopped training has, or "ready"."""
        return self.problem or self.note or "ready"

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
    models = [read_model(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []
    return sorted(models, key=lambda model: model.started.timestamp() if model.started else 0.0, reverse=True)


def usable_models(folder: Path) -> list[ModelRecord]:
    """Return the models in ``folder`` that can find animals or begin a training, newest first."""
    return [model for model in list_models(folder) if not model.problem]


def read_model(path: Path) -> ModelRecord:
    """Return what is known of the model in the folder ``path``; its ``problem`` decides whether it is usable."""
    folder = ModelFolder(path)
    manifest = detector = None
    try:
        begun = read_manifest(path)
        if begun is None or begun.script != "train":
            raise InputError(f"{path} holds no training")
        manifest = begun
        detector = read_detector_settings(path)
        problem = _missing(folder, manifest)
    except InputError as error:
        problem = str(error)
    metrics = _metrics(folder.metrics)
    started = manifest.started if manifest else None
    note = ""
    if manifest and not manifest.complete and not problem:
        step = f" after step {metrics['step']}" if metrics and "step" in metrics else ""
        note = f"training was stopped; best weights so far{step}"
    return ModelRecord(path.name, path, problem, started, detector, manifest, metrics, note)


def _missing(folder: ModelFolder, manifest: Manifest) -> str:
    """Return why a training's weights cannot be used; empty where they can."""
    if manifest.complete:
        return "" if folder.best.exists() else f"{folder.best.name} is missing"
    if not folder.best.exists():
        return "training is not finished, and there was no evaluation yet: it has no weights to use"
    return "training is running; stop it to use its best weights so far" if is_locked(folder.root) else ""


def _metrics(path: Path) -> dict[str, Any] | None:
    try:
        metrics = json.loads(path.read_bytes())
        return metrics if metrics["metrics"]["mask"] and metrics["metrics"]["box"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
