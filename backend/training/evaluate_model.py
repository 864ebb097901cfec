"""Evaluate a finished model on a validation set, without training."""

import contextlib
from pathlib import Path

from backend.detectors.interface import Detector
from backend.detectors.load import load_detector, model_identity
from backend.detectors.precision import device_description
from backend.jobs.progress import Progress
from backend.project.atomic import atomic_json, atomic_write
from backend.project.locks import output_lock
from backend.project.manifest import Manifest, begin_manifest, finished_file, now
from backend.training.distributed import ProcessGroup
from backend.training.draw_predictions import as_jpeg, draw_predictions, preview_indices
from backend.training.evaluate import Evaluation, evaluate, predict
from backend.training.model_folder import METRICS_FILE
from backend.training.plan import check_folder
from backend.training.read_coco import PictureSet, check_classes, read_pictures
from backend.training.settings import TrainSettings

PREDICTIONS_FILE = "predictions.json"
PICTURE_FILE = "truth_above_predictions_below.jpg"


def evaluate_model(settings: TrainSettings, group: ProcessGroup) -> None:
    """Evaluate ``model_dir`` on ``val_annot`` and write figures, predictions and a picture into ``out_dir``.

    Every process calls it and takes its share of the pictures; the first one writes.

    Raises
    ------
    InputError
        If model, data or folder cannot be used; classes must be those of the model.
    """
    detector = load_detector(settings.model_dir, group.device, settings.amp, settings.model_ckpt)
    image_set = read_pictures(settings.val_annot, detector.settings.class_names)
    check_classes(image_set, settings.n_classes)
    with contextlib.ExitStack() as held:
        manifest = progress = None
        if group.first:
            check_folder(settings.out_dir)
            held.enter_context(output_lock(settings.out_dir))
            manifest = _begin(settings, image_set, detector)
            progress = held.enter_context(Progress())
            progress.stage("evaluating", -(-len(image_set) // settings.batch_size))

        def on_progress(done: int, total: int) -> bool:
            if progress is not None:
                progress.update(done)
            return False

        result = evaluate(
            detector, image_set, group, settings.batch_size, settings.n_workers, settings.seed, on_progress
        )
        if manifest is not None:
            _write(settings.out_dir, manifest, result, image_set, detector)
            print(summary(result))


def _begin(settings: TrainSettings, image_set: PictureSet, detector: Detector) -> Manifest:
    inputs = {"val": image_set.identity(), "model": model_identity(settings.model_dir, settings.model_ckpt)}
    manifest = begin_manifest(settings.out_dir, "evaluate", inputs, {"seed": settings.seed})
    manifest.number_format = detector.number_format
    manifest.hardware.update(device_description(detector.device))
    return manifest


def _write(folder: Path, manifest: Manifest, result: Evaluation, image_set: PictureSet, detector: Detector) -> None:
    indices = preview_indices(len(image_set))
    drawn = draw_predictions(image_set, indices, predict(detector, image_set, indices))
    atomic_json(folder / METRICS_FILE, result.record())
    atomic_json(folder / PREDICTIONS_FILE, result.results)
    atomic_write(folder / PICTURE_FILE, as_jpeg(drawn))
    manifest.files = {name: finished_file(folder / name) for name in (METRICS_FILE, PREDICTIONS_FILE, PICTURE_FILE)}
    manifest.counts = {"images": len(image_set), "detections": len(result.results)}
    manifest.complete, manifest.finished = True, now()
    manifest.write(folder)


def summary(evaluation: Evaluation) -> str:
    """Return the chief figures on one line, AP as percent."""
    parts = [
        f"{kind} AP {100 * (metrics['ap'] or 0):.1f} (AP50 {100 * (metrics['ap50'] or 0):.1f})"
        for kind, metrics in evaluation.metrics.items()
    ]
    return f"{', '.join(parts)}, loss {evaluation.losses['loss']:.3f}"
