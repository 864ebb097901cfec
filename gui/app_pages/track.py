"""Track: follow each bird and keep its identity; view the result, its expected error and its doubts."""

import streamlit as st

from backend.jobs import Job, JobState
from backend.project.errors import InputError
from gui.widgets.context import active_jobs, job_store, refusals, title
from gui.widgets.job_view import show_job
from gui.widgets.live import live
from gui.widgets.track_form import (
    DESCRIBE,
    KIND,
    choose_appearance,
    choose_birds,
    choose_camera,
    choose_detections,
    choose_zones,
    submit_tracking,
)
from gui.widgets.track_view import show_tracks
from gui.widgets.video_choice import choose_video

NEW, RESULTS = "New", "Results"
VIEW = "track-view"


def new() -> None:
    """Draw the form, and the jobs beside it."""
    left, right = st.columns([0.55, 0.45], gap="large")
    with left:
        runs = choose_detections()
        if runs:
            birds, decided = choose_birds()
            zones = choose_zones(runs)
            describe = choose_appearance()
            camera_moves = choose_camera()
            name = st.text_input("Name of the track run", placeholder="same as the detections", max_chars=60).strip()
            if st.button("Start", type="primary", icon=":material/timeline:"):
                with refusals():
                    if not decided:
                        raise InputError("Type how many birds there are in the video, or choose Unknown")
                    submit_tracking(runs, birds, zones, name, describe, camera_moves)
                    st.rerun()
    with right:
        live(newest_jobs, busy=bool(active()))


def active() -> list[Job]:
    """Return the queued and running jobs of this page, in order."""
    return sorted([*active_jobs(DESCRIBE), *active_jobs(KIND)], key=lambda job: job.id)


def newest_jobs() -> bool:
    """Draw queued and running jobs, else the newest; return whether any is queued or running."""
    running = active()
    jobs = running or job_store().list(kind=KIND, limit=1)
    if not jobs:
        st.caption("Jobs you start appear here.")
    for job in jobs:
        show_job(job, "track")
        if job.state is JobState.SUCCEEDED and st.button("View result", icon=":material/visibility:"):
            st.session_state["asked-track-view"] = RESULTS
            st.rerun(scope="app")
    return bool(running)


title("track")
st.session_state[VIEW] = st.session_state.pop("asked-track-view", None) or st.session_state.get(VIEW) or NEW
view = st.segmented_control("View", [NEW, RESULTS], key=VIEW, label_visibility="collapsed")
if view == RESULTS:
    record = choose_video()
    if record is not None:
        show_tracks(record)
else:
    new()
