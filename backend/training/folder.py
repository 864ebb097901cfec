"""What lies where in a model's folder. Nothing here imports torch."""

from dataclasses import dataclass
from pathlib import Path

from backend.detectors.detector_settings import DETECTOR_FILE

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
