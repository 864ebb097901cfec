"""The way in for tracks that another program made of a video."""

import streamlit as st

from backend.video.library import VideoRecord
from gui.widgets.context import refusals
from gui.widgets.correct_jobs import import_tracks
from gui.widgets.file_picker import pick_files


def draw_import(record: VideoRecord) -> None:
    """Draw the way in for tracks that another program made of this video."""
    with st.expander("Tracks made elsewhere", icon=":material/input:"):
        st.caption(
            "MOT text (.txt), SLEAP labels (.slp) or SLEAP's analysis file (.h5) of this very video become tracks like "
            "any other, with boxes and names: review them, correct them, count them."
        )
        for path in pick_files(f"import-tracks-{record.slug}", "tracks", "Import this file", several=False):
            with refusals():
                import_tracks(record, path)
                st.toast("Queued; the tracks can be chosen here when the job is done.")
