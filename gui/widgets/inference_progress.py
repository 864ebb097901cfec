"""Progress of inference and what follows: queued jobs, running ones with their latest frame, finished ones."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import streamlit as st

from backend.detectors.score_threshold import SHOWN_SCORE
from backend.jobs import Job, JobState
from backend.pipeline.detections import open_detections
from backend.pipeline.inference_runs import frame_jpeg, latest_frame, list_runs
from backend.project.errors import InputError
from backend.video.library import get_video, index_cache
from gui.widgets.context import active_jobs, job_store, project
from gui.widgets.job_view import escape, show_job

PICTURE_PX = 720
RECENT = timedelta(hours=24)
KINDS = ("inference", "track", "zone_stats")


def show_progress() -> bool:
    """Draw the jobs of the last day; return whether one is running or queued."""
    recent = [job for kind in KINDS for job in job_store().list(kind=kind) if _is_recent(job)]
    jobs = sorted(recent, key=lambda job: job.id, reverse=True)
    running = [job for job in reversed(jobs) if not job.state.is_over and job.state is not JobState.QUEUED]
    waiting = [job for job in reversed(jobs) if job.state is JobState.QUEUED]
    ended = [job for job in jobs if job.state.is_over]
    if not jobs:
        st.caption("No jobs in the last 24 hours.")
    for job in running:
        show_job(job, "night", log=False)
        if job.kind == "inference":
            show_latest(job)
    if waiting:
        st.subheader(f"Queued, in this order ({len(waiting)})")
    for job in waiting:
        show_job(job, "night", log=False)
    if ended:
        done = sum(job.state is JobState.SUCCEEDED for job in ended)
        st.subheader(f"Finished: {done} succeeded, {len(ended) - done} failed or stopped")
    for job in ended:
        show_job(job, "night")
        show_outcome(job)
    return any(active_jobs(kind) for kind in KINDS)


def show_latest(job: Job) -> None:
    """Draw the newest finished frame of a running job, if there is one."""
    try:
        run = open_detections(job.output)
        frame = latest_frame(run)
        if frame is not None:
            st.image(picture(str(job.output), job.videos[0], frame, SHOWN_SCORE, PICTURE_PX), caption=f"frame {frame}")
    except (InputError, OSError) as error:
        st.caption(f"No preview yet: {error}")


@st.cache_data(max_entries=200, show_spinner=False)
def picture(folder: str, video: str, frame: int, score: float, width: int) -> bytes:
    """Return a frame with its birds as JPEG. What is finished in a run does not change any more."""
    path = Path(get_video(project(), video).path)
    return frame_jpeg(open_detections(Path(folder)), path, frame, score, width, index_cache(project()))


def show_outcome(job: Job) -> None:
    """Show what a finished job detected."""
    if job.kind != "inference" or job.state is not JobState.SUCCEEDED or job.output is None:
        return
    run = next((run for run in list_runs(project(), job.videos[0]) if run.folder == job.output), None)
    if run is None or not run.counts:
        return
    counts = run.counts
    words = [
        f"{counts['detections']} detections in {counts['frames']} frames",
        f"{counts['frames_empty']} without a bird",
    ]
    if counts["frames_damaged"]:
        words.append(f"**{counts['frames_damaged']} damaged frames skipped**")
    st.markdown(f"Ready to review under *Results*: run {escape(run.name)}, {', '.join(words)}.")


def _is_recent(job: Job) -> bool:
    return not job.state.is_over or (job.ended is not None and datetime.now(UTC) - job.ended < RECENT)
