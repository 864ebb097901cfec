"""Import of tracks that another program made from a video."""

import streamlit as st

from backend.video.library import VideoRecord
from gui.widgets.context import refusals
from gui.widgets.correct_jobs import import_tracks
from gui.widgets.file_picker import pick_files


def draw_import(record: VideoRecord) -> None:
    """Draw the import of tracks that another program made from this video."""
    with st.expander("Import tracks", icon=":material/input:"):
        st.caption(
            "MOT text (.txt), SLEAP labels (.slp) or SLEAP analysis files (.h5) of this video. "
            "Imported tracks can be reviewed, corrected and analysed like all others."
        )
        for path in pick_files(f"import-tracks-{record.slug}", "tracks", "Import this file", several=False):
            with refusals():
                import_tracks(record, path)
                st.toast("Queued. The tracks appear here when the job is done.")
