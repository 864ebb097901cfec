"""The page of a step that is not built yet."""

import streamlit as st

from gui.steps import BY_KEY, Step


def show_coming(step: Step) -> None:
    """Say plainly that this step cannot be done here yet, and link to the step before it."""
    st.title(step.title)
    st.caption(step.purpose)
    st.info("This step is not part of this version yet. What comes before it works.", icon=":material/construction:")
    if step.before is not None:
        before = BY_KEY[step.before]
        st.page_link(st.session_state["pages"][before.key], label=f"Go to {before.title}", icon=before.icon)
