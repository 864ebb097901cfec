"""Choosing a video of the project, on every page that works on one."""

import streamlit as st

from backend.video.library import VideoRecord, list_videos
from gui.widgets.context import project


def choose_video() -> VideoRecord | None:
    """Let the user choose a readable video; show what to do, and return None, if there is none.

    A link that carries ``?video=SLUG`` (as those of Home do) opens the page with that video.
    """
    records = [record for record in list_videos(project()) if not record.problem]
    if not records:
        st.info("Add a video first.", icon=":material/video_library:")
        st.page_link(st.session_state["pages"]["videos"], label="Go to Videos", icon=":material/video_library:")
        return None
    preselected = next(
        (index for index, record in enumerate(records) if record.slug == st.query_params.get("video")), 0
    )
    chosen = st.selectbox(
        "Video",
        range(len(records)),
        preselected,
        format_func=lambda index: f"{records[index].name} ({records[index].info.n_frames} frames)",
    )
    return records[chosen]
