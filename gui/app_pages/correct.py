"""Correct mistakes: the board, the progress of the review, and the use of corrections."""

from pathlib import Path

import pandas as pd
import streamlit as st

from backend.tracking.io.export import FORMATS
from board.summary import Review, log_of, review_of, tracked_runs
from gui.widgets.context import project, refusals, title
from gui.widgets.correct_jobs import board_job, export, hand_back, start_board, track_again
from gui.widgets.import_tracks import draw_import
from gui.widgets.job_view import escape
from gui.widgets.live import live
from gui.widgets.proxy_video import draw_proxy
from gui.widgets.service_view import show_service
from gui.widgets.video_choice import choose_video


@st.cache_data(max_entries=20, show_spinner="Reading the corrections")
def review(folder: str, written: tuple[int, int]) -> Review:
    """Return the review of a run; ``written`` keeps the cache true while corrections are made."""
    return review_of(project(), Path(folder))


def written(folder: Path) -> tuple[int, int]:
    """Return size and time of the corrections log, which change with every correction."""
    log = log_of(folder)
    return (log.stat().st_size, log.stat().st_mtime_ns) if log.exists() else (0, 0)


def draw_board(folder: Path) -> bool:
    """Draw the board's buttons: start, link once it is ready, stop; return whether it is running."""
    job = board_job(folder)
    if job is None:
        if st.button("Start board", type="primary", icon=":material/rule:"):
            with refusals():
                start_board(folder)
                st.rerun()
        return False
    show_service(job, "board", "Stop board")
    return True


def draw_review(found: Review) -> None:
    """Draw the progress of the review, the audited error, and the agreement of reviewers."""
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
        rows = [{"reviewer": name, "doubts answered": n} for name, n in people["answered"].items()]
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="content")
    for pair in people["pairs"]:
        kappa = "not defined" if pair["kappa"] is None else f"{pair['kappa']:.2f}"
        both = " and ".join(pair["people"])
        st.caption(escape(f"{both} both answered {pair['doubts']} doubts; Cohen's kappa {kappa}."))
    if found.problems:
        with st.expander(f"{len(found.problems)} corrections do not apply to these tracks"):
            for problem in found.problems:
                st.caption(escape(problem))


def draw_next(folder: Path) -> None:
    """Draw the uses of corrections: tracking again, training data, export."""
    again, teach, out = st.columns(3, gap="large")
    with again:
        st.subheader("Track again")
        st.caption("Tracks the same detections again and keeps all corrections. Those that no longer apply are listed.")
        if st.button("Track again with corrections", icon=":material/replay:"):
            with refusals():
                track_again(folder)
                st.toast("Queued. See Jobs.")
    with teach:
        st.subheader("Make training data")
        st.caption(
            "Adds outlines from drawn, corrected and watched frames to the annotation of this video. "
            "Outlines drawn there are kept."
        )
        most = int(st.number_input("Maximum number of frames", 1, 10_000, 40))
        if st.button("Add outlines to annotation", icon=":material/model_training:"):
            with refusals():
                hand_back(folder, most)
                st.toast("Queued. See Jobs, then create a training set on the Annotation page.")
        st.page_link(
            st.session_state["pages"]["annotation"],
            label="Next: create a training set",
            icon=":material/brush:",
        )
    with out:
        st.subheader("Export")
        chosen = st.multiselect("Formats", list(FORMATS), ["csv"], format_func=lambda name: FORMATS[name].words)
        if st.button("Export corrected tracks", icon=":material/download:", disabled=not chosen):
            with refusals():
                export(folder, chosen)
                st.toast("Queued. See Jobs.")
        st.caption(escape(f"Saved on the server in {folder / 'exports'}"))


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
