"""The results of a run: any frame with its detections, counts over time, and frames with unusual counts."""

from pathlib import Path

import pandas as pd
import streamlit as st

from backend.detectors.score_threshold import SHOWN_SCORE
from backend.pipeline.detections import open_detections
from backend.pipeline.inference_runs import RunRecord, counts_over_time, list_runs, unusual_frames
from backend.video.library import VideoRecord
from gui.widgets.context import project, refusals
from gui.widgets.inference_progress import picture

WIDTHS = {"small": 1280, "full": 8192}
POINTS = 2000  # of the curve: more cannot be told apart
BUTTONS = 10


def show_results(record: VideoRecord) -> None:
    """Draw the viewer for one of the runs on a video."""
    runs = [run for run in list_runs(project(), record.slug) if not run.problem]
    if not runs:
        st.info("No detections for this video yet.", icon=":material/frame_inspect:")
        return
    run = st.selectbox("Run", runs, format_func=lambda run: run.name + ("" if run.complete else " (not finished)"))
    shown, controls = st.columns([0.62, 0.38], gap="large")
    with refusals():
        with controls:
            score = st.slider("Minimum score", 0.0, 1.0, SHOWN_SCORE, 0.05, key=f"score-{run.folder}")
            table = counts(str(run.folder), score, _age(run))
            if table.empty:
                st.caption("No results yet.")
                return
            frame = choose_frame(run, score, table)
            size = WIDTHS[st.segmented_control("Image size", list(WIDTHS), default="small") or "small"]
        shown.image(picture(str(run.folder), record.slug, frame, score, size), caption=f"frame {frame}")


def choose_frame(run: RunRecord, score: float, table: pd.DataFrame) -> int:
    """Draw the curve and let the user go to a frame by number, or to one with an unusual count."""
    thin = table.iloc[:: -(-len(table) // POINTS)]
    st.line_chart(thin, x="time, s", y="birds", height=220)
    key = f"frame-{run.folder}"
    st.session_state.setdefault(key, int(table["frame"].iloc[0]))
    odd = unusual(str(run.folder), score, _age(run))
    if odd:
        st.caption("Frames with an unusual count:")
        with st.container(horizontal=True):
            for number in odd[:BUTTONS]:
                if st.button(str(number), key=f"odd-{number}-{run.folder}"):
                    st.session_state[key] = number
    first, last = int(table["frame"].iloc[0]), int(table["frame"].iloc[-1])
    asked = int(st.number_input(f"Frame, {first} to {last}", first, last, key=key))
    index = int(table["frame"].searchsorted(asked, side="right")) - 1
    row = table.iloc[max(0, index)]
    birds = int(row["birds"])
    st.caption(f"{birds} bird{'' if birds == 1 else 's'} at {row['time, s']:.2f} s")
    return int(row["frame"])


@st.cache_data(max_entries=50, show_spinner=False)
def counts(folder: str, score: float, age: int) -> pd.DataFrame:
    """Return frame, time and number of birds; ``age`` keeps the cache true while the run goes on."""
    seen = counts_over_time(open_detections(Path(folder)), score)
    return pd.DataFrame({"frame": seen.frame, "time, s": seen.time_s, "birds": seen.n})


@st.cache_data(max_entries=50, show_spinner=False)
def unusual(folder: str, score: float, age: int) -> list[int]:
    """Return the frames with unusual counts; see `counts`."""
    return unusual_frames(counts_over_time(open_detections(Path(folder)), score))


def _age(run: RunRecord) -> int:
    return len(open_detections(run.folder).chunks)
