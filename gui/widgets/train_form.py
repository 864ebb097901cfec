"""The form of a new training: data, base model, network and settings; and the job for it."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from backend.dataset.image_browser import finished_sets
from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.header import list_weights
from backend.detectors.registry import EngineInfo, engines
from backend.jobs import Job, JobSpec, Slot
from backend.jobs.slots import GpuError
from backend.pipeline.gpus import Gpu, list_gpus
from backend.project.disk import as_bytes
from backend.project.errors import InputError
from backend.project.paths import check_name, resolve_under, slug
from backend.training.estimate import SetFacts, anchors_for, facts_of, memory_bytes, seen_px, suggested_rate
from backend.training.model_folder import usable_models
from backend.training.read_coco import read_pictures
from backend.training.settings import TrainSettings
from gui.widgets.context import project, settings, submit
from gui.widgets.file_picker import pick_files
from gui.widgets.job_view import escape

RATE_HELP = (
    "Step size of learning. The suggested value suits most data sets. "
    "Too high: the loss jumps or is not a number, and AP stays at 0; divide by 3. "
    "Too low: the loss hardly falls; multiply by 3."
)
EPOCHS_HELP = "Passes over all images. 5 to 15 from trained weights, 50 or more from random weights."
BATCH_HELP = "Images per step. Larger batches learn more steadily and need more memory."
WORKERS_HELP = "Processes that load images. Increase if training waits for images."
CPU_ROIS = 64  # the heads are most of the work; with fewer boxes a step the processor is several times faster
ELSEWHERE = "Other COCO JSON files"


@dataclass(frozen=True)
class Data:
    """Training and validation annotations, and their content."""

    name: str
    train: Path
    val: Path | None
    facts: SetFacts


@dataclass(frozen=True)
class Start:
    """Weights to begin with. ``path`` is None for random ones."""

    label: str
    path: Path | None = None
    settings: DetectorSettings | None = None


RANDOM = Start("random weights (untrained)")


def choose_data() -> Data | None:
    """Let the user choose a data set; show what is wrong with it, or how to create one."""
    sets = {data_set.name: data_set for data_set in finished_sets(project().coco_jsons)}
    chosen = st.selectbox("Data set", [*sets, ELSEWHERE])
    if chosen != ELSEWHERE:
        train, val = sets[chosen].train, sets[chosen].val
    else:
        train, val = (
            _pick("train", "Training annotations (COCO JSON)"),
            _pick("val", "Validation annotations (COCO JSON)"),
        )
        if train is None:
            st.page_link(st.session_state["pages"]["coco"], label="Create a data set", icon=":material/dataset:")
            return None
    try:
        facts = read_facts(str(train), train.stat().st_mtime)
        if val is not None:
            read_facts(str(val), val.stat().st_mtime)
    except (InputError, OSError) as error:
        st.error(escape(str(error)))
        return None
    classes = ", ".join(facts.class_names)
    what = "class" if len(facts.class_names) == 1 else "classes"
    words = f"{facts.images} images, {facts.instances} animals, {len(facts.class_names)} {what}: {classes}"
    st.markdown(escape(words))
    if val is None:
        st.warning("Without validation annotations the accuracy of the model cannot be measured.")
    return Data(train.stem.removesuffix("_train"), train, val, facts)


def _pick(key: str, label: str) -> Path | None:
    with st.expander(label, expanded=key == "train"):
        for path in pick_files(f"train-{key}", "json", "Use this file", several=False):
            st.session_state[f"train-json-{key}"] = path
        path = st.session_state.get(f"train-json-{key}")
        st.caption(escape(path.name if path else "No file chosen."))
    return path


@st.cache_data(max_entries=20, show_spinner="Reading the data set")
def read_facts(path: str, modified: float) -> SetFacts:
    """Return what is in a COCO JSON; ``modified`` keeps the cache true."""
    return facts_of(read_pictures(resolve_under(path, settings().roots)))


def choose_start() -> Start:
    """Let the user choose trained models, weights files, or nothing to begin with."""
    options = [
        Start(f"{path.stem} ({header.settings.engine})", path, header.settings)
        for path, header in list_weights(project().root / "weights").items()
    ]
    options += [
        Start(f"model {model.name}", model.path, model.detector) for model in usable_models(project().root / "training")
    ]
    chosen = st.selectbox("Base model", [*options, RANDOM], format_func=lambda option: option.label)
    if chosen is RANDOM:
        st.caption("From random weights a network needs thousands of outlined birds and many epochs.")
    return chosen


def choose_network(start: Start, gpus: list[Gpu]) -> DetectorSettings:
    """Let the user choose engine and backbone where the start weights leave it open; return what is trained."""
    if start.settings is not None:
        return start.settings
    known = engines()
    usable = [info for info in known if info.available]
    info: EngineInfo = st.selectbox("Engine", usable, format_func=lambda option: option.title)
    for missing in known:
        if not missing.available:
            st.caption(escape(f"{missing.title} is not available: {missing.reason}"))
    small = next((k for k, option in enumerate(info.backbones) if option.channels < 256), 0)
    backbone = st.selectbox("Network", info.backbones, 0 if gpus else small, format_func=lambda option: option.title)
    return DetectorSettings(
        engine=info.name,
        backbone=backbone.name,
        channels=backbone.channels,
        rois_in_training=512 if gpus else CPU_ROIS,
        norm="group",
        class_names=("bird",),
    )


def choose_settings(data: Data, start: Start, network: DetectorSettings, gpus: list[Gpu]) -> TrainSettings:
    """Let the user choose epochs, learning rate and the like; return them as the script's settings."""
    name = st.text_input("Model name", free_name(data.name), max_chars=80)
    first, second = st.columns(2)
    epochs = first.number_input("Epochs", 1, 100_000, 10 if start.path else 50, help=EPOCHS_HELP)
    batch = second.number_input("Batch size", 1, 1024, 2, help=BATCH_HELP)
    n_gpus = int(st.number_input("GPUs", 1, len(gpus), 1)) if len(gpus) > 1 else 1
    suggested = suggested_rate(int(batch), n_gpus, start.path is None)
    rate = first.number_input(
        "Learning rate", 1e-6, 1.0, suggested, suggested / 5, "%.6f", f"rate-{suggested}", RATE_HELP
    )
    workers = second.number_input("Workers", 0, 256, 4, help=WORKERS_HELP)
    with st.expander("More settings"):
        short = st.number_input("Input size (shorter side), px", 32, 8192, network.short_side_px)
        stop = st.number_input("Early stopping: evaluations without improvement (0: off)", 0, 10_000, 5)
        light = st.toggle("Augmentation (varies light and view)", True)
        learnt = "The base model was trained with this, so it stays on." if network.auto_gamma else None
        gamma = st.toggle(
            "Darken over-exposed images (night, infrared)", network.auto_gamma, help=learnt, disabled=network.auto_gamma
        )
        seed = st.number_input("Random seed", 0, 2**31 - 1, 0)
    image_size = int(short), round(short * network.long_side_px / network.short_side_px)
    sized = network.model_copy(update={"short_side_px": image_size[0], "long_side_px": image_size[1]})
    anchors = anchors_for(seen_px(data.facts, sized)) if start.path is None else ()
    steps_per_epoch = -(-data.facts.images // (int(batch) * n_gpus))
    return TrainSettings(
        train_annot=data.train,
        val_annot=data.val,
        out_dir=project().training(check_name(name, "model name")),
        model_dir=start.path,
        n_epoch=int(epochs),
        lr=float(rate),
        n_classes=len(data.facts.class_names),
        n_workers=int(workers),
        batch_size=int(batch),
        num_gpus=n_gpus,
        engine=network.engine,
        backbone=network.backbone,
        image_size=image_size,
        anchor_sizes=anchors,
        rois=network.rois_in_training if start.path is None else None,
        augment="light" if light else "none",
        auto_gamma=gamma,
        log_period=max(1, min(20, steps_per_epoch // 4)),
        early_stop=int(stop) if data.val else 0,
        seed=int(seed),
    )


def free_name(wanted: str) -> str:
    """Return a name for a model that no folder has."""
    stem, number = slug(wanted)[:70], 1
    while project().training(name := stem if number == 1 else f"{stem}-{number}").exists():
        number += 1
    return name


def gpus_here() -> list[Gpu]:
    """Return the GPUs that jobs may use; none, with a warning, if they do not respond."""
    try:
        gpus = list_gpus(settings())
    except GpuError as error:
        st.warning(f"The GPUs are not responding ({error}). Jobs wait until they do.")
        return []
    if not gpus:
        st.caption("No GPU available. Training on the CPU takes far longer.")
    return gpus


def show_need(chosen: TrainSettings, network: DetectorSettings, data: Data, gpus: list[Gpu]) -> None:
    """Show steps, memory needed, and the size of a typical animal at the input size."""
    short, long = chosen.image_size
    sized = network.model_copy(update={"short_side_px": short, "long_side_px": long})
    need = memory_bytes(sized, chosen, data.facts.picture_size, half=bool(gpus))
    where = "on each GPU" if gpus else "of memory"
    steps = -(-data.facts.images // (chosen.batch_size * chosen.num_gpus)) * chosen.n_epoch
    st.markdown(f"**{steps} steps**, about **{as_bytes(need)}** {where}.")
    if gpus and need > min(gpu.memory_bytes for gpu in gpus):
        st.warning("This exceeds the memory of a GPU here. Reduce the batch size or the input size.")
    st.caption(
        f"At this input size a typical animal is {seen_px(data.facts, sized):.0f} px across. 20 px or more works well."
    )


def submit_training(chosen: TrainSettings, gpus: list[Gpu]) -> Job:
    """Hand the training to the queue; InputError if its folder is there already."""
    if chosen.out_dir.exists():
        raise InputError(f"{chosen.out_dir} already exists; choose another name")
    return submit(
        JobSpec(
            kind="train",
            title=f"Train {chosen.out_dir.name}",
            command=(*command_of(chosen), *(() if gpus else ("--gpu-id", "cpu"))),
            output=chosen.out_dir,
            project=project().root,
            slot=Slot.GPU if gpus else Slot.CPU,
            gpus=chosen.num_gpus,
            resumable=True,
        )
    )


def command_of(chosen: TrainSettings) -> list[str]:
    """Return the script's arguments for ``chosen``; what is as by default is left out."""
    words = ["-m", "backend.train", "--resume"]  # a job that was cut off is started again with the same words
    for name, value in chosen.model_dump(exclude_defaults=True).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] if value else []
        else:
            words += [option, *map(str, value if isinstance(value, tuple) else (value,))]
    return words
