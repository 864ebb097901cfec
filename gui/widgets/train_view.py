"""One training run: its job, learning curves with advice, example images, and TensorBoard."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from backend.jobs import Job, JobSpec, JobState, Slot
from backend.project.paths import resolve_under
from backend.training.history import read_history, training_warnings
from backend.training.model_folder import ModelFolder, list_models, read_model
from gui.widgets.context import active_jobs, job_store, project, refusals, settings, submit
from gui.widgets.job_view import show_job
from gui.widgets.service_view import show_service

BOARD = "tensorboard"
PICTURES = {"val": "validation: annotations above, predictions below", "train": "augmented training images"}


@dataclass(frozen=True)
class Training:
    """A training run: the folder of its model, which may not exist yet, and its newest job."""

    folder: ModelFolder
    job: Job | None

    @property
    def busy(self) -> bool:
        """Whether it is running or queued."""
        return self.job is not None and not self.job.state.is_over


def list_trainings() -> list[Training]:
    """Return all trainings of the project, the newest first; those started by hand come last."""
    jobs: dict[Path, Job] = {}
    for job in job_store().list(kind="train", project=project().root):
        if job.output is not None:
            jobs.setdefault(job.output, job)
    found = [Training(ModelFolder(path), job) for path, job in jobs.items()]
    by_hand = [model.path for model in list_models(project().root / "training") if model.path not in jobs]
    return found + [Training(ModelFolder(path), None) for path in by_hand]


def choose_training() -> Training | None:
    """Let the user choose a training."""
    runs = {training.folder.root.name: training for training in list_trainings()}
    if not runs:
        st.info("No training runs yet.", icon=":material/model_training:")
        return None
    asked = st.session_state.pop("asked-training", None)
    if asked in runs:
        st.session_state["training-shown"] = asked
    return runs[st.selectbox("Training run", list(runs), key="training-shown")]


def show_training(chosen: Training) -> bool:
    """Draw one training run; return whether it is running."""
    now = next((each for each in list_trainings() if each.folder == chosen.folder), chosen)
    history = read_history(now.folder.history)
    if now.job is not None:
        show_job(now.job, "train")
        if now.busy:
            stop_and_keep(now.job, history)
    if not now.busy and now.folder.root.is_dir():
        model = read_model(now.folder.root)
        if model.note:
            st.info(f"{model.note[0].upper()}{model.note[1:]}. Inference and Annotation can use them.")
    for text in training_warnings(history):
        st.warning(text, icon=":material/lightbulb:")
    show_figures(history)
    left, right = st.columns(2)
    if len(history["points"]) > 1:
        left.caption("Loss: lower is better. The validation loss matters most.")
        left.line_chart(losses(history), x="step", y="loss", color="of", height=280)
    if history["evaluations"]:
        right.caption("Mask average precision (AP) on the validation set; 100 is perfect.")
        right.line_chart(precisions(history), x="step", y="AP", color="of", height=280)
    show_pictures(now.folder)
    return now.busy


def stop_and_keep(job: Job, history: dict) -> None:
    """Offer to stop a training and use the weights of its best evaluation; say so where there was none yet."""
    evaluated = bool(history["evaluations"])
    stopping = job.state is JobState.STOPPING
    if st.button("Stop and keep the best so far", icon=":material/save:", disabled=not evaluated or stopping):
        with refusals():
            job_store().stop(job.id)
            st.rerun()
    if not evaluated:
        st.caption("There was no evaluation yet: a training that is stopped now leaves no weights to use.")


def show_figures(history: dict) -> None:
    """Draw the newest figures in large."""
    if not history["points"]:
        st.caption("The first figures come after some steps.")
        return
    point, found = history["points"][-1], history["evaluations"]
    figures = {"Step": f"{point['step']} of {history['n_steps']}", "Loss": f"{point['loss']:.3f}"}
    if found:
        best = max(found, key=lambda each: each["metrics"]["mask"]["ap"] or 0)
        figures["Validation loss"] = f"{found[-1]['losses']['loss']:.3f}"
        figures["Best mask AP"] = f"{100 * (best['metrics']['mask']['ap'] or 0):.1f}"
        figures["AP at IoU 0.5"] = f"{100 * (best['metrics']['mask']['ap50'] or 0):.1f}"
    figures["Images per second"] = f"{point['images_per_s']:.2f}"
    for column, (name, value) in zip(st.columns(len(figures)), figures.items(), strict=True):
        column.metric(name, value)


def losses(history: dict) -> pd.DataFrame:
    """Return training and validation loss by step, one row a point (their steps differ, and gaps break lines)."""
    rows = [(each["step"], each["loss"], "training") for each in history["points"]]
    rows += [(each["step"], each["losses"]["loss"], "validation") for each in history["evaluations"]]
    return pd.DataFrame(rows, columns=["step", "loss", "of"])


def precisions(history: dict) -> pd.DataFrame:
    """Return mask AP by step, percent, one row a point."""
    names = {"AP": "ap", "AP at IoU 0.5": "ap50"}
    rows = [
        (each["step"], 100 * (each["metrics"]["mask"][key] or 0), name)
        for each in history["evaluations"]
        for name, key in names.items()
    ]
    return pd.DataFrame(rows, columns=["step", "AP", "of"])


def show_pictures(folder: ModelFolder) -> None:
    """Draw the newest example images."""
    for kind, caption in PICTURES.items():
        newest = max(folder.pictures.glob(f"{kind}_*.jpg"), default=None)
        if newest is not None:
            real = resolve_under(newest, settings().roots)
            st.image(real.read_bytes(), caption=f"Step {int(newest.stem.split('_')[1])}, {caption}", width="stretch")


def show_board(folder: ModelFolder) -> bool:
    """Draw the TensorBoard buttons: start, link once it is ready, stop; return whether it is running."""
    logs = folder.tensorboard
    title = f"TensorBoard of {folder.root.name}"
    job = next((job for job in active_jobs(BOARD) if job.title == title), None)
    if job is None:
        if logs.is_dir() and st.button("Start TensorBoard", icon=":material/monitoring:"):
            with refusals():
                command = ("-m", "backend.training.tensorboard", "--logdir", str(logs))
                submit(
                    JobSpec(
                        kind=BOARD,
                        title=title,
                        command=command,
                        project=project().root,
                        slot=Slot.NONE,
                        service=True,
                    )
                )
                st.rerun()
        return False
    show_service(job, "TensorBoard", "Stop TensorBoard")
    return True
