"""Annotation: outline birds in a video, in the browser; see how far each video is; make a training set of it."""

import streamlit as st

from backend.jobs import Job, JobState
from backend.video.library import VideoRecord, list_videos
from backend.web.links import service_link
from gui.widgets.annotation_jobs import KIND, make_training_set, start_annotation
from gui.widgets.context import active_jobs, job_store, project, refusals, settings, title
from gui.widgets.job_view import escape, show_job
from gui.widgets.live import live
from segannot.engines.registry import why_no_sam2
from segannot.projects import AnnotationProgress, list_progress

ENGINES = {
    "classic": "Classic: needs no weights, runs on any machine",
    "sam2": "SAM 2 or EdgeTAM: better, needs weights",
}
HALF = (
    "Computes in 16 instead of 32 bits on the GPU: half the memory, about twice the speed, outlines hardly differ. "
    "Good on RTX 20 and later; without effect on the classic engine and on a processor."
)
SETS = ("export_frames", "mask2coco")


def choose_videos() -> list[VideoRecord]:
    """Let the user choose one or several sound videos; say what to do where there is none."""
    records = {record.slug: record for record in list_videos(project()) if not record.problem}
    if not records:
        st.info("Add a video first.", icon=":material/video_library:")
        st.page_link(st.session_state["pages"]["videos"], label="Go to Videos", icon=":material/video_library:")
        return []
    asked = st.query_params.get("video")
    chosen = st.multiselect(
        "Videos", list(records), [asked] if asked in records else list(records)[:1],
        format_func=lambda slug: f"{records[slug].name} ({records[slug].info.n_frames} frames)",
        help="Choose several to open one for each person. A video that was begun goes on where it was left.",
    )  # fmt: skip
    return [records[slug] for slug in chosen]


def form() -> None:
    """Draw the choice of videos and engine, and start."""
    if not (records := choose_videos()):
        return
    reason = why_no_sam2(project().root)
    engine = st.selectbox("Engine", [name for name in ENGINES if name != "sam2" or not reason], format_func=ENGINES.get)
    if reason:
        st.caption(f"SAM 2 cannot be used here: {escape(reason)}")
    half = st.toggle("Half precision", help=HALF)
    with st.expander("More settings"):
        memory = st.number_input(
            "Memory for each, GB", 1.25, 64.0, 2.0, 0.25, help="It stays below this at any length of video."
        )
    if st.button("Start", type="primary", icon=":material/brush:"):
        before = len(active_jobs(KIND))
        for record in records:
            with refusals():
                start_annotation(record, engine, half, memory)
        if len(active_jobs(KIND)) == before + len(records):  # else the refusals are to be read
            st.rerun()


def show_open() -> bool:
    """Draw what is open with links and stop buttons; return whether anything is."""
    jobs = active_jobs(KIND)
    for job in jobs:
        show_service(job)
    newest = next(iter(job_store().list(kind=KIND, project=project().root, limit=1)), None)
    if not jobs:
        st.caption("Nothing is open. Start a video on the left.")
        if newest is not None and newest.state in (JobState.FAILED, JobState.LOST):
            show_job(newest, "annotation")
    return bool(jobs)


def show_service(job: Job) -> None:
    """Draw one open video: its link once it answers, and stop."""
    with st.container(border=True):
        st.markdown(f"**{escape(job.title)}**")
        link, stop = st.columns([0.7, 0.3], vertical_alignment="center")
        if job.state is JobState.RUNNING and job.port:
            address = service_link(settings(), st.context.headers.get("Host"), job.port)
            link.link_button("Open SegAnnot", address, icon=":material/open_in_new:", type="primary", width="stretch")
        else:
            link.caption(f"{job.state.value}: the link comes when it answers.")
        if stop.button("Stop", key=f"stop-{job.id}", width="stretch", disabled=job.state is JobState.STOPPING,
                       help="Everything is saved with every stroke; go on at any time."):  # fmt: skip
            with refusals():
                job_store().stop(job.id)
            st.rerun()


def show_project(progress: AnnotationProgress, reviewed_only: bool, ratio: float) -> None:
    """Draw how far one video is, and the way to a training set."""
    words, button = st.columns([0.68, 0.32], vertical_alignment="center")
    if progress.problem:
        words.error(f"{progress.video}: {progress.problem}")
        return
    words.progress(
        len(progress.seen) / len(progress.frames),
        f"**{escape(progress.video)}** · {len(progress.frames)} frames, {len(progress.seen)} drawn or accepted · "
        f"{progress.objects} birds ({escape(', '.join(progress.classes))})",
    )
    if button.button("Make a training set", key=f"set-{progress.video}", icon=":material/dataset:", width="stretch",
                     help="Two jobs in a row: export the labelled frames, write the COCO JSON."):  # fmt: skip
        with refusals():
            make_training_set(progress, reviewed_only, ratio)
            st.rerun()


def show_projects() -> bool:
    """Draw all annotation projects and the jobs that make training sets of them; return whether one is open."""
    with refusals():
        draw_projects(list_progress(project()))
    return bool(active_jobs(KIND))


def draw_projects(projects: list[AnnotationProgress]) -> None:
    """Draw how far each project is, what goes into a training set, and the jobs for it."""
    if not projects:
        st.caption("No video is labelled yet.")
        return
    first, second = st.columns(2)
    reviewed_only = first.toggle("Only frames that were drawn or accepted", True)
    ratio = second.slider("Share for training", 0.05, 1.0, 0.8, 0.05)
    for progress in projects:
        show_project(progress, reviewed_only, ratio)
    live(lambda: show_set_jobs({each.video for each in projects}), busy=any(active_jobs(kind) for kind in SETS))


def show_set_jobs(videos: set[str]) -> bool:
    """Draw exports and conversions at work, and the newest that failed; return whether any is at work."""
    newest = [job for kind in SETS for job in job_store().list(kind=kind, project=project().root, limit=1)]
    for job in newest:
        if set(job.videos) & videos and job.state is not JobState.SUCCEEDED:
            show_job(job, "sets", log=False)
    st.page_link(st.session_state["pages"]["coco"], label="Look at the training sets", icon=":material/dataset:")
    return any(active_jobs(kind) for kind in SETS)


title("annotation")
left, right = st.columns([0.5, 0.5], gap="large")
with left:
    form()
with right:
    st.subheader("Open now")
    live(show_open, busy=bool(active_jobs(KIND)))
st.subheader("How far each video is")
live(show_projects, busy=bool(active_jobs(KIND)))
