"""The result of tracking: what it is worth, lanes by bird, counts, trails, and the moments to look at."""

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
from backend.tracking.tracks.edits import active, read_log
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
        st.info("The birds of this video were not tracked yet. Begin with New.", icon=":material/timeline:")
        return
    run = st.selectbox("Tracks", runs, format_func=lambda run: run.name)
    key = (str(run.folder), run.started.isoformat())
    with refusals():
        zones = zones_of(project(), record.slug)
        rows = doubts(*key, None if zones is None else zones.version, zones)
        with refusals():
            show_worth(run, rows)
            show_corrections(run)
        tracks = opened(*key)
        if not len(tracks):
            show_nobody()
            return
        if tracks.names:
            show_lanes(run, key, rows)
        pictures, table = st.columns([0.5, 0.5], gap="large")
        with table:
            chosen = show_doubts(rows)
        with pictures:
            show_frame(record, key, chosen)


def show_worth(run: TrackRun, rows: list[dict]) -> None:
    """Say in plain words what the automatic result is worth, and where to go on."""
    facts = read_summary(run.folder)
    most = worth_removing([row["cost_s"] for row in rows])
    error = facts["expected_error"]
    known = "not known" if error is None else f"{100 * error:.1f} % of bird-time"
    words = f"**{facts['birds']} birds. Expected identity error {known}"
    words += f"; {most} of {len(rows)} doubts would remove most of it.**" if most else "; no doubts.**"
    text, button = st.columns([0.75, 0.25], vertical_alignment="center")
    text.markdown(words)
    if not facts["described"]:
        text.warning("Nothing is known of what the birds look like: identities go by motion alone.")
    for problem in facts["corrections_that_do_not_apply"]:
        text.warning(f"A correction does not apply to these tracks: {problem}")
    step = BY_KEY["correct"]
    with button:
        st.page_link(st.session_state["pages"]["correct"], label=step.title, icon=step.icon)


def show_corrections(run: TrackRun) -> None:
    """Say what people corrected in the birds of these detections, and offer to track again with it."""
    log = read_log(log_of(run.folder))
    made = len(active(log))
    if not made:
        return
    known = read_summary(run.folder).get("corrections") == len(log)
    words = "1 correction was made" if made == 1 else f"{made} corrections were made"
    words += " of these detections, " + ("all known to" if known else "not all known to") + " this tracking. "
    text, button = st.columns([0.75, 0.25], vertical_alignment="center")
    text.info(words + "This page shows what tracking found by itself; the board, statistics and exports correct it.")
    if button.button("Track again with corrections", icon=":material/replay:", width="stretch"):
        with refusals():
            track_again(run.folder)
            st.toast("Queued; see New.")


def show_nobody() -> None:
    """Say that no bird was followed, and why that is mostly so."""
    words = "No bird was followed. Mostly that lies in the detections: there are none, their scores are all low, or "
    st.warning(words + "each lasts a few frames only. Look at them on the page Inference, or at the imported file.")


def show_lanes(run: TrackRun, key: tuple[str, str], rows: list[dict]) -> None:
    """Draw identities by time, doubts on them, and the number of birds against the known one."""
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
        st.caption("A red diamond is a doubt.")
    line = (
        alt.Chart(seen)
        .mark_line(color=COLOURS[0])
        .encode(x=alt.X("time, s:Q"), y=alt.Y("birds seen:Q", axis=alt.Axis(tickMinStep=1)))
    )
    if run.n_birds is not None:
        known = alt.Chart(pd.DataFrame({"y": [run.n_birds]})).mark_rule(strokeDash=[4, 4], color="#d1495b")
        line = line + known.encode(y=alt.Y("y:Q", title="birds seen"))
    st.altair_chart(line.properties(height=180), width="stretch")
    if run.n_birds is not None:
        st.caption(f"Birds seen at once; the dashed line is the known number, {run.n_birds}.")


def show_doubts(rows: list[dict]) -> dict | None:
    """Draw the doubts in the order of what they cost; return the one that is chosen."""
    st.subheader(f"Doubts ({len(rows)})")
    if not rows:
        st.caption("Nothing needs to be looked at.")
        return None
    table = pd.DataFrame(
        {
            "why": [row["kind"].replace("_", " ") for row in rows],
            "birds": [", ".join(row["birds"]) for row in rows],
            "at, s": [round(row["at_s"], 1) for row in rows],
            "wrong, %": [round(100 * row["p_error"]) for row in rows],
            "for, s": [round(row["lasts_s"], 1) for row in rows],
            "effect, s": [round(row["cost_s"], 1) for row in rows],
        }
    )
    st.caption("Effect: bird-time that would be booked into a wrong zone (without zones: to a wrong bird), on average.")
    picked = st.dataframe(table, hide_index=True, height=420, on_select="rerun", selection_mode="single-row")
    places = picked.selection.rows
    return rows[places[0]] if places else rows[0]


def show_frame(record: VideoRecord, key: tuple[str, str], doubt: dict | None) -> None:
    """Draw the chosen doubt before and after, or any frame with all trails."""
    st.subheader("Trails")
    tracks = opened(*key)
    first, last = int(tracks.frames[0]), int(tracks.frames[-1])
    index = index_cache(project())
    if doubt is not None and st.toggle("Show the chosen doubt", value=True):
        only = tuple(doubt["tracks"])
        for word, frame in (("before", doubt["from_frame"]), ("after", doubt["to_frame"])):
            frame = min(frame, last)
            st.image(drawn(*key, record.path, str(index), frame, only), caption=f"{word}, frame {frame}")
        return
    frame = int(st.number_input(f"Frame, {first} to {last}", first, last, first, key=f"trail-{key[0]}"))
    st.image(drawn(*key, record.path, str(index), frame, ()), caption=f"frame {frame}, ways of the last 5 s")


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
    return pd.DataFrame([vars(lane) for lane in lanes(tracks)]), pd.DataFrame({"time, s": times, "birds seen": birds})


@st.cache_data(max_entries=100, show_spinner=False)
def drawn(folder: str, started: str, video: str, index: str, frame: int, only: tuple[int, ...]) -> bytes:
    """Return a picture with trails."""
    return picture_of(opened(folder, started), Path(video), Path(index), frame, only, WIDTH)
