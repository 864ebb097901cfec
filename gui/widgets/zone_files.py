"""What can be done with saved zones: copy to another camera, GeoJSON, earlier versions."""

import streamlit as st

from backend.project.paths import Project, slug
from backend.video.library import VideoRecord, list_videos
from backend.zones.geojson import from_geojson, scale_zones, to_geojson
from backend.zones.video_zones import camera_of, path_to_save_for, zones_of_video
from backend.zones.zone_file import (
    Zones,
    list_versions,
    merge_zones,
    read_version,
    read_zones,
    save_zones,
)
from gui.widgets.context import project, refusals


def cameras_of(project: Project) -> dict[str, list[VideoRecord]]:
    """Return the readable videos by camera; a video without a camera counts as its own camera."""
    cameras: dict[str, list[VideoRecord]] = {}
    for record in list_videos(project):
        if not record.problem and record.info:
            cameras.setdefault(camera_of(record), []).append(record)
    return cameras


def show_files(record: VideoRecord, zones: Zones, changed: bool) -> None:
    """Draw the three tools under the editor. They work on what is saved."""
    if changed:
        st.caption("Save your changes to copy, export or restore zones.")
        return
    copy, files, versions = st.columns(3, gap="large")
    with copy:
        _copy(camera_of(record), zones)
    with files:
        _files(record, zones)
    with versions:
        _versions(record, zones)


def _copy(camera: str, zones: Zones) -> None:
    st.subheader("Copy to another camera")
    others = {name: records for name, records in cameras_of(project()).items() if name != camera}
    if not others or not zones.zones:
        st.caption("No other camera yet." if not others else "No zones to copy yet.")
        return
    other = st.selectbox("To camera", list(others))
    st.caption("Zones are added to those of the other camera and scaled to its image size.")
    if st.button("Copy", icon=":material/content_copy:"):
        with refusals():
            path, size = path_to_save_for(project(), others[other][0]), tuple(others[other][0].info.size)
            present = read_zones(path) if path.exists() else Zones(image_size=size)
            saved = save_zones(
                path, merge_zones(present, scale_zones(zones.zones, zones.image_size, size)), present.version
            )
            st.success(f"{len(zones.zones)} zones copied to {other}, now version {saved.version}.")


def _files(record: VideoRecord, zones: Zones) -> None:
    camera = camera_of(record)
    st.subheader("GeoJSON")
    st.download_button(
        "Export", to_geojson(zones), f"{slug(camera)}.geojson", "application/geo+json", icon=":material/download:",
        disabled=not zones.zones,
    )  # fmt: skip
    given = st.file_uploader("Import", ["geojson", "json"], key=f"zones-{camera}-{zones.version}")
    if given is not None and st.button("Add these zones", icon=":material/upload:"):
        with refusals():
            imported = from_geojson(given.getvalue(), zones.image_size)
            whole = merge_zones(zones, imported.zones)
            if whole.scale is None and imported.scale is not None:
                whole = whole.model_copy(update={"scale": imported.scale})
            _save(record, whole, zones.version)


def _versions(record: VideoRecord, zones: Zones) -> None:
    st.subheader("Versions")
    path = zones_of_video(project(), record)
    earlier = [version for version in list_versions(path) if version != zones.version]
    if not earlier:
        st.caption("Every saved version is kept. Statistics record the version they used.")
        return
    version = st.selectbox("Version", earlier)
    if st.button("Restore this version", icon=":material/history:"):
        with refusals():
            _save(record, read_version(path, version), zones.version)


def _save(record: VideoRecord, zones: Zones, based_on: int) -> None:
    saved = save_zones(path_to_save_for(project(), record), zones, based_on)
    st.session_state["zones-notice"] = f"Saved as version {saved.version}."
    st.rerun()
