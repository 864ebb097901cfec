"""The model card: what a model is, what it was made from and how good it is, for a person and for a paper."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.detectors.detector_settings import DetectorSettings
from backend.project.atomic import atomic_file, atomic_write
from backend.project.manifest import Manifest, sha256
from backend.training.history import training_warnings
from backend.training.model_folder import CURVES, ModelFolder
from backend.training.settings import TrainSettings
from backend.training.train_step import TrainingState

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from backend.training.record import Record


def write_card(
    folder: ModelFolder,
    manifest: Manifest,
    settings: TrainSettings,
    detector: DetectorSettings,
    state: TrainingState,
    record: "Record",
) -> list[Path]:
    """Write README.md and the curves as PNG into the model's folder and return these files."""
    history = {"points": record.points, "evaluations": record.evaluations}
    curves = [folder.root / name for name in CURVES]
    _plot_losses(curves[0], history)
    _plot_ap(curves[1], history)
    best = next((evaluation for evaluation in record.evaluations if evaluation["step"] == state.best_step), None)
    parts = [
        f"# {folder.root.name}\n\nMask R-CNN that finds {', '.join(detector.class_names)}.",
        _facts(folder, manifest, settings, detector, state),
        _figures(best),
        _curves(history),
        _words(history),
    ]
    atomic_write(folder.card, "\n\n".join(part for part in parts if part) + "\n")
    return [folder.card, *curves]


def _facts(
    folder: ModelFolder,
    manifest: Manifest,
    settings: TrainSettings,
    detector: DetectorSettings,
    state: TrainingState,
) -> str:
    train, val, start = manifest.inputs["train"], manifest.inputs["val"], manifest.inputs["start"]
    rows = {
        "Network": f"{detector.engine} {detector.backbone}, norm {detector.norm}",
        "Input": f"shorter side {detector.short_side_px} px, longer at most {detector.long_side_px} px",
        "Start weights": f"{start['file']}, SHA-256 {start['sha256']}" if start else "random",
        "Training set": _set(train),
        "Validation set": _set(val) if val else "none: these figures cannot tell how good the model is",
        "Steps": f"{state.step} of batch {settings.batch_size}; best weights after {state.best_step or state.step}",
        "Optimiser": f"{settings.optimiser}, learning rate {settings.lr:g}, {settings.schedule}, seed {settings.seed}",
        "Augmentation": settings.augment,
        "Number format": str(manifest.number_format),
        "Machine": f"{manifest.hardware['device']}, {manifest.hardware['processor']}",
        "Versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
        "Weights": f"SHA-256 {sha256(folder.best)}",
        "Begun": manifest.started.isoformat(),
    }
    return _table(("", ""), [(name, value) for name, value in rows.items()])


def _set(identity: dict[str, Any]) -> str:
    text = "{name}: {images} images, {instances} animals, checksum {checksum}".format(**identity)
    left_out = identity.get("left_out_for_crowds")
    return f"{text}; {left_out} images with crowds left out" if left_out else text


def _figures(best: dict[str, Any] | None) -> str:
    if best is None:
        return ""
    names = {
        "ap": "AP",
        "ap50": "AP50",
        "ap75": "AP75",
        "ap_small": "small",
        "ap_medium": "medium",
        "ap_large": "large",
    }
    kinds = best["metrics"]
    rows = [(kind, *(percent(kinds[kind][name]) for name in names)) for kind in kinds]
    classes = [
        (name, *(percent(kinds[kind]["per_class"][name]) for kind in kinds)) for name in kinds["mask"]["per_class"]
    ]
    return "\n\n".join(
        (
            "## How good it is\n\nCOCO average precision on the validation set; 100 is perfect. "
            "Small, medium, large: under 32x32, under 96x96, and more pixels of the original picture.",
            _table(("", *names.values()), rows),
            _table(("class", *(f"{kind} AP" for kind in kinds)), classes),
        )
    )


def _curves(history: dict[str, Any]) -> str:
    shown = [f"![{name}]({name})" for name in CURVES[: 2 if history["evaluations"] else 1]]
    return "## Curves\n\n" + "\n\n".join(shown)


def _words(history: dict[str, Any]) -> str:
    warnings = training_warnings(history)
    return "## What the curves say\n\n" + "\n".join(f"- {text}" for text in warnings) if warnings else ""


def percent(value: float | None) -> str:
    """Return an AP of 0 to 1 as people read it: ``53.1``; a dash where there was nothing to find."""
    return "-" if value is None else f"{100 * value:.1f}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plot_losses(path: Path, history: dict[str, Any]) -> None:
    def draw(axes: "Axes") -> None:
        points, evaluations = history["points"], history["evaluations"]
        axes.plot([entry["step"] for entry in points], [entry["loss"] for entry in points], label="training")
        if evaluations:
            losses = [entry["losses"]["loss"] for entry in evaluations]
            axes.plot([entry["step"] for entry in evaluations], losses, "o-", label="validation")
        axes.set_ylabel("loss")
        axes.set_yscale("log")

    _plot(path, draw)


def _plot_ap(path: Path, history: dict[str, Any]) -> None:
    def draw(axes: "Axes") -> None:
        evaluations = history["evaluations"]
        for kind, name in (("mask", "ap"), ("mask", "ap50"), ("box", "ap")):
            values = [100 * (entry["metrics"][kind][name] or 0) for entry in evaluations]
            axes.plot([entry["step"] for entry in evaluations], values, "o-", label=f"{kind} {name.upper()}")
        axes.set_ylabel("average precision, validation set")
        axes.set_ylim(0, 100)

    _plot(path, draw)


def _plot(path: Path, draw) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # a second to import, once at the end
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    axes.set_xlabel("step")
    axes.legend()
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=120)
