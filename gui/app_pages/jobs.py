"""Jobs: running, queued and finished jobs."""

import streamlit as st

from backend.jobs import ACTIVE, JobState
from gui.widgets.context import active_jobs, job_store, title
from gui.widgets.job_view import show_job
from gui.widgets.live import live

FINISHED = tuple(state for state in JobState if state.is_over)
PAGE_SIZE = 20

title("jobs")
chosen = st.segmented_control(
    "Show", ["Running and queued", "Failed", "Finished"], default="Running and queued", key="jobs_show"
)
states = {"Failed": (JobState.FAILED, JobState.LOST), "Finished": FINISHED}.get(chosen, ACTIVE)


def draw() -> bool:
    """Draw the chosen jobs; return whether any job is running or queued."""
    jobs = job_store().list(states=states, limit=st.session_state.get("jobs_limit", PAGE_SIZE))
    if not jobs:
        st.caption(
            {"Failed": "No failed jobs.", "Finished": "No finished jobs."}.get(chosen, "Nothing is running or queued.")
        )
    for job in jobs:
        show_job(job, "jobs")
    return bool(active_jobs())


live(draw, busy=bool(active_jobs()))
limit = st.session_state.get("jobs_limit", PAGE_SIZE)
if len(job_store().list(states=states, limit=limit + 1)) > limit and st.button("Show more"):
    st.session_state["jobs_limit"] = limit + PAGE_SIZE
    st.rerun()
