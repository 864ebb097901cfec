"""Correct mistakes: what is left to review, the board, and what becomes of corrections."""

from pathlib import Path

import pandas as pd
import streamlit as st

from backend.jobs import JobState
from backend.tracking.io.export import FORMATS
from backend.web.links import service_link
from board.summary import Review, log_of, review_of, tracked_runs
from gui.widgets.context import job_store, project, refusals, settings, title
from gui.widgets.correct_jobs import board_job, export, hand_back, start_board, track_again
from gui.widgets.import_tracks import draw_import
from gui.widgets.job_view import escape
from gui.widgets.live import live
from gui.widgets.proxy_video import draw_proxy
from gui.widgets.video_choice import choose_video


@st.cache_data(max_entries=20, show_spinner="Reading the corrections")
def review(folder: str, written: tuple[int, int]) -> Review:
    """Return the review of a run; ``written`` keeps the cache true while corrections are made."""
    return review_of(project(), Path(folder))


def written(folder: Path) -> tuple[int, int]:
    """Return what changes with the log."""
    log = log_of(folder)
    return (log.stat().st_size, log.stat().st_mtime_ns) if log.exists() else (0, 0)


def draw_board(folder: Path) -> bool:
    """Draw the way to the board: start, link once it answers, stop; return whether it is at work."""
    job = board_job(folder)
    if job is None:
        if st.button("Open the board", type="primary", icon=":material/rule:"):
            with refusals():
                start_board(folder)
                st.rerun()
        return False
    link, stop = st.columns([0.7, 0.3], vertical_alignment="center")
    if job.state is JobState.RUNNING and job.port:
        address = service_link(settings(), st.context.headers.get("Host"), job.port)
        link.link_button("Go to the board", address, type="primary", icon=":material/open_in_new:")
    else:
        link.caption(escape(f"The board is {job.state}: the link comes when it answers."))
    if stop.button("Stop the board", disabled=job.state is JobState.STOPPING):
        with refusals():
            job_store().stop(job.id)
    return True


def draw_review(found: Review) -> None:
    """Draw how far the review has come, and what is known of the errors left."""
    done = found.doubts - found.open
    share = f"{100 * done / found.doubts:.0f} %" if found.doubts else "none"
    columns = st.columns(4)
    columns[0].metric("Doubts answered", share, f"{done} of {found.doubts}", delta_color="off", delta_arrow="off")
    columns[1].metric("Frames watched", f"{100 * found.reviewed:.1f} %")
    audit = found.audit
    estimate = f"{100 * audit['share']:.1f} %" if audit["decided"] else "not audited"
    between = f"{100 * audit['low']:.1f} to {100 * audit['high']:.1f} %" if audit["decided"] else None
    columns[2].metric("Identity error", estimate, between, delta_color="off", delta_arrow="off")
    columns[3].metric("Corrections", found.corrections)
    if audit["decided"]:
        st.caption(f"Error: {audit['wrong']} wrong of {audit['decided']} random moments; {audit['method']}.")
    people = found.agreement
    if people["answered"]:
        rows = [{"reviewer": who, "doubts answered": number} for who, number in people["answered"].items()]
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="content")
    for pair in people["pairs"]:
        kappa = "not defined" if pair["kappa"] is None else f"{pair['kappa']:.2f}"
        both = " and ".join(pair["people"])
        st.caption(escape(f"{both} answered {pair['doubts']} doubts in common; Cohen's kappa {kappa}."))
    if found.problems:
        with st.expander(f"{len(found.problems)} corrections do not apply to these tracks"):
            for problem in found.problems:
                st.caption(escape(problem))


def draw_next(folder: Path) -> None:
    """Draw what can be done with corrections: track anew, learn from them, export."""
    again, teach, out = st.columns(3, gap="large")
    with again:
        st.subheader("Track again")
        st.caption("Tracking runs anew and keeps what people said; what no longer applies is listed.")
        if st.button("Track again with corrections", icon=":material/replay:"):
            with refusals():
                track_again(folder)
                st.toast("Queued; see Jobs.")
    with teach:
        st.subheader("Make training data")
        st.caption(
            "Outlines of frames in which birds were drawn, then of corrected and of watched ones go to the annotation "
            "of this video. What was drawn there stays."
        )
        most = int(st.number_input("Frames at most", 1, 10_000, 40))
        if st.button("Hand outlines back", icon=":material/model_training:"):
            with refusals():
                hand_back(folder, most)
                st.toast("Queued; see Jobs. Then make a training set on the page Annotation.")
        st.page_link(
            st.session_state["pages"]["annotation"],
            label="Then make a training set: Annotation",
            icon=":material/brush:",
        )
    with out:
        st.subheader("Export")
        chosen = st.multiselect("Formats", list(FORMATS), ["csv"], format_func=lambda name: FORMATS[name].words)
        if st.button("Export corrected tracks", icon=":material/download:", disabled=not chosen):
            with refusals():
                export(folder, chosen)
                st.toast("Queued; see Jobs.")
        st.caption(escape(f"Files go to {folder / 'exports'}"))


def page() -> None:
    """Draw the page."""
    title("correct")
    record = choose_video()
    if record is None:
        return
    runs = tracked_runs(project(), record.slug)
    if not runs:
        st.info("This video has no tracks yet.", icon=":material/timeline:")
        draw_import(record)
        return
    folder = st.selectbox("Tracks", runs, format_func=lambda path: path.name)
    live(lambda: draw_board(folder), busy=board_job(folder) is not None)
    draw_proxy(record)
    with refusals():
        draw_review(review(str(folder), written(folder)))
    draw_next(folder)
    draw_import(record)


page()
