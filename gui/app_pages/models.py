"""Models: all trained models, and comparisons of two."""

import streamlit as st

from gui.widgets.before_after import choose_runs, show_before_after
from gui.widgets.context import active_jobs, title
from gui.widgets.live import live
from gui.widgets.models_view import choose_comparison, project_models, show_card, show_comparison, show_table

ALL, TWO = "All models", "Compare two"

title("models")
models = project_models()
if not models:
    st.info("No trained models yet.", icon=":material/deployed_code:")
    st.page_link(st.session_state["pages"]["train"], label="Go to Train", icon=":material/model_training:")
elif st.segmented_control("View", [ALL, TWO], default=ALL, required=True, label_visibility="collapsed") == TWO:
    choose_comparison(models)
    live(show_comparison, busy=bool(active_jobs("compare")))
    st.subheader("Before and after on one video")
    choose_runs()
    live(show_before_after, busy=bool(active_jobs("before_after")))
else:
    selected = show_table(models)
    if selected is None:
        st.caption("Select a row to see the model card.")
    else:
        show_card(selected)
