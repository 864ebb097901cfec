"""Statistics: choose videos and settings; view tables and plots, and the video frame at any point."""

import streamlit as st

from backend.zones.report import METHODS, REPORT
from backend.zones.statistics_library import StatisticsRun, list_statistics
from gui.widgets.context import active_jobs, job_store, project, refusals, title
from gui.widgets.job_view import show_job
from gui.widgets.live import live
from gui.widgets.statistics_form import KIND, choose_runs, choose_settings, submit_statistics, told_number
from gui.widgets.statistics_frame import show_frame
from gui.widgets.statistics_plots import show_comparison, show_plots
from gui.widgets.statistics_tables import show_downloads, show_tables

NEW, RESULTS = "New", "Results"
VIEW, CHOSEN = "statistics-view", "statistics-run"
PLOTS, COMPARE, TABLES, FILES = "Plots", "Compare", "Tables", "Methods and files"


def new() -> None:
    """Draw the form, and the newest job beside it."""
    left, right = st.columns([0.65, 0.35], gap="large")
    with left:
        runs, tracked = choose_runs()
        if runs:
            name, options = choose_settings(tracked, told_number(runs) if tracked else 0)
            if st.button("Start", type="primary", icon=":material/bar_chart:"):
                with refusals():
                    submit_statistics(runs, tracked, name, options)
                    st.rerun()
    with right:
        live(newest_job, busy=bool(active_jobs(KIND)))


def newest_job() -> bool:
    """Draw the newest job and a button to its results; return whether it is running."""
    job = next(iter(job_store().list(kind=KIND, limit=1)), None)
    if job is None:
        st.caption("Jobs you start appear here.")
        return False
    show_job(job, "statistics")
    ready = job.state.is_over and job.output is not None and (job.output / REPORT).is_file()
    if ready and st.button("View results", icon=":material/query_stats:"):
        st.session_state["asked-statistics-view"] = RESULTS
        st.session_state["asked-statistics"] = job.output.name
        st.rerun(scope="app")
    return not job.state.is_over


def choose_result() -> StatisticsRun | None:
    """Let the user choose among finished statistics."""
    runs = {run.folder.name: run for run in list_statistics(project())}
    if not runs:
        st.info("No statistics yet. Start under New.", icon=":material/bar_chart:")
        return None
    asked = st.session_state.pop("asked-statistics", None)
    if asked in runs:
        st.session_state[CHOSEN] = asked
    return runs[st.selectbox("Statistics", list(runs), key=CHOSEN)]


def results() -> None:
    """Draw the chosen statistics."""
    left, right = st.columns([0.6, 0.4], vertical_alignment="bottom")
    with left:
        run = choose_result()
    if run is None:
        return
    with right:
        show_downloads(run)
    views = {PLOTS: plots, COMPARE: show_comparison, TABLES: show_tables, FILES: methods}
    shown = st.segmented_control("Show", list(views), default=PLOTS, label_visibility="collapsed") or PLOTS
    views[shown](run)


def plots(run: StatisticsRun) -> None:
    """Draw the plots and, below, the video frame at the selected point."""
    show_frame(run, show_plots(run))


def methods(run: StatisticsRun) -> None:
    """Show the methods text and where the files are."""
    st.markdown("Methods text for your paper, from the settings and software used:")
    st.code((run.folder / METHODS).read_text(), language=None, wrap_lines=True)
    st.caption(f"All files, with every plot as PNG and SVG, are on the server in {run.folder}")
    with st.expander("Inputs and checksums"):
        st.json(run.manifest.inputs)


title("statistics")
st.session_state[VIEW] = st.session_state.pop("asked-statistics-view", None) or st.session_state.get(VIEW) or NEW
view = st.segmented_control("View", [NEW, RESULTS], key=VIEW, label_visibility="collapsed")
with refusals():
    if view == RESULTS:
        results()
    else:
        new()
