"""The result of tracking: expected error, a lane for each bird, counts, trails, and the doubts."""

from pathlib import Path

import altair as alt
import pandas as pd
import streamlit as st

from backend.tracking.review.views import (
    TrackRun,
    counts,
    doubt_rows,
    lanes,
    list_track_runs,
    picture_of,
    read_summary,
    worth_removing,
)
from backend.tracking.tracks.edits import active_edits, read_log
from backend.tracking.tracks.track_folder import open_tracks
from backend.video.library import VideoRecord, index_cache
from backend.zones.zone_file import Zones
from board.load_board import zones_of
from board.summary import log_of
from gui.steps import BY_KEY
from gui.widgets.context import project, refusals
from gui.widgets.correct_jobs import track_again

STATES = ["seen", "interpolated", "lost"]
COLOURS = ["#2a9d8f", "#e9c46a", "#b8b8b8"]
WIDTH = 1280


def show_tracks(record: VideoRecord) -> None:
    """Draw one of the finished runs of a video."""
    runs = [run for run in list_track_runs(project(), record.slug) if run.complete]
    if not runs:
        st.info("No tracks for this video yet. Start under New.", icon=":material/timeline:")
        return
    run = st.selectbox("Tracks", runs, format_func=lambda run: run.name)
    key = (str(run.folder), run.started.isoformat())
    with refusals():
        zones = zones_of(project(), record.slug)
        rows = doubts(*key, None if zones is None else zones.version, zones)
        with refusals():
            show_expected_error(run, rows)
            show_corrections(run)
        tracks = opened(*key)
        if not len(tracks):
            show_no_tracks()
            return
        if tracks.names:
            show_lanes(run, key, rows)
        pictures, table = st.columns([0.42, 0.58])
        with table:
            chosen = show_doubts(rows)
        with pictures:
            show_frame(record, key, chosen)


def show_expected_error(run: TrackRun, rows: list[dict]) -> None:
    """Show number of birds, expected error and what reviewing would gain, with a link to Correct mistakes."""
    facts = read_summary(run.folder)
    most = worth_removing([row["cost_s"] for row in rows])
    error = facts["expected_error"]
    percent = "not known" if error is None else f"{100 * error:.1f} % of bird-time"
    words = f"**{facts['birds']} birds. Expected identity error {percent}"
    words += f"; {most} of {len(rows)} doubts cause most of it.**" if most else "; no doubts.**"
    text, button = st.columns([0.75, 0.25], vertical_alignment="center")
    text.markdown(words)
    if not facts["described"]:
        text.warning("Appearance was not learnt: identities rely on motion alone.")
    for problem in facts["corrections_that_do_not_apply"]:
        text.warning(f"A correction does not apply to these tracks: {problem}")
    step = BY_KEY["correct"]
    with button:
        st.page_link(st.session_state["pages"]["correct"], label=step.title, icon=step.icon)


def show_corrections(run: TrackRun) -> None:
    """Show how many corrections these detections have, and offer to track again with them."""
    log = read_log(log_of(run.folder))
    made = len(active_edits(log))
    if not made:
        return
    used = read_summary(run.folder).get("corrections") == len(log)
    words = "1 correction" if made == 1 else f"{made} corrections"
    words += " of these detections, " + ("all" if used else "not all") + " used by this tracking. "
    text, button = st.columns([0.75, 0.25], vertical_alignment="center")
    text.info(words + "This page shows the automatic tracks; the board, statistics and exports apply corrections.")
    if button.button("Track again with corrections", icon=":material/replay:", width="stretch"):
        with refusals():
            track_again(run.folder)
            st.toast("Queued. See New.")


def show_no_tracks() -> None:
    """Say that no bird was tracked, and the usual reasons."""
    words = (
        "No bird was tracked. Usually there are no detections, all scores are low, or each lasts a few frames only. "
    )
    st.warning(words + "Check the results on the Inference page, or the imported file.")


