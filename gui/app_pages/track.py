"""Track: follow each bird with its identity; see what the result is worth and where it may be wrong."""

import streamlit as st

from backend.jobs import Job, JobState
from gui.widgets.context import active_jobs, job_store, refusals, title
from gui.widgets.job_view import show_job
from gui.widgets.live import live
from gui.widgets.track_form import (
    DESCRIBE,
    KIND,
    choose_birds,
    choose_camera,
    choose_description,
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
            birds = choose_birds()
            zones = choose_zones(runs)
            describe = choose_description()
            camera_moves = choose_camera()
            name = st.text_input("Name of the tracks", placeholder="as the detections", max_chars=60).strip()
            if st.button("Start", type="primary", icon=":material/timeline:"):
                with refusals():
                    submit_tracking(runs, birds, zones, name, describe, camera_moves)
                    st.rerun()
    with right:
        live(newest_jobs, busy=bool(at_work()))


def at_work() -> list[Job]:
    """Return the jobs of this page that wait or work, in their order."""
    return sorted([*active_jobs(DESCRIBE), *active_jobs(KIND)], key=lambda job: job.id)


def newest_jobs() -> bool:
    """Draw what is at work or waits, and the newest that ended; return whether one is at work."""
    active = at_work()
    jobs = active or job_store().list(kind=KIND, limit=1)
    if not jobs:
        st.caption("What you start is shown here.")
    for job in jobs:
        show_job(job, "track")
        if job.state is JobState.SUCCEEDED and st.button("Look at the result", icon=":material/visibility:"):
            st.session_state["asked-track-view"] = RESULTS
            st.rerun(scope="app")
    return bool(active)


title("track")
st.session_state[VIEW] = st.session_state.pop("asked-track-view", None) or st.session_state.get(VIEW) or NEW
view = st.segmented_control("View", [NEW, RESULTS], key=VIEW, label_visibility="collapsed")
if view == RESULTS:
    record = choose_video()
    if record is not None:
        show_tracks(record)
else:
    new()
