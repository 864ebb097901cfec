"""The form of new statistics: runs and settings; and the job for it."""

from datetime import datetime

import streamlit as st

from backend.detectors.score_threshold import SHOWN_SCORE
from backend.jobs import Job, JobSpec
from backend.project.errors import InputError
from backend.project.manifest import read_manifest
from backend.project.paths import check_name
from backend.zones.inputs import INFERENCE_OUTPUT, TRACK_OUTPUT
from backend.zones.statistics_library import Measurable, list_measurable, statistics_folder
from backend.zones.video_zones import camera_of
from gui.widgets.context import project, submit

KIND, NAME = "zone_stats", "statistics-name"
SOURCES = {"Tracks (each bird, and counts)": TRACK_OUTPUT, "Detections (counts only)": INFERENCE_OUTPUT}
BY = {
    "Ground point": ("ground-point", "bottom centre of the box, for a slanted camera"),
    "Centre": ("centre", "centre of the box, for a camera looking straight down"),
    "Mask": ("mask", "share of the outline inside; thresholds are set for each zone"),
}


def choose_runs() -> tuple[list[Measurable], bool]:
    """Let the user choose runs; return them, and whether they are tracks. Shows what to do if there are none."""
    source = st.radio("Source", list(SOURCES), horizontal=True)
    tracked = SOURCES[source] == TRACK_OUTPUT
    if not tracked:
        st.caption("Counts need no identities, so they hold even if tracking fails.")
    measurable = list_measurable(project(), SOURCES[source])
    if not measurable:
        step = "track" if tracked else "inference"
        st.info(f"No finished {'tracks' if tracked else 'detections'} yet.", icon=":material/timeline:")
        page = st.session_state["pages"][step]
        st.page_link(page, label=f"Go to {page.title}", icon=page.icon)
        return [], tracked
    newest = {run.record.slug: k for k, run in reversed(list(enumerate(measurable)))}
    cameras = sorted({camera_of(run.record) for run in measurable})
    camera = st.selectbox("Camera", ["all", *cameras]) if len(cameras) > 1 else "all"
    offered = [k for k, run in enumerate(measurable) if camera in ("all", camera_of(run.record))]
    chosen = st.multiselect(
        "Videos",
        offered,
        default=[k for k in offered if k in newest.values()][:20],
        format_func=lambda k: f"{measurable[k].record.name}, {measurable[k].folder.name}",
        help="The newest run of each video is preselected. Several videos are also summed by day, hour and camera.",
        key=f"statistics-videos-{camera}-{SOURCES[source]}",
    )
    runs = [measurable[k] for k in chosen]
    without = sorted({camera_of(run.record) for run in runs if not run.has_zones})
    if without:
        st.warning(f"No zones are drawn yet for {', '.join(without)}.", icon=":material/pentagon:")
        st.page_link(st.session_state["pages"]["zones"], label="Go to Zones", icon=":material/pentagon:")
        return [], tracked
    if any(run.record.start_time is None for run in runs):
        st.caption("Videos without a start time (Videos page) are left out of sums by day and hour.")
    return runs, tracked


def told_number(runs: list[Measurable]) -> int:
    """Return the number of birds that tracking was told for all of these runs; 0 if unknown or not the same."""
    numbers = set()
    for run in runs:
        manifest = read_manifest(run.folder)
        numbers.add(int((manifest.settings.get("n_birds") if manifest else None) or 0))
    return numbers.pop() if len(numbers) == 1 else 0


def choose_settings(tracked: bool, told: int = 0) -> tuple[str, list[str]]:
    """Let the user choose the settings; return the name of the result and arguments of the script."""
    st.session_state.setdefault(NAME, f"zones-{datetime.now().astimezone():%Y-%m-%d-%H%M}")
    name = st.text_input("Result name", key=NAME)
    first, second = st.columns(2)
    bin_s = first.number_input(
        "Time bins, s", 1.0, 86_400.0, 60.0, help="Tables and plots over time have one value per bin."
    )
    kinds = list(BY)
    by = second.selectbox("Reference point", kinds, help="\n".join(f"- {k}: {BY[k][1]}" for k in kinds))
    birds = first.number_input(
        "Number of birds",
        0,
        100_000,
        told,
        key=f"statistics-birds-{told}",
        help="Birds missing from this number count as lost. 0: unknown. Preset to the number that tracking was told.",
    )
    options = ["--bin-s", f"{bin_s:g}", "--by", BY[by][0], *(["--birds", str(birds)] if birds else [])]
    if tracked:
        options += _bird_settings()
    with st.expander("Time range, detection errors, combined zones"):
        options += _range_settings(tracked)
    return name, options


