"""Inference: detect the birds in whole videos, often overnight; view the detections."""

import streamlit as st

from backend.jobs import JobState
from backend.pipeline.detections import open_detections
from backend.pipeline.run_folder import BIRDS_A_FRAME, estimate_bytes
from backend.project.disk import as_bytes, check_space
from backend.video.library import VideoRecord
from gui.widgets.context import active_jobs, job_store, project, refusals, title
from gui.widgets.detections_view import show_results
from gui.widgets.formatting import duration
from gui.widgets.inference_follow_up import choose_follow_up, submit_follow_up
from gui.widgets.inference_form import (
    Choice,
    choose_gpus,
    choose_model,
    choose_options,
    choose_videos,
    submit_inference,
    submit_trial,
)
from gui.widgets.inference_progress import KINDS, picture, show_progress
from gui.widgets.job_view import show_job
from gui.widgets.live import live
from gui.widgets.video_choice import choose_video

NEW, PROGRESS, RESULTS = "New run", "Progress", "Results"
TRIAL, VIEW = "inference_trial", "inference-view"


def newest_trial(record: VideoRecord):
    """Return the newest trial job on a video, if any."""
    return next(iter(job_store().list(kind=TRIAL, video=record.slug, limit=1)), None)


def draw_trial(record: VideoRecord) -> bool:
    """Draw the newest trial and, once it is done, its frames; return whether it is running."""
    job = newest_trial(record)
    if job is None:
        st.caption("Test the model on ten frames before a long run.")
        return False
    show_job(job, "trial", log=False)
    if job.state is JobState.SUCCEEDED and job.output is not None and job.output.is_dir():
        with refusals():
            frames = open_detections(job.output).frames().frame.tolist()
            for row in range(0, len(frames), 2):
                for column, frame in zip(st.columns(2), frames[row : row + 2], strict=False):
                    column.image(picture(str(job.output), record.slug, frame, 0.5, 480), caption=f"frame {frame}")
    return not job.state.is_over


def measured(record: VideoRecord) -> tuple[float | None, float]:
    """Return seconds and birds per frame of the newest trial; None and the default without one."""
    job = newest_trial(record)
    if job is None or job.state is not JobState.SUCCEEDED or job.output is None or not job.output.is_dir():
        return None, BIRDS_A_FRAME
    manifest = open_detections(job.output).manifest
    frames = max(1, manifest.counts.get("frames", 0))
    seconds = (manifest.finished - manifest.started).total_seconds() if manifest.finished else 0.0
    return seconds / frames or None, manifest.counts.get("detections", 0) / frames


def estimate(records: list[VideoRecord], choice: Choice) -> bool:
    """Show time and disk space of the run; return whether it fits on the disk."""
    frames = sum(len(range(record.info.n_frames)[choice.frames][:: choice.stride]) for record in records)
    with refusals():
        seconds, birds = measured(records[0])
        size = estimate_bytes(frames, birds)
        time = f"about {duration(seconds * frames)}, " if seconds else ""
        words = f"{len(records)} video{'s' if len(records) > 1 else ''}, {frames} frames"
        st.markdown(f"**{words}**: {time}up to {as_bytes(size)} on disk.")
        if not seconds:
            st.caption("A test on 10 frames shows how long this takes.")
        check_space(project().root, size)
        return True
    return False


def new_run() -> None:
    """Draw the form on the left, the test on ten frames on the right."""
    left, right = st.columns([0.55, 0.45], gap="large")
    with left:
        with st.container():  # its height varies: outside it, a rerun would show the old buttons beside the new ones
            records = choose_videos()
            model = choose_model() if records else None
            if model is None:
                return
            st.caption(f"Detects: {', '.join(model.classes)}")
            options, stride, frames = choose_options(records[0])
            choice = Choice(model, options, stride, frames, choose_gpus())
            then = choose_follow_up(records)
            fits = estimate(records, choice)
        start, test = st.columns([0.4, 0.6])
        if start.button("Start", type="primary", icon=":material/bedtime:", disabled=not fits, width="stretch"):
            with refusals():
                for record, job in zip(records, submit_inference(records, choice), strict=True):
                    submit_follow_up(record, job, then)
                st.session_state["asked-view"] = PROGRESS
                st.rerun()
        if test.button("Test on 10 frames", icon=":material/science:", width="stretch"):
            with refusals():
                submit_trial(records[0], choice)
                st.rerun()
    with right:
        st.subheader("Test on 10 frames")
        live(lambda: draw_trial(records[0]), busy=bool(active_jobs(TRIAL, records[0].slug)))


title("inference")
st.session_state[VIEW] = st.session_state.pop("asked-view", None) or st.session_state.get(VIEW) or NEW
view = st.segmented_control("View", [NEW, PROGRESS, RESULTS], key=VIEW, label_visibility="collapsed")
if view == NEW:
    new_run()
elif view == PROGRESS:
    live(show_progress, busy=any(active_jobs(kind) for kind in KINDS))
else:
    chosen = choose_video()
    if chosen is not None:
        show_results(chosen)
