"""A job as every page draws it: state, progress, the reason of a failure, log, stop, retry."""

import re
from datetime import UTC, datetime

import streamlit as st

from backend.jobs import Job, JobState
from gui.widgets.context import job_store, refusals, settings
from gui.widgets.formatting import ago, duration, moment

BADGES = {
    JobState.QUEUED: ("queued", "gray", ":material/hourglass_empty:"),
    JobState.STARTING: ("starting", "blue", ":material/play_circle:"),
    JobState.RUNNING: ("running", "blue", ":material/progress_activity:"),
    JobState.STOPPING: ("stopping", "orange", ":material/stop_circle:"),
    JobState.SUCCEEDED: ("done", "green", ":material/check_circle:"),
    JobState.FAILED: ("failed", "red", ":material/error:"),
    JobState.STOPPED: ("stopped", "gray", ":material/stop_circle:"),
    JobState.LOST: ("lost", "red", ":material/help:"),
}
RETRYABLE = (JobState.FAILED, JobState.STOPPED, JobState.LOST)
REFRESH_S = 1.5


def show_job(job: Job, where: str, log: bool = True) -> None:
    """Draw one job in a bordered box. ``where`` keeps widget keys of several views apart."""
    with st.container(border=True):
        head, buttons = st.columns([0.78, 0.22], vertical_alignment="center")
        with head:
            text, color, icon = BADGES[job.state]
            st.markdown(f"**{escape(job.title)}** &nbsp; :{color}-badge[{icon} {text}]")
            st.caption(" · ".join(facts(job)))
        with buttons:
            show_buttons(job, where)
        show_progress(job)
        if job.reason:
            (st.error if job.state in (JobState.FAILED, JobState.LOST) else st.info)(job.reason)
        if log:
            with st.expander("Log", icon=":material/description:"):
                text = job_store().log_tail(job.id, lines=60) or "The log is empty."
                st.code(text, language=None, height=260 if text.count("\n") > 10 else "content")


def show_buttons(job: Job, where: str) -> None:
    """Draw stop or retry, whichever the state allows."""
    key = f"{where}-{job.id}"
    if not job.state.is_over:
        if st.button(
            "Stop", key=f"stop-{key}", icon=":material/stop:", width="stretch", disabled=job.state is JobState.STOPPING
        ):
            with refusals():
                job_store().stop(job.id)
                st.rerun()
    elif (
        job.state in RETRYABLE
        and not job.service
        and st.button("Retry", key=f"retry-{key}", icon=":material/replay:", width="stretch")
    ):
        with refusals():
            job_store().retry(job.id)
            st.rerun()


def show_progress(job: Job) -> None:
    """Draw the progress bar of a running job with its rate and the time left."""
    if job.state not in (JobState.STARTING, JobState.RUNNING, JobState.STOPPING) or job.service:
        return
    progress = job_store().progress(job.id)
    if progress is None:
        st.progress(0.0, text="starting")
        return
    words = [progress.stage]
    if progress.total is not None:
        words.append(f"{progress.done} of {progress.total}")
    if progress.rate:
        words.append(f"{progress.rate:.1f} per second")
    if progress.eta_s is not None:
        words.append(f"{duration(progress.eta_s)} left")
    if progress.message:
        words.append(progress.message)
    st.progress(progress.share or 0.0, text=escape(" · ".join(words)))


def facts(job: Job) -> list[str]:
    """Return the facts under a job's title."""
    words = [f"job {job.id}", job.kind.replace("_", " ")]
    if job.user:
        words.append(escape(job.user))
    zone = settings().time_zone
    if job.started is None:
        words.append(f"submitted {moment(job.created, zone)}")
    else:
        words.append(f"started {moment(job.started, zone)}")
        end = job.ended or datetime.now(UTC)
        words.append(f"{'took' if job.ended else 'for'} {duration((end - job.started).total_seconds())}")
    if job.ended is not None:
        words.append(f"finished {ago(job.ended)}")
    if job.attempts > 1:
        words.append(f"attempt {job.attempts}")
    return words


SHORTCODE = re.compile(r":(?=[\w+-]+(/[\w+-]+)?:)")  # of an icon or emoji


def escape(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is (titles hold file names, messages hold anything).

    Streamlit draws ``:material/home:`` and ``:smile:`` as icons even where the colons are escaped; an invisible word
    joiner behind the first colon prevents that.
    """
    text = SHORTCODE.sub(":\u2060", text)
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()<>#+-!|~:$" else letter for letter in text)
