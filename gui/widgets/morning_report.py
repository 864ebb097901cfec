"""The jobs that finished in the last 24 hours, on the Home page."""

from datetime import UTC, datetime, timedelta

import streamlit as st

from backend.project.settings import state_folder
from backend.upkeep.morning import Night, as_markdown, look_back, read_night
from gui.steps import BY_KEY
from gui.widgets.context import settings
from gui.widgets.job_view import escape

HOURS = 24
MOST_LINES = 6


def show_morning() -> None:
    """Draw what ended in the last day: what failed and why, what is ready to review; nothing if nothing ended."""
    night = look_back(datetime.now(UTC) - timedelta(hours=HOURS), state_folder())
    if not (night.done or night.failed or night.stopped):
        return
    st.subheader("Last 24 hours")
    with st.container(border=True):
        st.markdown(f"**{escape(night.headline[:1].upper() + night.headline[1:])}**")
        for job in night.failed[:MOST_LINES]:
            st.error(f"{escape(job.title)}: {escape(job.reason)}", icon=":material/error:")
        show_ready(night)
        reported = read_night(state_folder())
        if reported is not None and reported.notification_problem:
            problem = f"The notification could not be sent: {reported.notification_problem}"
            st.warning(escape(problem), icon=":material/mail:")
        text = as_markdown(night, settings().time_zone)
        st.download_button("Full report", text, "lektrack-report.md", icon=":material/description:", type="tertiary")


def show_ready(night: Night) -> None:
    """Draw the videos that wait for a person."""
    step = BY_KEY["correct"]
    for each in night.ready[:MOST_LINES]:
        page = st.session_state["pages"][step.key]
        st.page_link(page, label=each.words, icon=step.icon, query_params={"video": each.video})
