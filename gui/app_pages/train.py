"""Train: teach a network to recognise your birds, and follow its progress."""

import streamlit as st

from gui.widgets.context import active_jobs, refusals, title
from gui.widgets.live import live
from gui.widgets.train_form import (
    choose_data,
    choose_network,
    choose_settings,
    choose_start,
    gpus_here,
    show_need,
    submit_training,
)
from gui.widgets.train_view import choose_training, show_board, show_training

NEW, WATCH = "New training", "Training runs"
VIEW = "train-view"


def new_training() -> None:
    """Draw data and network on the left, settings and memory estimate on the right."""
    left, right = st.columns(2, gap="large")
    with left:
        data = choose_data()
        if data is None:
            return
        start = choose_start()
        gpus = gpus_here()
        network = choose_network(start, gpus)
    with right, refusals():
        chosen = choose_settings(data, start, network, gpus)
        show_need(chosen, network, data, gpus)
        if active_jobs("train"):
            st.caption("Another training is running; this one will be queued.")
        if st.button("Start", type="primary", icon=":material/play_arrow:"):
            submit_training(chosen, gpus)
            st.session_state["asked-view"] = WATCH
            st.session_state["asked-training"] = chosen.out_dir.name
            st.rerun()


def watch() -> None:
    """Draw one training run, live while it is running."""
    chosen = choose_training()
    if chosen is None:
        return
    live(lambda: show_board(chosen.folder), busy=bool(active_jobs("tensorboard")))
    live(lambda: show_training(chosen), busy=chosen.busy)


title("train")
st.session_state[VIEW] = st.session_state.pop("asked-view", None) or st.session_state.get(VIEW) or NEW
if st.segmented_control("View", [NEW, WATCH], key=VIEW, label_visibility="collapsed") == WATCH:
    watch()
else:
    new_training()
