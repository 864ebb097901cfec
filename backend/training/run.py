"""One training from its manifest to the finished model folder, in each of its processes."""

import contextlib
from pathlib import Path

from backend.detectors.precision import device_description
from backend.jobs.progress import Progress
from backend.project.atomic import atomic_json, remove_temporary
from backend.project.disk import check_space
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import Manifest, begin_manifest, finished_file, now
from backend.training.card import write_card
from backend.training.checkpoints import load_checkpoint
from backend.training.data_loading import Pictures, TrainingOrder, loader
from backend.training.distributed import ProcessGroup
from backend.training.loop import Loop
from backend.training.model_folder import ModelFolder
from backend.training.plan import Plan
from backend.training.record import Record
from backend.training.settings import TrainSettings
from backend.training.train_step import TrainingState, TrainStep

SCRIPT = "train"
BYTES_A_WEIGHT = 4 * (1 + 1 + 1 + 2 + 2)  # best, its replacement, and two checkpoints with up to two moments


def train(settings: TrainSettings, plan: Plan, group: ProcessGroup) -> None:
    """Train one model. Every process of a training calls it; the first one writes.

    Raises
    ------
    InputError
        If the folder holds another training, or this one and ``resume`` is not set.
    StopRequested, NotFiniteError
        See `Loop.run` and `TrainStep.take`.
    """
    folder = ModelFolder(settings.out_dir)
    with contextlib.ExitStack() as held:
        manifest = None
        if group.first:
            held.enter_context(output_lock(folder.root))
            manifest = _begin(folder, settings, plan, group)
            if plan.training_set.left_out:
                print(
                    f"{settings.train_annot}: {plan.training_set.left_out} images with crowds (iscrowd 1) are left out"
                )
        if group.from_first(manifest is not None and manifest.complete):
            return
        _train(settings, plan, group, folder, manifest, held)


def _train(
    settings: TrainSettings,
    plan: Plan,
    group: ProcessGroup,
    folder: ModelFolder,
    manifest: Manifest | None,
    held: contextlib.ExitStack,
) -> None:
    detector = plan.build(group.device, settings)
    if manifest is not None:
        weights = sum(parameter.numel() for parameter in detector.parameters())
        check_space(folder.root, BYTES_A_WEIGHT * weights)
        manifest.number_format = detector.number_format
        manifest.write(folder.root)
        atomic_json(folder.detector, detector.settings.model_dump(mode="json"))
        atomic_json(folder.settings, settings.model_dump(mode="json"))
    order = TrainingOrder(len(plan.training_set), settings.batch_size, settings.seed, group.rank, group.size)
    order.n_steps = settings.n_epoch * order.steps_per_epoch
    train_step = TrainStep(detector, settings, group, order.n_steps, folder)
    state = load_checkpoint(folder.last, train_step) if folder.last.exists() else TrainingState()
    order.first_step = state.step
    pictures = Pictures(plan.training_set, detector.settings, settings.seed, plan.changes)
    batches = iter(loader(pictures, order, settings.n_workers, group.device.type == "cuda"))
    record = progress = None
    if manifest is not None:
        progress = held.enter_context(Progress())
        record = held.enter_context(
            contextlib.closing(Record(folder, order.n_steps, order.steps_per_epoch, state.step))
        )
    validation = plan.validation_set
    Loop(settings, group, train_step, state, order, batches, plan.training_set, validation, record, progress).run()
    if manifest is not None and record is not None:
        record.write()
        _finish(folder, manifest, settings, plan, state, record)


def _begin(folder: ModelFolder, settings: TrainSettings, plan: Plan, group: ProcessGroup) -> Manifest:
    """Return the manifest, of this training's first or of a resumed run; see `begin_manifest` for what is refused."""
    decisive = {**settings.decisive(), "detector": plan.detector_settings.model_dump(mode="json")}
    decisive |= {"processes": group.size, "augment": plan.changes.model_dump() if plan.changes else None}
    manifest = begin_manifest(folder.root, SCRIPT, plan.inputs, decisive)
    if folder.last.exists() and not settings.resume:
        raise InputError(f"{folder.root} holds this training already; go on with --resume or choose another folder")
    for written in (folder.root, folder.last.parent):
        if written.is_dir():
            remove_temporary(written)
    manifest.hardware.update(device_description(group.device))
    return manifest


def _finish(
    folder: ModelFolder, manifest: Manifest, settings: TrainSettings, plan: Plan, state: TrainingState, record: Record
) -> None:
    """Write the model card and say in the manifest that the model is whole."""
    written = write_card(folder, manifest, settings, plan.detector_settings, state, record)
    files = [folder.best, folder.detector, folder.settings, *written]
    if plan.validation_set is not None:
        files.append(folder.metrics)
    manifest.counts = {
        "steps": state.step,
        "images": len(plan.training_set),
        "instances": plan.training_set.n_instances,
        "classes": len(plan.training_set.class_names),
    }
    manifest.files = {_name(folder, path): finished_file(path) for path in files}
    manifest.complete, manifest.finished = True, now()
    manifest.write(folder.root)


def _name(folder: ModelFolder, path: Path) -> str:
    return path.relative_to(folder.root).as_posix()
