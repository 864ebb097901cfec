"""Dialogs for a single video: edit, check again, link to its new folder, remux, remove."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import streamlit as st

from backend.jobs import JobSpec
from backend.project.errors import InputError
from backend.video.library import VideoRecord, check_video, relink_video, remove_video, update_video
from backend.zones.video_zones import camera_of, change_camera, zones_of_video
from gui.widgets.context import active_jobs, project, refusals, settings, submit
from gui.widgets.file_picker import pick_files
from gui.widgets.job_view import escape


@st.dialog("Edit video")
def edit(record: VideoRecord) -> None:
    """Change camera and start time."""
    zone = ZoneInfo(settings().time_zone)
    local = record.start_time.astimezone(zone) if record.start_time else None
    camera = st.text_input("Camera", record.camera, help="Videos from the same camera share zones.")
    keep_zones = zones_of_video(project(), record).exists() and st.checkbox(
        f"Keep the zones of {escape(camera_of(record))}",
        value=True,
        help="A new camera name gets a copy of them, with all versions. A camera that has zones keeps its own.",
    )
    day = st.date_input("Recording date", local.date() if local else None)
    clock = st.text_input(
        f"Time of the first frame ({settings().time_zone})",
        shown_time(local) if local else "",
        placeholder="05:30:00",
        help="A time of another zone needs its offset, such as 05:30:00+09:00.",
    )
    if st.button("Save", type="primary"):
        with refusals():
            start = start_time(day, clock, zone) if day or clock.strip() else None
            change_camera(project(), record.slug, camera, keep_zones)
            update_video(project(), record.slug, start_time=start)
            st.rerun()


def start_time(day: object, clock: str, zone: ZoneInfo) -> datetime:
    """Join day and clock; a time without an offset is one of ``zone``.

    Raises
    ------
    InputError
        In one line, if that is no time, or one that the zone's clocks left out or showed twice.
    """
    try:
        typed = datetime.fromisoformat(f"{day} {clock.strip()}")
    except ValueError as error:
        raise InputError(f"{clock!r} on {day} is not a start time; enter a date and a time such as 05:30:00") from error
    if typed.tzinfo is not None:
        return typed
    times = local_times(typed, zone)
    if not times:
        later = typed.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
        raise InputError(
            f"{clock.strip()} on {day} does not exist in {zone.key}: the clocks were put forward over it; "
            f"{shown_time(later)} is the time after that"
        )
    if len(times) > 1:
        choices = " or ".join(f"{clock.strip()}{_offset(time)}" for time in times)
        raise InputError(
            f"{clock.strip()} on {day} exists twice in {zone.key}: the clocks were put back; enter {choices}"
        )
    return times[0]


def local_times(typed: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the moments at which the clocks of ``zone`` show a date and time: one, none or two, earlier first."""
    moments = {typed.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    times = [moment.astimezone(zone) for moment in sorted(moments)]
    return [time for time in times if time.replace(tzinfo=None, fold=0) == typed]


def shown_time(local: datetime) -> str:
    """Return the time of day as it is typed: with its offset where the clocks show it twice."""
    clock = local.time().isoformat()
    twice = len(local_times(local.replace(tzinfo=None, fold=0), local.tzinfo)) > 1
    return clock + _offset(local) if twice else clock


def _offset(time: datetime) -> str:
    return time.isoformat()[-6:]


@st.dialog("Remove video")
def remove(record: VideoRecord) -> None:
    """Remove a video from the project after a confirmation."""
    st.write(f"Remove **{escape(record.name)}** from the project? The video file and all results stay on the disk.")
    busy = active_jobs(video=record.slug)
    if busy:
        st.warning(f"Jobs on this video are running or queued ({len(busy)}). Stop them first.")
    if st.button("Remove", type="primary", disabled=bool(busy)):
        with refusals():
            remove_video(project(), record.slug)
            st.rerun()


@st.dialog("Repair video", width="large")
def repair(record: VideoRecord) -> None:
    """Check a broken video again, or link to its file in another folder."""
    st.error(record.problem)
    if st.button("Check the file again", icon=":material/refresh:"):
        with refusals():
            check_video(project(), record.slug)
            st.rerun()
    st.caption("Was the file moved or renamed? Choose it in its new folder. It must be the same recording.")
    for path in pick_files(f"relink-{record.slug}", "video", "Use this file", several=False):
        with refusals():
            relink_video(project(), record.slug, path, settings().roots)
            st.rerun()


def remux_button(record: VideoRecord) -> None:
    """Offer a copy in a better container for a transport stream."""
    busy = active_jobs("remux", record.slug)
    words = "Copies the video, without loss, into a file that allows exact seeking."
    if st.button(
        "Remux", key=f"remux-{record.slug}", icon=":material/movie:", width="stretch", disabled=bool(busy), help=words
    ):
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
