"""A running service (SegAnnot, the board, TensorBoard) on a page: its link once it is ready, and a stop button."""

import streamlit as st

from backend.jobs import Job, JobState
from backend.web.links import service_link
from gui.widgets.context import job_store, refusals, settings
from gui.widgets.job_view import escape


def show_service(job: Job, name: str, stop: str, stop_help: str | None = None) -> None:
    """Draw ``Open NAME``, or the state of a service that is not ready, and a button labelled ``stop``."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if job.state is JobState.RUNNING and job.port:
            address = service_link(settings(), st.context.headers.get("Host"), job.port)
            st.link_button(f"Open {name}", address, type="primary", icon=":material/open_in_new:")
        else:
            st.caption(escape(f"{name[:1].upper()}{name[1:]} is {job.state.value}. The link appears when it is ready."))
        stopping = job.state is JobState.STOPPING
        if st.button(stop, key=f"stop-service-{job.id}", icon=":material/stop:", disabled=stopping, help=stop_help):
            with refusals():
                job_store().stop(job.id)
            st.rerun()
