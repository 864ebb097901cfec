"""What one does to a single video: edit, look again, find it again, remux, remove."""

from datetime import datetime
from zoneinfo import ZoneInfo

import streamlit as st

from backend.jobs import JobSpec
from backend.project.errors import InputError
from backend.video.library import VideoRecord, check_video, relink_video, remove_video, update_video
from gui.widgets.context import active_jobs, project, refusals, settings, submit
from gui.widgets.file_picker import pick_files
from gui.widgets.job_view import escape


@st.dialog("Edit video")
def edit(record: VideoRecord) -> None:
    """Change camera and start time."""
    zone = ZoneInfo(settings().time_zone)
    local = record.start_time.astimezone(zone) if record.start_time else None
    camera = st.text_input("Camera", record.camera, help="Videos of one camera share their zones.")
    day = st.date_input("Day it was filmed", local.date() if local else None)
    clock = st.text_input(
        f"Time of the first frame ({settings().time_zone})",
        local.strftime("%H:%M:%S") if local else "",
        placeholder="05:30:00",
    )
    if st.button("Save", type="primary"):
        with refusals():
            start = start_time(day, clock, zone) if day or clock.strip() else None
            update_video(project(), record.slug, camera=camera, start_time=start)
            st.rerun()


def start_time(day: object, clock: str, zone: ZoneInfo) -> datetime:
    """Join day and clock, or raise InputError with what is allowed."""
    try:
        return datetime.fromisoformat(f"{day} {clock.strip()}").replace(tzinfo=zone)
    except ValueError as error:
        raise InputError(
            f"start time {clock!r} on {day} is not a time; enter a day and a time such as 05:30:00"
        ) from error


@st.dialog("Remove video")
def remove(record: VideoRecord) -> None:
    """Take a video out of the project after asking."""
    st.write(
        f"Take **{escape(record.name)}** out of the project? The file and everything made from it stay on the disk."
    )
    busy = active_jobs(video=record.slug)
    if busy:
        st.warning(f"{len(busy)} job(s) work on this video. Stop them first.")
    if st.button("Remove", type="primary", disabled=bool(busy)):
        with refusals():
            remove_video(project(), record.slug)
            st.rerun()


@st.dialog("Repair video", width="large")
def repair(record: VideoRecord) -> None:
    """Look at a broken video again, or find its file in another place."""
    st.error(record.problem)
    if st.button("Look at the file again", icon=":material/refresh:"):
        with refusals():
            check_video(project(), record.slug)
            st.rerun()
    st.caption("Was the file moved or renamed? Show its new place; it must be the very same video.")
    for path in pick_files(f"relink-{record.slug}", "video", "This is the file", several=False):
        with refusals():
            relink_video(project(), record.slug, path, settings().roots)
            st.rerun()


def remux_button(record: VideoRecord) -> None:
    """Offer a copy in a better container for a transport stream."""
    busy = active_jobs("remux", record.slug)
    if st.button("Remux", key=f"remux-{record.slug}", icon=":material/movie:", width="stretch", disabled=bool(busy)):
        with refusals():
            command = ("-m", "backend.remux", "--video", record.slug, "--project", str(project().root))
            submit(
                JobSpec(
                    kind="remux",
                    title=f"Remux {record.name}",
                    command=command,
                    project=project().root,
                    videos=(record.slug,),
                )
            )
            st.rerun()