def show_lanes(run: TrackRun, key: tuple[str, str], rows: list[dict]) -> None:
    """Draw identities over time with doubts, and the number of visible birds against the known number."""
    table, seen = lanes_and_counts(*key)
    order = sorted(table["bird"].unique())
    time = alt.X("from_s:Q", title="time, s")
    bird = alt.Y("bird:N", sort=order, title=None, axis=alt.Axis(labelOverlap=False))
    colour = alt.Color("state:N", scale=alt.Scale(domain=STATES, range=COLOURS), title=None)
    bars = alt.Chart(table).mark_bar(height=10).encode(x=time, x2="to_s:Q", y=bird, color=colour)
    marks = [{"at_s": row["at_s"], "bird": name} for row in rows for name in row["birds"] if name in order]
    layers = [bars]
    if marks:
        points = alt.Chart(pd.DataFrame(marks)).mark_point(shape="diamond", filled=True, size=40, color="#d1495b")
        layers.append(points.encode(x="at_s:Q", y=alt.Y("bird:N", sort=order), tooltip=["bird", "at_s"]))
    st.altair_chart(alt.layer(*layers).properties(height=18 * len(order) + 70), width="stretch")
    if marks:
        st.caption("Red diamonds mark doubts.")
    line = (
        alt.Chart(seen)
        .mark_line(color=COLOURS[0])
        .encode(x=alt.X("time, s:Q"), y=alt.Y("birds visible:Q", axis=alt.Axis(tickMinStep=1)))
    )
    if run.n_birds is not None:
        known = alt.Chart(pd.DataFrame({"y": [run.n_birds]})).mark_rule(strokeDash=[4, 4], color="#d1495b")
        line = line + known.encode(y=alt.Y("y:Q", title="birds visible"))
    st.altair_chart(line.properties(height=180), width="stretch")
    if run.n_birds is not None:
        st.caption(f"Birds visible at once. Dashed line: the known number, {run.n_birds}.")


def show_doubts(rows: list[dict]) -> dict | None:
    """Draw the doubts, largest effect first; return the selected one."""
    st.subheader(f"Doubts ({len(rows)})")
    if not rows:
        st.caption("Nothing to review.")
        return None
    table = pd.DataFrame(
        {
            "reason": [row["kind"].replace("_", " ") for row in rows],
            "birds": [", ".join(row["birds"]) for row in rows],
            "time, s": [round(row["at_s"], 1) for row in rows],
            "error, %": [round(100 * row["p_error"]) for row in rows],
            "duration, s": [round(row["lasts_s"], 1) for row in rows],
            "effect, s": [round(row["cost_s"], 1) for row in rows],
        }
    )
    st.caption("Effect: expected bird-time assigned to a wrong zone (without zones: to a wrong bird).")
    picked = st.dataframe(table, hide_index=True, height=420, on_select="rerun", selection_mode="single-row")
    selected = picked.selection.rows
    return rows[selected[0]] if selected else rows[0]


def show_frame(record: VideoRecord, key: tuple[str, str], doubt: dict | None) -> None:
    """Draw the selected doubt before and after, or any frame with all trails."""
    st.subheader("Trails")
    tracks = opened(*key)
    first, last = int(tracks.frames[0]), int(tracks.frames[-1])
    index = index_cache(project())
    if doubt is not None and st.toggle("Show the selected doubt", value=True):
        only = tuple(doubt["tracks"])
        for when, frame in (("before", doubt["from_frame"]), ("after", doubt["to_frame"])):
            frame = min(frame, last)
            st.image(drawn(*key, record.path, str(index), frame, only), caption=f"{when}, frame {frame}")
        return
    frame = int(st.number_input(f"Frame, {first} to {last}", first, last, first, key=f"trail-{key[0]}"))
    st.image(drawn(*key, record.path, str(index), frame, ()), caption=f"frame {frame}, trails of the last 5 s")


@st.cache_resource(max_entries=2, show_spinner="Opening tracks")
def opened(folder: str, started: str):
    """Return the tracks of a run, corrections applied at the time of opening left out."""
    return open_tracks(Path(folder), corrections=False)


@st.cache_data(max_entries=4, show_spinner=False)
def doubts(folder: str, started: str, version: int | None, _zones: Zones | None) -> list[dict]:
    """Return `doubt_rows`; ``version`` is that of the zones."""
    return doubt_rows(Path(folder), opened(folder, started), _zones)


@st.cache_data(max_entries=4, show_spinner=False)
def lanes_and_counts(folder: str, started: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return lanes and counts as tables."""
    tracks = opened(folder, started)
    times, birds = counts(tracks)
    return pd.DataFrame([vars(lane) for lane in lanes(tracks)]), pd.DataFrame(
        {"time, s": times, "birds visible": birds}
    )


@st.cache_data(max_entries=100, show_spinner=False)
def drawn(folder: str, started: str, video: str, index: str, frame: int, only: tuple[int, ...]) -> bytes:
    """Return a picture with trails."""
    return picture_of(opened(folder, started), Path(video), Path(index), frame, only, WIDTH)
