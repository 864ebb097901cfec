"""Record of a training, written by the first process: curves (a JSON for pages, event files for TensorBoard), figures,
predictions, drawings, and the best weights so far.
"""

import time
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from backend.detectors.interface import Detector
from backend.detectors.weights import write_weights
from backend.project.atomic import atomic_json, atomic_write
from backend.training.data_loading import Batch
from backend.training.draw_predictions import as_jpeg, draw_batch, draw_predictions, preview_indices
from backend.training.evaluate import Evaluation, predict
from backend.training.history import FORMAT, read_history
from backend.training.model_folder import ModelFolder
from backend.training.read_coco import PictureSet
from backend.training.train_step import TrainingState

WRITE_EVERY_S = 2.0
PICTURES = {"train": "training/what_the_network_sees", "val": "validation/truth_above_predictions_below"}
KEPT_PREDICTIONS = 3  # newest ones, besides the best
MOST_POINTS = 4000  # of the training curve; beyond, every second one of the older half goes


class Record:
    """The history of a training. Only the first process has one.

    Entries after ``step``, where the training resumes, are dropped: those steps are repeated.
    """

    def __init__(self, folder: ModelFolder, n_steps: int, steps_per_epoch: int, step: int):
        self.folder = folder
        old = read_history(folder.history)
        self.points: list[dict[str, Any]] = [entry for entry in old["points"] if entry["step"] <= step]
        self.evaluations: list[dict[str, Any]] = [entry for entry in old["evaluations"] if entry["step"] <= step]
        self._facts = {"format": FORMAT, "n_steps": n_steps, "steps_per_epoch": steps_per_epoch}
        self._board = SummaryWriter(str(folder.tensorboard), purge_step=step + 1, flush_secs=10)
        self._written = 0.0

    def close(self) -> None:
        """Write what is left."""
        self.write()
        self._board.close()

    def add_point(self, step: int, losses: dict[str, float], values: dict[str, float]) -> None:
        """Add one point of the training curves: losses by name, and learning rate, speed, memory and the like."""
        self.points.append({"step": step, "loss": sum(losses.values()), "losses": losses, **values})
        self._board.add_scalar("loss/train", sum(losses.values()), step)
        for name, value in losses.items():
            self._board.add_scalar(f"{name}/train", value, step)
        for name, value in values.items():
            self._board.add_scalar(f"training/{name}", value, step)
        if len(self.points) > MOST_POINTS:
            half = MOST_POINTS // 2
            self.points = self.points[:half:2] + self.points[half:]
        if time.monotonic() - self._written > WRITE_EVERY_S:
            self.write()

    def keep(self, state: TrainingState, evaluation: Evaluation, detector: Detector, seconds: float) -> None:
        """Keep an evaluation, just counted in ``state``: curves, predictions and, if it is the best, weights."""
        folder, step = self.folder, state.step
        best = state.best_step == step
        if best:
            self.keep_weights(detector)
            atomic_json(folder.metrics, {"step": step, **evaluation.record()})
        path = folder.predictions(step)
        path.parent.mkdir(exist_ok=True)
        atomic_json(path, evaluation.results)
        for old in sorted(path.parent.glob("predictions_*.json"))[:-KEPT_PREDICTIONS]:
            if old != folder.predictions(state.best_step):
                old.unlink()
        entry = {"step": step, "best": best, "seconds": round(seconds, 1), **evaluation.record()}
        self.evaluations = [old for old in self.evaluations if old["step"] != step] + [entry]
        self._write_tensorboard(step, evaluation)
        self.write()

    def keep_weights(self, detector: Detector) -> None:
        """Make the present weights the model's."""
        write_weights(self.folder.best, detector.network.state_dict(), detector.settings)

    def draw(self, step: int, detector: Detector, batch: Batch | None, validation_set: PictureSet | None) -> None:
        """Draw what the network saw last, and what it now finds in some validation pictures."""
        if batch is not None:
            self._keep_picture("train", draw_batch(batch, detector.settings.class_names), step)
        if validation_set is not None:
            indices = preview_indices(len(validation_set))
            results = predict(detector, validation_set, indices)
            self._keep_picture("val", draw_predictions(validation_set, indices, results), step)

    def _keep_picture(self, kind: str, drawn: np.ndarray, step: int) -> None:
        self.folder.pictures.mkdir(exist_ok=True)
        atomic_write(self.folder.picture(kind, step), as_jpeg(drawn), durable=False)
        self._board.add_image(PICTURES[kind], drawn, step, dataformats="HWC")

    def _write_tensorboard(self, step: int, evaluation: Evaluation) -> None:
        for name, value in evaluation.losses.items():
            self._board.add_scalar(f"{name}/validation", value, step)
        for kind, metrics in evaluation.metrics.items():
            for name, value in {**metrics, **metrics["per_class"]}.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"ap_{kind}/{name}", 100 * value, step)
        for stage, share in evaluation.dead.items():
            self._board.add_scalar(f"dead_relu/{stage}", share, step)
        if evaluation.commonest_class_share is not None:
            self._board.add_scalar("detections/share_of_commonest_class", evaluation.commonest_class_share, step)

    def write(self) -> None:
        """Replace the history file."""
        self._written = time.monotonic()
        content = {**self._facts, "points": self.points, "evaluations": self.evaluations}
        atomic_json(self.folder.history, content, durable=False)
