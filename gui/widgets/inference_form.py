"""The form of an inference run: videos, model, options, GPUs; and the jobs for it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import streamlit as st

from backend.detectors.score_threshold import KEPT_SCORE
from backend.jobs import Job, JobSpec, Slot
from backend.jobs.slots import GpuError
from backend.pipeline.default_model import BIRD, detector_weights
from backend.pipeline.draw_frame import draw_crop
from backend.pipeline.gpus import list_gpus
from backend.project.disk import as_bytes
from backend.project.paths import slug
from backend.training.model_folder import usable_models
from backend.video.library import VideoRecord, list_videos, thumbnail
from gui.widgets.context import active_jobs, project, settings, submit
from gui.widgets.job_view import escape

TRIAL_FRAMES = 10
PREVIEW_PX = 640


@dataclass(frozen=True)
class ModelOption:
    """A model to choose. ``classes`` are those it detects; a general one knows more of them."""

    label: str
    path: Path
    classes: tuple[str, ...]
    general: bool = False


@dataclass(frozen=True)
class Choice:
    """The settings that all videos of a run share."""

    model: ModelOption
    options: tuple[str, ...]
    stride: int
    frames: slice  # of each video, before the stride
    gpus: int


def choose_videos() -> list[VideoRecord]:
    """Let the user choose one or more readable videos; they are processed in the order chosen."""
    records = {record.slug: record for record in list_videos(project()) if not record.problem and record.info}
    if not records:
        st.info("Add a video first.", icon=":material/video_library:")
        st.page_link(st.session_state["pages"]["videos"], label="Go to Videos", icon=":material/video_library:")
        return []
    cameras = sorted({record.camera for record in records.values() if record.camera})
    camera = st.selectbox("Camera", ["all", *cameras]) if cameras else "all"
    offered = [key for key, record in records.items() if camera in ("all", record.camera)]
    if len(offered) > 1 and st.checkbox(f"All {len(offered)} videos"):
        return [records[key] for key in offered]
    preselected = st.query_params.get("video")
    chosen = st.multiselect(
        "Videos, in processing order",
        offered,
        default=[preselected] if preselected in offered else offered[:1],
        format_func=lambda key: f"{records[key].name} ({records[key].info.n_frames} frames)",
    )
    return [records[key] for key in chosen]


def choose_model() -> ModelOption | None:
    """Let the user choose among trained models and general weights; show how to get one if there is none."""
    options = [
        ModelOption(f"{model.name} ({', '.join(model.detector.class_names)})", model.path, model.detector.class_names)
        for model in usable_models(project().root / "training")
    ]
    options += [
        ModelOption(f"{path.stem}: general, detects {BIRD}", path, (BIRD,), general=True)
        for path, classes in detector_weights(project().root / "weights").items()
        if BIRD in classes
    ]
    if not options:
        st.info(
            "No model yet. Train one, or ask your administrator for general weights: "
            "`lektrack admin weights fetch coco_resnet50`.",
            icon=":material/model_training:",
        )
        return None
    return st.selectbox("Model", options, format_func=lambda option: option.label)


def choose_options(record: VideoRecord) -> tuple[tuple[str, ...], int, slice]:
    """Let the user choose range, stride, threshold, crop and tiles; return the script's arguments, stride and range."""
    options: list[str] = []
    first, second = st.columns(2)
    stride = int(first.number_input("Process every Nth frame, N =", 1, 100_000, 1))
    score = second.slider("Minimum score", 0.05, 0.95, KEPT_SCORE, 0.05)
    options += ["--stride", str(stride), "--score-threshold", str(score)]
    with st.expander("Frame range, crop, tiles"):
        start, end = st.columns(2)
        from_frame = int(start.number_input("First frame", 0, record.info.n_frames - 1, 0))
        to_frame = int(end.number_input("End frame, not included (0: to the end)", 0, record.info.n_frames, 0))
        options += ["--frame-start", str(from_frame), *(["--frame-end", str(to_frame)] if to_frame else [])]
        options += choose_crop(record, from_frame)
        tile = int(st.number_input("Tile size for very small birds, px (0: no tiles)", 0, 8192, 0))
        options += ["--tile", f"{tile}x{tile}"] if tile else []
    return tuple(options), stride, slice(from_frame, to_frame or None)


