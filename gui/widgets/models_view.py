"""The models of the project in a table, one in full, and two compared animal by animal."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from backend.dataset.image_browser import finished_sets
from backend.jobs import Job, JobSpec, JobState, Slot
from backend.project.errors import InputError
from backend.project.paths import resolve_under
from backend.training.draw_predictions import draw_difference
from backend.training.match_predictions import Mistake
from backend.training.model_folder import COMPARED_PREDICTIONS, COMPARISON_FILE, CURVES, ModelRecord, list_models
from backend.training.read_coco import PictureSet, read_pictures
from gui.widgets.context import active_jobs, fresh_folder, job_store, project, refusals, settings, submit
from gui.widgets.formatting import moment
from gui.widgets.job_view import escape, show_job
from gui.widgets.train_form import gpus_here

KIND = "compare"
SHOWN = 100
WORDS = {None: "correct", Mistake.MISSED: "missed", Mistake.EXTRA: "extra", Mistake.POOR_MASK: "poor mask"}


def project_models() -> list[ModelRecord]:
    """Return the project's models, newest first."""
    return list_models(project().root / "training")


def show_table(models: list[ModelRecord]) -> ModelRecord | None:
    """Draw all models and return the one whose row is selected."""
    rows = [
        {
            "Model": model.name,
            "Mask AP": _percent(model.mask_ap),
            "Box AP": _percent(model.box_ap),
            "Trained on": model.data,
            "Classes": ", ".join(model.detector.class_names) if model.detector else "",
            "Network": model.detector.backbone if model.detector else "",
            "Started": moment(model.started, settings().time_zone) if model.started else "",
            "State": model.state,
        }
        for model in models
    ]
    st.caption("Compare AP only between models evaluated on the same validation set.")
    shown = st.dataframe(
        pd.DataFrame(rows), hide_index=True, on_select="rerun", selection_mode="single-row", key="models-table"
    )
    return models[shown.selection.rows[0]] if shown.selection.rows else None


def show_card(model: ModelRecord) -> None:
    """Draw a model's card with its curves."""
    card = model.path / "README.md"
    if not card.is_file():
        st.info(escape(f"{model.name}: {model.problem or model.note or 'no model card'}"))
        return
    text = resolve_under(card, settings().roots).read_text()
    st.markdown("\n".join(line for line in text.splitlines() if not line.startswith("![")))
    found = [model.path / name for name in CURVES if (model.path / name).is_file()]
    for column, path in zip(st.columns(len(CURVES)), found, strict=False):
        column.image(resolve_under(path, settings().roots).read_bytes())


def choose_comparison(models: list[ModelRecord]) -> None:
    """Let the user choose two models and a set, and start."""
    usable = {model.name: model for model in models if not model.problem}
    sets = {data_set.name: data_set.val or data_set.train for data_set in finished_sets(project().coco_jsons)}
    if len(usable) < 2 or not sets:
        st.info("You need two trained models and a data set to compare.", icon=":material/compare:")
        return
    first, second, third = st.columns(3)
    names = list(usable)
    one = usable[first.selectbox("First model", names)]
    other = usable[second.selectbox("Second model", [name for name in names if name != one.name])]
    chosen = third.selectbox("Data set (validation images)", list(sets))
    if st.button("Compare", type="primary", icon=":material/compare:", disabled=bool(active_jobs(KIND))):
        with refusals():
            submit_comparison(one, other, chosen, sets[chosen])
            st.rerun()


def submit_comparison(one: ModelRecord, other: ModelRecord, name: str, val: Path) -> Job:
    """Hand a comparison on the set ``name`` to the queue; a model or a set may have changed since the last one."""
    gpus = gpus_here()
    folder = fresh_folder(project().cache / "compare" / f"{one.name}--{other.name}--{name}")
    command = ["-m", "backend.models", "compare", str(one.path), str(other.path)]
    command += ["--val-annot", str(val), "--out-dir", str(folder), *(() if gpus else ("--gpu-id", "cpu"))]
    return submit(
        JobSpec(
            kind=KIND,
            title=f"Compare {one.name} with {other.name}",
            command=tuple(command),
            output=folder,
            project=project().root,
            slot=Slot.GPU if gpus else Slot.CPU,
            resumable=True,
        )
    )


def show_comparison() -> bool:
    """Draw the newest comparison; return whether one is running."""
    for job in job_store().list(kind=KIND, project=project().root, limit=1):
        show_job(job, "compare", log=False)
        if job.state is JobState.SUCCEEDED and job.output is not None:
            with refusals():
                show_differences(resolve_under(job.output, settings().roots))
    return bool(active_jobs(KIND))


def show_differences(folder: Path) -> None:
    """Draw the totals, and the differences one at a time, the worst first."""
    found = _comparison(str(folder), (folder / COMPARISON_FILE).stat().st_mtime)
    names = {key: Path(path).name for key, path in found["models"].items()}
    rows = [
        {
            "Model": names[key],
            "Mask AP": _percent(found["figures"][key]["metrics"]["mask"]["ap"]),
            **found["totals"][key],
        }
        for key in names
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    kind = st.segmented_control("Show", ["all", *(mistake.value for mistake in Mistake)], default="all", required=True)
    one_only = st.toggle("Only where exactly one model is correct")
    shown = [
        each
        for each in found["differences"]
        if (kind == "all" or kind in (each["mistake_a"], each["mistake_b"]))
        and not (one_only and each["mistake_a"] and each["mistake_b"])
    ][:SHOWN]
    if not shown:
        st.success("No matching animals.", icon=":material/check_circle:")
        return
    number = st.number_input(
        f"Difference, 1 (worst) to {len(shown)}", 1, len(shown), 1, key=f"difference-{kind}-{one_only}"
    )
    show_difference(folder, shown[int(number) - 1], names)


def show_difference(folder: Path, each: dict[str, Any], names: dict[str, str]) -> None:
    """Draw one animal: its annotation and the predictions of both models."""
    found = _read_set(_comparison(str(folder), (folder / COMPARISON_FILE).stat().st_mtime)["val_annot"])
    picture = next((one for one in found.pictures if one.image_id == each["image_id"]), None)
    if picture is None:
        raise InputError(f"image {each['image_id']} is no longer in {found.path}")
    results = [_predictions(str(folder / name), each["image_id"]) for name in COMPARED_PREDICTIONS]
    pictures = draw_difference(picture, each["box"], *results)
    captions = ["annotation", *(f"{names[key]}: {WORDS[each[f'mistake_{key}']]}" for key in "ab")]
    st.caption(escape(f"{each['class_name']} in {each['file']}"))
    for column, drawn, caption in zip(st.columns(3), pictures, captions, strict=True):
        column.image(drawn, caption=caption, width="stretch")


@st.cache_data(max_entries=8, show_spinner="Reading the comparison")
def _comparison(folder: str, modified: float) -> dict[str, Any]:
    return json.loads((Path(folder) / COMPARISON_FILE).read_bytes())


@st.cache_data(max_entries=200, show_spinner=False)
def _predictions(path: str, image_id: int) -> list[dict[str, Any]]:
    return [each for each in json.loads(Path(path).read_bytes()) if each["image_id"] == image_id]


@st.cache_resource(max_entries=4, show_spinner="Reading the data set")
def _read_set(path: str) -> PictureSet:
    return read_pictures(resolve_under(path, settings().roots))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"
