"""Home: the project at a glance."""

import streamlit as st

from backend.jobs.overview import StepState, VideoStep, video_steps
from backend.project.settings import state_folder
from backend.project.state_files import set_aside
from backend.video.library import VideoRecord, list_videos, thumbnail
from gui.steps import BY_KEY, STEPS
from gui.widgets.context import active_jobs, job_store, project, title
from gui.widgets.formatting import duration
from gui.widgets.job_view import escape, show_job
from gui.widgets.live import live
from gui.widgets.morning_report import show_morning

BADGES = {
    StepState.DONE: ("green", ":material/check_circle:"),
    StepState.RUNNING: ("blue", ":material/progress_activity:"),
    StepState.WAITING: ("gray", ":material/hourglass_empty:"),
    StepState.FAILED: ("red", ":material/error:"),
    StepState.NEXT: ("orange", ":material/arrow_forward:"),
    StepState.OPEN: ("gray", ":material/radio_button_unchecked:"),
}
OFFERED = {step.key for step in STEPS}


def badge(step: VideoStep) -> str:
    """Return one step as a Markdown badge."""
    color, icon = BADGES[step.state]
    words = {
        StepState.DONE: step.detail,
        StepState.OPEN: "",
        StepState.NEXT: "next",
        StepState.WAITING: "queued",
    }.get(step.state, step.state.value)
    return f":{color}-badge[{icon} {BY_KEY[step.key].title}{f': {words}' if words else ''}]"


def show_video(record: VideoRecord) -> None:
    """Draw one video with the steps of its work."""
    steps = video_steps(project(), record.slug, job_store().list(video=record.slug), OFFERED)
    with st.container(border=True):
        picture, words = st.columns([0.2, 0.8], vertical_alignment="center")
        if not record.problem:
            picture.image(str(thumbnail(project(), record.slug, 0, 320)), width="stretch")
        words.markdown(
            f"**{escape(record.name)}**" + (f" &nbsp; camera {escape(record.camera)}" if record.camera else "")
        )
        if record.problem:
            words.error(record.problem)
            return
        words.markdown(" ".join(badge(step) for step in steps))
        upcoming = next((step for step in steps if step.state is StepState.NEXT), None)
        if upcoming is not None:
            step = BY_KEY[upcoming.key]
            page = st.session_state["pages"][step.key]
            label = f"{step.title}: {step.purpose}"
            words.page_link(page, label=label, icon=step.icon, query_params={"video": record.slug})


def draw_jobs() -> bool:
    """Draw running and queued jobs; return whether there are any."""
    jobs = active_jobs()
    for job in jobs[:5]:
        show_job(job, "home", log=False)
    if len(jobs) > 5:
        st.caption(f"{len(jobs) - 5} more on the Jobs page.")
    if not jobs:
        st.caption("Nothing is running or queued.")
    return bool(jobs)


title("home")
for broken in set_aside(state_folder()):
    st.warning(f"{broken.name} was damaged and has been set aside. Please tell your administrator.")
records = list_videos(project())
first, second, third = st.columns(3)
first.metric("Videos", len(records))
second.metric("Total duration", duration(sum(record.info.duration_s for record in records if record.info)))
third.metric("Running and queued jobs", len(active_jobs()))

st.subheader("Now")
live(draw_jobs, busy=bool(active_jobs()))

show_morning()

st.subheader("Videos")
if not records:
    st.info("No videos yet. Add your first video.", icon=":material/video_library:")
    st.page_link(st.session_state["pages"]["videos"], label="Add videos", icon=":material/add:")
for record in records:
    show_video(record)
