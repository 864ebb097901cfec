"""Annotation: outline birds in the browser, see the progress of each video, create a training set from it."""

import streamlit as st

from backend.jobs import Job, JobState
from backend.video.library import VideoRecord, list_videos
from gui.widgets.annotation_jobs import KIND, make_training_set, start_annotation
from gui.widgets.context import active_jobs, job_store, project, refusals, title
from gui.widgets.job_view import escape, show_job
from gui.widgets.live import live
from gui.widgets.service_view import show_service
from segannot.engines.registry import why_no_sam2
from segannot.projects import AnnotationProgress, list_progress

ENGINES = {
    "classic": "Classic: runs on any computer, needs no model weights",
    "sam2": "SAM 2 or EdgeTAM: more accurate, needs model weights",
}
HALF = (
    "Uses 16-bit instead of 32-bit numbers on the GPU: half the memory, about twice as fast, nearly the same outlines. "
    "Recommended from RTX 20 on. No effect with the Classic engine or without a GPU."
)
SETS = ("export_frames", "mask2coco")


def choose_videos() -> list[VideoRecord]:
    """Let the user choose one or several readable videos; show what to do if there are none."""
    records = {record.slug: record for record in list_videos(project()) if not record.problem}
    if not records:
        st.info("Add a video first.", icon=":material/video_library:")
        st.page_link(st.session_state["pages"]["videos"], label="Go to Videos", icon=":material/video_library:")
        return []
    preselected = st.query_params.get("video")
    chosen = st.multiselect(
        "Videos", list(records), [preselected] if preselected in records else list(records)[:1],
        format_func=lambda slug: f"{records[slug].name} ({records[slug].info.n_frames} frames)",
        help="Choose several to give each person a video. Earlier work on a video is kept.",
    )  # fmt: skip
    return [records[slug] for slug in chosen]


def form() -> None:
    """Draw the choice of videos and engine, and start."""
    if not (records := choose_videos()):
        return
    reason = why_no_sam2(project().root)
    engine = st.selectbox("Engine", [name for name in ENGINES if name != "sam2" or not reason], format_func=ENGINES.get)
    if reason:
        st.caption(f"SAM 2 is not available: {escape(reason)}")
    half = st.toggle("Half precision", help=HALF)
    with st.expander("More settings"):
        memory = st.number_input(
            "Memory limit per video, GB",
            1.25,
            64.0,
            2.0,
            0.25,
            help="SegAnnot stays below it at any video length.",
        )
    if st.button("Start", type="primary", icon=":material/brush:"):
        before = len(active_jobs(KIND))
        for record in records:
            with refusals():
                start_annotation(record, engine, half, memory)
        if len(active_jobs(KIND)) == before + len(records):  # else the refusals are to be read
            st.rerun()


def show_open() -> bool:
    """Draw the open videos with links and stop buttons; return whether there are any."""
    jobs = active_jobs(KIND)
    for job in jobs:
        with st.container(border=True):
            st.markdown(f"**{escape(job.title)}**")
            show_service(job, "SegAnnot", "Stop", "Every stroke is saved. You can continue at any time.")
    newest = next(iter(job_store().list(kind=KIND, project=project().root, limit=1)), None)
    if not jobs:
        st.caption("Nothing is open. Start a video on the left.")
        if newest is not None and newest.state in (JobState.FAILED, JobState.LOST):
            show_job(newest, "annotation")
    return bool(jobs)


def show_project(progress: AnnotationProgress, reviewed_only: bool, ratio: float) -> None:
    """Draw the progress of one video, and the button that creates a training set."""
    words, button = st.columns([0.68, 0.32], vertical_alignment="center")
    if progress.problem:
        words.error(f"{progress.video}: {progress.problem}")
        return
    words.progress(
        len(progress.seen) / len(progress.frames),
        f"**{escape(progress.video)}** · {len(progress.frames)} frames, {len(progress.seen)} drawn or accepted · "
        f"{progress.objects} birds ({escape(', '.join(progress.classes))})",
    )
    if button.button("Create training set", key=f"set-{progress.video}", icon=":material/dataset:", width="stretch",
                     help="Exports the outlined frames, then creates the COCO JSON."):  # fmt: skip
        with refusals():
            make_training_set(progress, reviewed_only, ratio)
            st.rerun()


def show_projects() -> bool:
    """Draw all annotation projects and the jobs that make training sets of them; return whether one is open."""
    with refusals():
        draw_projects(list_progress(project()))
    return bool(active_jobs(KIND))


def draw_projects(projects: list[AnnotationProgress]) -> None:
    """Draw the progress of each video, what goes into a training set, and the jobs that create it."""
    if not projects:
        st.caption("No video has outlines yet.")
        return
    first, second = st.columns(2)
    reviewed_only = first.toggle("Only drawn or accepted frames", True)
    ratio = second.slider("Training share", 0.05, 1.0, 0.8, 0.05)
    for progress in projects:
        show_project(progress, reviewed_only, ratio)
    live(lambda: show_set_jobs({progress.video for progress in projects}), busy=any(active_jobs(kind) for kind in SETS))


def show_set_jobs(videos: set[str]) -> bool:
    """Draw running exports and conversions, and each video's newest if it failed; return whether any is running."""
    shown: dict[int, Job] = {}
    for kind in SETS:
        newest: dict[tuple[str, ...], Job] = {}
        for job in job_store().list(kind=kind, project=project().root):
            newest.setdefault(job.videos, job)
            if not job.state.is_over:
                shown[job.id] = job
        shown |= {job.id: job for job in newest.values()}
    for _, job in sorted(shown.items()):
        if set(job.videos) & videos and job.state is not JobState.SUCCEEDED:
            show_job(job, "sets", log=False)
    st.page_link(st.session_state["pages"]["coco"], label="View training sets", icon=":material/dataset:")
    return any(active_jobs(kind) for kind in SETS)


title("annotation")
left, right = st.columns([0.5, 0.5], gap="large")
with left:
    form()
with right:
    st.subheader("Open now")
    live(show_open, busy=bool(active_jobs(KIND)))
st.subheader("Annotation progress")
live(show_projects, busy=bool(active_jobs(KIND)))
