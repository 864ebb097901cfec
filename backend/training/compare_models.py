"""Evaluate two models on the same images and compare them; what ``backend.models compare`` does."""

from typing import Any

from backend.detectors.interface import Detector
from backend.detectors.load import load_detector, model_identity
from backend.jobs.progress import Progress
from backend.project.atomic import atomic_json
from backend.project.locks import output_lock
from backend.project.manifest import begin_manifest, finished_file, now
from backend.training.ap import Result
from backend.training.distributed import ProcessGroup, devices
from backend.training.evaluate import Evaluation, evaluate
from backend.training.match_predictions import match_predictions, totals
from backend.training.model_folder import COMPARED_PREDICTIONS, COMPARISON_FILE
from backend.training.plan import check_folder
from backend.training.read_coco import PictureSet, read_pictures
from backend.training.settings import CompareSettings

SHOWN = 5


def compare_models(settings: CompareSettings) -> None:
    """Evaluate both models, compare them and write it all into ``out_dir``.

    Raises
    ------
    InputError
        If a model, the data or the folder cannot be used, or the models' classes are not those of the data.
    """
    check_folder(settings.out_dir)
    device = devices(settings.gpu_id, 1)[0]
    models = (settings.first, settings.second)
    detectors = [load_detector(model, device, settings.amp) for model in models]
    sets = [read_pictures(settings.val_annot, detector.settings.class_names) for detector in detectors]
    inputs = {"val": sets[0].identity(), "a": model_identity(models[0]), "b": model_identity(models[1])}
    with output_lock(settings.out_dir), Progress() as progress:
        manifest = begin_manifest(settings.out_dir, "compare", inputs, {})
        evaluations = [
            _evaluate(detector, image_set, f"evaluating {model.name}", settings, progress)
            for detector, image_set, model in zip(detectors, sets, models, strict=True)
        ]
        results = [
            evaluations[0].results,
            _renumbered(evaluations[1].results, sets[1].class_names, sets[0].class_names),
        ]
        differences = match_predictions(sets[0], *results)
        content = {
            "models": {"a": str(models[0]), "b": str(models[1])},
            "val_annot": str(settings.val_annot),
            "class_names": sets[0].class_names,
            "figures": {name: evaluation.record() for name, evaluation in zip("ab", evaluations, strict=True)},
            "totals": totals(differences),
            "differences": [difference.record() for difference in differences],
        }
        atomic_json(settings.out_dir / COMPARISON_FILE, content)
        for name, predictions in zip(COMPARED_PREDICTIONS, results, strict=True):
            atomic_json(settings.out_dir / name, predictions)
        manifest.files = {
            name: finished_file(settings.out_dir / name) for name in (COMPARISON_FILE, *COMPARED_PREDICTIONS)
        }
        manifest.counts = {"images": len(sets[0]), "differences": len(differences)}
        manifest.complete, manifest.finished = True, now()
        manifest.write(settings.out_dir)
    _print_summary(content)


def _evaluate(
    detector: Detector, image_set: PictureSet, title: str, settings: CompareSettings, progress: Progress
) -> Evaluation:
    progress.stage(title, -(-len(image_set) // settings.batch_size))

    def on_progress(done: int, total: int) -> bool:
        progress.update(done)
        return False

    alone = ProcessGroup(0, 1, detector.device)
    return evaluate(detector, image_set, alone, settings.batch_size, settings.n_workers, 0, on_progress)


def _renumbered(results: list[Result], names: tuple[str, ...], wanted: tuple[str, ...]) -> list[Result]:
    """Return results with class ids that count in the order ``wanted`` instead of ``names``."""
    return [{**result, "category_id": wanted.index(names[result["category_id"] - 1]) + 1} for result in results]


def _print_summary(content: dict[str, Any]) -> None:
    for name, path in content["models"].items():
        metrics, mistakes = content["figures"][name]["metrics"], content["totals"][name]
        counted = ", ".join(f"{count} {mistake}" for mistake, count in mistakes.items())
        print(f"{name}: {path}: mask AP {100 * (metrics['mask']['ap'] or 0):.1f}; {counted}")
    for difference in content["differences"][:SHOWN]:
        wrong = "; ".join(f"{name}: {difference[f'mistake_{name}']}" for name in "ab" if difference[f"mistake_{name}"])
        box = [round(side) for side in difference["box"]]
        print(f"  {difference['file']}: {difference['class_name']} at {box}, {wrong}")