def _bird_settings() -> list[str]:
    """Draw the settings that concern single birds."""
    with st.expander("Lost birds, resting, contacts"):
        lost = st.number_input(
            "Lost after this many samples without detection", 1, 100_000, 3,
            help="After shorter gaps it counts as still there. Lost (zone 0) is not outside: its position is unknown.",
        )  # fmt: skip
        columns = st.columns(2)
        values = {
            "--rest-below": columns[0].number_input(
                "Resting below, per s", 0.0, 1e6, 0.0, format="%g",
                help="Speed in m/s; px/s without a scale. 0: 0.1 m/s, or 0.3 bird sizes per s without a scale.",
            ),
            "--contact": columns[1].number_input(
                "Contact below", 0.0, 1e6, 0.0, format="%g",
                help="Distance between ground points in m; px without a scale. 0: 0.3 m, or one bird size.",
            ),
            "--near": columns[0].number_input(
                "Near (network) below", 0.0, 1e6, 0.0, format="%g",
                help="Distance in m; px without a scale. 0: 1 m, or three bird sizes.",
            ),
        }  # fmt: skip
        smooth = columns[1].number_input(
            "Smoothing, s", 0.0, 10.0, 0.4, help="Boxes jitter; positions are averaged over this time."
        )
        displacement = columns[0].number_input(
            "Displacement within, s",
            0.1,
            60.0,
            2.0,
            help="One bird enters a zone and another leaves within this time.",
        )
    given = [word for option, value in values.items() if value > 0 for word in (option, f"{value:g}")]
    return [*given, "--lost-after", str(lost), "--smooth-s", f"{smooth:g}", "--displacement-s", f"{displacement:g}"]


def _range_settings(tracked: bool) -> list[str]:
    first, second = st.columns(2)
    from_s = first.number_input("Start in each video, s", 0.0, 1e7, 0.0)
    to_s = second.number_input("End in each video, s (0: to the end)", 0.0, 1e7, 0.0)
    missed = first.number_input(
        "Missed birds, %", 0.0, 99.0, 0.0,
        help="From frames checked by eye or from the Models page. 0: unknown.",
    )  # fmt: skip
    false = second.number_input("False detections, %", 0.0, 99.0, 0.0, help="0: unknown.")
    together = st.text_input(
        "Combined zones",
        placeholder="both courts=court A+court B",
        help="These zones are also counted as one. Groups are combined anyway.",
    )
    options = ["--from-s", f"{from_s:g}", *(["--to-s", f"{to_s:g}"] if to_s else [])]
    options += ["--missed", f"{missed / 100:g}"] if missed else []
    options += ["--false", f"{false / 100:g}"] if false else []
    if not tracked:
        options += ["--score", f"{st.slider('Minimum score', 0.05, 0.95, SHOWN_SCORE, 0.05):g}"]
    return options + (["--together", together] if together.strip() else [])


def submit_statistics(runs: list[Measurable], tracked: bool, name: str, options: list[str]) -> Job:
    """Queue the job; InputError for a name that is taken or not allowed."""
    out = statistics_folder(project()) / check_name(name)
    if out.exists():
        raise InputError(f"statistics {name!r} already exist; choose another name")
    del st.session_state[NAME]  # the next result gets a new one
    return submit(
        JobSpec(
            kind=KIND,
            title=f"Statistics of {len(runs)} video{'s' if len(runs) > 1 else ''}: {name}",
            command=(
                "-m", "backend.zone_stats", "--tracks" if tracked else "--detections",
                *(str(run.folder) for run in runs), "--out", str(out), *options,
            ),
            output=out,
            project=project().root,
            videos=tuple(run.record.slug for run in runs),
            resumable=True,
        )
    )  # fmt: skip
