"""What the first process writes down while it trains: curves (a JSON for pages, event files for TensorBoard), figures,
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
from backend.training.draw_predictions import as_jpeg, chosen_places, draw_batch, draw_predictions
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

    What was told of steps after ``step``, where the training goes on, is forgotten: those steps are done again.
    """

    def __init__(self, folder: ModelFolder, n_steps: int, steps_per_epoch: int, step: int):
        self.folder = folder
        old = read_history(folder.history)
        self.points: list[dict[str, Any]] = [each for each in old["points"] if each["step"] <= step]
        self.evaluations: list[dict[str, Any]] = [each for each in old["evaluations"] if each["step"] <= step]
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

    def keep(self, state: TrainingState, found: Evaluation, detector: Detector, seconds: float) -> None:
        """Keep an evaluation, just counted in ``state``: curves, predictions and, if it is the best, weights."""
        folder, step = self.folder, state.step
        best = state.best_step == step
        if best:
            self.keep_weights(detector)
            atomic_json(folder.metrics, {"step": step, **found.record()})
        path = folder.predictions(step)
        path.parent.mkdir(exist_ok=True)
        atomic_json(path, found.results)
        for old in sorted(path.parent.glob("predictions_*.json"))[:-KEPT_PREDICTIONS]:
            if old != folder.predictions(state.best_step):
                old.unlink()
        entry = {"step": step, "best": best, "seconds": round(seconds, 1), **found.record()}
        self.evaluations = [each for each in self.evaluations if each["step"] != step] + [entry]
        self._tell_board(step, found)
        self.write()

    def keep_weights(self, detector: Detector) -> None:
        """Make the present weights the model's."""
        write_weights(self.folder.best, detector.network.state_dict(), detector.settings)

    def draw(self, step: int, detector: Detector, batch: Batch | None, validation_set: PictureSet | None) -> None:
        """Draw what the network saw last, and what it now finds in some validation pictures."""
        if batch is not None:
            self._keep_picture("train", draw_batch(batch, detector.settings.class_names), step)
        if validation_set is not None:
            places = chosen_places(len(validation_set))
            found = predict(detector, validation_set, places)
            self._keep_picture("val", draw_predictions(validation_set, places, found), step)

    def _keep_picture(self, kind: str, drawn: np.ndarray, step: int) -> None:
        self.folder.pictures.mkdir(exist_ok=True)
        atomic_write(self.folder.picture(kind, step), as_jpeg(drawn), durable=False)
        self._board.add_image(PICTURES[kind], drawn, step, dataformats="HWC")

    def _tell_board(self, step: int, found: Evaluation) -> None:
        for name, value in found.losses.items():
            self._board.add_scalar(f"{name}/validation", value, step)
        for kind, metrics in found.metrics.items():
            for name, value in {**metrics, **metrics["per_class"]}.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"ap_{kind}/{name}", 100 * value, step)
        for stage, share in found.dead.items():
            self._board.add_scalar(f"dead_relu/{stage}", share, step)
        if found.one_class is not None:
            self._board.add_scalar("detections/share_of_commonest_class", found.one_class, step)

    def write(self) -> None:
        """Replace the history file."""
        self._written = time.monotonic()
        content = {**self._facts, "points": self.points, "evaluations": self.evaluations}
        atomic_json(self.folder.history, content, durable=False)