def choose_crop(record: VideoRecord, frame: int) -> list[str]:
    """Let the user choose a crop by its sides, and show it on a frame."""
    width, height = record.info.size
    across = st.slider("Crop: left and right edge, px", 0, width, (0, width))
    down = st.slider("Crop: top and bottom edge, px", 0, height, (0, height))
    crop = (across[0], down[0], max(across[1], across[0] + 1), max(down[1], down[0] + 1))
    picture = read_picture(str(thumbnail(project(), record.slug, frame, PREVIEW_PX)))
    st.image(draw_crop(picture, (width, height), crop), caption="Dark areas are ignored.")
    if crop == (0, 0, width, height):
        return []
    names = ("--crop-from-x", "--crop-from-y", "--crop-to-x", "--crop-to-y")
    return [word for name, value in zip(names, crop, strict=True) for word in (name, str(value))]


@st.cache_data(max_entries=20, show_spinner=False)
def read_picture(path: str):
    """Return a small picture as (H, W, 3) uint8 RGB."""
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


def choose_gpus() -> int:
    """Show the GPUs with what runs on them and return how many each video may use; 0 where there is none."""
    try:
        gpus = list_gpus(settings())
    except GpuError as error:
        st.warning(f"The GPUs are not responding ({error}). Jobs wait until they do.")
        return 1
    if not gpus:
        st.caption("No GPU available. The CPU takes a few seconds per frame.")
        return 0
    users = {number: job for job in active_jobs() for number in job.gpu_ids}
    for gpu in gpus:
        work = f"job {users[gpu.id].id}: {escape(users[gpu.id].title)}" if gpu.id in users else "free"
        st.caption(f"GPU {gpu.id}: {gpu.name}, {as_bytes(gpu.used_bytes)} of {as_bytes(gpu.memory_bytes)} used, {work}")
    return int(st.number_input("GPUs per video", 1, len(gpus), 1)) if len(gpus) > 1 else 1


def submit_inference(records: list[VideoRecord], choice: Choice) -> list[Job]:
    """Queue one job a video, so that one that fails does not hold up the others."""
    run = run_name(choice.model)
    out = project().root / "inference_output"
    return [
        submit(_spec(record, choice, out, run, "inference", f"Inference on {record.name}", choice.options))
        for record in records
    ]


def submit_trial(record: VideoRecord, choice: Choice) -> Job:
    """Queue a trial on ten frames, spread over the chosen part of the video."""
    part = range(record.info.n_frames)[choice.frames]
    stride = max(1, len(part) // TRIAL_FRAMES)
    end = part.start + min(len(part), stride * TRIAL_FRAMES)
    options = [*choice.options, "--stride", str(stride), "--chunk-frames", "2"]
    options += ["--frame-start", str(part.start), "--frame-end", str(end)]
    title = f"Test {choice.model.path.stem} on {TRIAL_FRAMES} frames of {record.name}"
    run = f"trial-{run_name(choice.model)}"
    return submit(_spec(record, choice, trials(), run, "inference_trial", title, tuple(options)))


def trials() -> Path:
    """Return where trial runs are kept: they can be made again at any time."""
    return project().cache / "trials"


def run_name(model: ModelOption) -> str:
    """Return a readable name for a run that begins now."""
    return f"{slug(model.path.stem)[:50].strip('-_')}-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}"


def _spec(
    record: VideoRecord, choice: Choice, out: Path, run: str, kind: str, title: str, options: tuple[str, ...]
) -> JobSpec:
    command = ["-m", "backend.inference", "--video-path", record.path, "--video-name", record.slug]
    command += ["--base-out-dir", str(out), "--run", run, "--model-dir", str(choice.model.path)]
    command += ["--class-names", *choice.model.classes] if choice.model.general else []
    command += ["--resume", *options]
    return JobSpec(
        kind=kind,
        title=title,
        command=(*command, *(() if choice.gpus else ("--gpu-id", "cpu"))),
        output=out / record.slug / run,
        project=project().root,
        videos=(record.slug,),
        slot=Slot.GPU if choice.gpus else Slot.CPU,
        gpus=max(1, choice.gpus),
        resumable=True,
    )
