"""The video frame at a point of a plot: a time slider, the picture with zones and birds."""

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from backend.tracking.tracks.track_folder import open_tracks
from backend.tracking.tracks.tracks import Tracks
from backend.video.library import get_video
from backend.zones.frame_at import birds_at, birds_of_tracks, draw_frame_at, zones_used
from backend.zones.statistics_library import StatisticsRun
from gui.widgets.context import project, refusals
from gui.widgets.formatting import duration
from gui.widgets.statistics_tables import table_of

WIDTH_PX = 1280


@st.cache_resource(max_entries=3, show_spinner=False)
def tracks_of(folder: str, corrections: str) -> Tracks:
    """Return tracks with corrections; ``corrections`` is the checksum of their log."""
    return open_tracks(Path(folder))


def show_frame(run: StatisticsRun, point: tuple[str, float] | None) -> None:
    """Draw slider and picture; a newly clicked ``point`` (video, time in s) moves the slider."""
    video, time_s = point
    facts = table_of(run, "videos").set_index("video").loc[video]
    source = next(each for each in run.manifest.inputs["runs"] if each["video"] == video)
    st.subheader("Video frame")
    key = f"behind-{run.folder.name}-{video}"
    if st.session_state.get(f"{key}-point") != time_s:
        st.session_state[f"{key}-point"] = st.session_state[key] = float(time_s)
    first, last = float(facts["from_s"]), float(facts["to_s"])
    st.session_state[key] = min(max(st.session_state[key], first), last)
    asked = st.slider("Time in the video, s", first, last, key=key, step=1 / float(facts["frame_rate"]), format="%.2f")
    with refusals():
        get_video(project(), video)  # says so where the project has it no more
        frame, birds = _birds(run, source, facts["source"] == "tracks", asked)
        picture = draw_frame_at(project(), video, frame, zones_used(source), birds, WIDTH_PX)
        left, right = st.columns([0.7, 0.3])
        left.image(picture, caption=f"{video}, frame {frame}, {duration(asked)}")
        if birds:
            right.dataframe(pd.DataFrame([bird[:2] for bird in birds], columns=["bird", "state"]), hide_index=True)


def _birds(run: StatisticsRun, source: dict[str, Any], tracked: bool, time_s: float) -> tuple[int, list]:
    if tracked:
        return birds_of_tracks(tracks_of(source["folder"], str(source["corrections_sha256"])), time_s)
    return birds_at(Path(source["folder"]), False, time_s, run.manifest.settings["score"])
