"""Videos: add them by choosing files on the server, see what they are, give them camera and start time."""

from pathlib import Path

import streamlit as st

from backend.project.disk import as_bytes
from backend.project.errors import InputError
from backend.video.library import VideoRecord, add_video, list_videos, thumbnail
from gui.widgets.context import project, settings, title
from gui.widgets.file_picker import pick_files
from gui.widgets.formatting import duration, moment
from gui.widgets.job_view import escape
from gui.widgets.video_dialogs import edit, remove, remux_button, repair


def add() -> None:
    """Draw the picker and add what was chosen."""
    with st.expander("Add videos", icon=":material/add:", expanded=not list_videos(project())):
        st.caption("Videos stay where they are; Lektrack links to them. Settings list the folders shown here.")
        chosen = pick_files("add_videos", "video", "Add videos")
    if not chosen:
        return
    added, refused = [], []
    with st.spinner("Reading videos"):
        for path in chosen:
            try:
                added.append(add_video(project(), path, settings().roots))
            except InputError as error:
                refused.append(str(error))
    st.session_state["videos_added"] = (added, refused)
    st.rerun()


def show_added() -> None:
    """Report once which videos were added and which were refused."""
    added, refused = st.session_state.pop("videos_added", ((), ()))
    if added:
        st.success(f"Added {', '.join(added)}.", icon=":material/check_circle:")
    for line in refused:
        st.error(line, icon=":material/error:")


def facts(record: VideoRecord) -> str:
    """Return size, rate, length and codec in one line."""
    info = record.info
    width, height = info.size
    words = [
        f"{width} x {height}",
        f"{round(info.fps, 2):g} frames/s",
        f"{info.n_frames} frames",
        duration(info.duration_s),
        info.codec,
    ]
    words.append(as_bytes(record.identity["size"]))
    return " · ".join(words)


def show(record: VideoRecord) -> None:
    """Draw one video."""
    with st.container(border=True):
        picture, words, buttons = st.columns([0.24, 0.52, 0.24])
        if record.problem:
            picture.markdown(":material/broken_image: :red-badge[broken]")
        else:
            picture.image(str(thumbnail(project(), record.slug, 0, 480)), width="stretch")
        words.markdown(
            f"**{escape(record.name)}**" + (f" &nbsp; :gray-badge[{record.slug}]" if record.slug != record.name else "")
        )
        if record.problem:
            words.error(record.problem)
        if record.info is not None:
            words.caption(facts(record))
            for warning in record.info.warnings:
                words.warning(warning)
        camera = escape(record.camera or "camera not set")
        words.caption(f":material/photo_camera: {camera} · :material/schedule: {start_of(record)}")
        words.caption(f":material/link: {escape(Path(record.path).name)}", help=record.path)
        with buttons:
            show_buttons(record)


def show_buttons(record: VideoRecord) -> None:
    """Draw the buttons of one video."""
    if st.button("Edit", key=f"edit-{record.slug}", icon=":material/edit:", width="stretch"):
        edit(record)
    if record.problem and st.button("Repair", key=f"repair-{record.slug}", icon=":material/build:", width="stretch"):
        repair(record)
    if record.info is not None and record.info.remux_advised:
        remux_button(record)
    if st.button("Remove", key=f"remove-{record.slug}", icon=":material/delete:", width="stretch"):
        remove(record)


def start_of(record: VideoRecord) -> str:
    """Return the start time in words."""
    return f"started {moment(record.start_time, settings().time_zone)}" if record.start_time else "start time not set"


title("videos")
add()
show_added()
for record in list_videos(project()):
    show(record)
