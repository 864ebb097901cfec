"""Zones: draw the areas of the lek on a picture of the camera, set the scale, keep every version."""

import streamlit as st

from backend.project.errors import InputError
from backend.video.library import VideoRecord
from backend.zones.background_image import frame_jpeg, median_jpeg
from backend.zones.video_zones import path_to_save_for, zones_of_video
from backend.zones.zone_file import Zones, overlapping_pairs, read_zones, save_zones
from gui.widgets.context import project, refusals, title
from gui.widgets.zone_editor import Edited, edit_zones
from gui.widgets.zone_files import cameras_of, show_files

FRAME, MEDIAN = "Video frame", "Median (no birds)"


def choose_picture() -> tuple[str, VideoRecord, bytes, str] | None:
    """Let the user choose camera, video and what to draw on; return them with the JPEG and its name.

    None, and what to do, where there is no video.
    """
    cameras = cameras_of(project())
    if not cameras:
        st.info("Add a video first: zones are drawn on one of its frames.", icon=":material/video_library:")
        st.page_link(st.session_state["pages"]["videos"], label="Go to Videos", icon=":material/video_library:")
        return None
    columns = st.columns([0.2, 0.2, 0.43, 0.17])
    names, asked = list(cameras), st.query_params.get("video")
    first = next((k for k, name in enumerate(names) if asked in [record.slug for record in cameras[name]]), 0)
    camera = columns[0].selectbox("Camera", names, first, help="All videos from a camera share its zones.")
    record = columns[1].selectbox("Video", cameras[camera], format_func=lambda video: video.name)
    kind = columns[2].segmented_control("Background", [FRAME, MEDIAN], default=FRAME, key="zone-picture") or FRAME
    if kind == MEDIAN:
        with st.spinner("Computing the median of nine frames"):
            return camera, record, median_jpeg(project(), record.slug), f"{record.slug}:median"
    last = record.info.n_frames - 1
    frame = int(columns[3].number_input("Frame", 0, last, last // 2, key=f"zone-frame-{record.slug}"))
    return camera, record, frame_jpeg(project(), record.slug, frame), f"{record.slug}:{frame}"


def saved_zones(camera: str, record: VideoRecord) -> Zones:
    """Return what is saved for a camera; no zones where there is no file."""
    path = zones_of_video(project(), record)
    zones = read_zones(path) if path.exists() else Zones(image_size=tuple(record.info.size))
    if tuple(zones.image_size) != tuple(record.info.size):
        raise InputError(
            f"the zones of {camera} are for {zones.image_size[0]}x{zones.image_size[1]} px, {record.name} has "
            f"{record.info.size[0]}x{record.info.size[1]}; give this video a camera of its own (Videos page)"
        )
    return zones


def save(camera: str, record: VideoRecord, edited: Edited) -> None:
    """Save what the editor sent, and load it anew."""
    saved = save_zones(path_to_save_for(project(), record), edited.to_save, edited.based_on, edited.repair)
    st.session_state["zones-notice"] = f"Saved as version {saved.version}."
    st.session_state["zones-saved"] = f"{camera}:{saved.version}"
    st.rerun()


def show_overlaps(zones: Zones) -> None:
    """Show which zones overlap. That is allowed, but their times then do not add up."""
    pairs = overlapping_pairs(zones)
    if pairs:
        words = "; ".join(f"{a} and {b} ({share:.0%} of the smaller one)" for a, b, share in pairs[:6])
        more = f" and {len(pairs) - 6} more" if len(pairs) > 6 else ""
        st.info(f"These zones overlap: {words}{more}. A bird there counts in both.", icon=":material/join_inner:")


title("zones")
if notice := st.session_state.pop("zones-notice", None):
    st.toast(notice, icon=":material/check:")
with refusals():
    if (chosen := choose_picture()) is not None:
        camera, record, picture, picture_id = chosen
        zones = saved_zones(camera, record)
        with refusals():
            loaded, saved = f"{camera}:{zones.version}", st.session_state.get("zones-saved")
            edited = edit_zones("zone-editor", zones, picture, picture_id, loaded, saved)
            if edited.to_save is not None:
                save(camera, record, edited)
            show_overlaps(zones)
            show_files(record, zones, edited.changed)
