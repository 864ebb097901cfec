"""What is measured: runs, settings with their plain meaning, and the job for it."""

from datetime import datetime

import streamlit as st

from backend.jobs import Job, JobSpec
from backend.project.errors import InputError
from backend.project.paths import check_name
from backend.zones.inputs import INFERENCE_OUTPUT, TRACK_OUTPUT
from backend.zones.statistics_library import Measurable, list_measurable, statistics_folder
from gui.widgets.context import project, submit

KIND, NAME = "zone_stats", "statistics-name"
SOURCES = {"Tracks: each bird and the counts": TRACK_OUTPUT, "Detections: counts only": INFERENCE_OUTPUT}
BY = {
    "Ground point": ("ground-point", "the middle of the lower side of its box, where it stands"),
    "Centre": ("centre", "the centre of its box"),
    "Mask": ("mask", "the share of its outline inside; in and out thresholds are set for each zone"),
}


def choose_runs() -> tuple[list[Measurable], bool]:
    """Let the user choose runs; return them, and whether they are tracks. Says what to do where there are none."""
    source = st.radio("Measure", list(SOURCES), horizontal=True)
    tracked = SOURCES[source] == TRACK_OUTPUT
    if not tracked:
        st.caption("Mean birds in each zone need no identities: they hold where tracking fails.")
    found = list_measurable(project(), SOURCES[source])
    if not found:
        step = "track" if tracked else "inference"
        st.info(f"There are no finished {'tracks' if tracked else 'detections'} yet.", icon=":material/timeline:")
        page = st.session_state["pages"][step]
        st.page_link(page, label=f"Go to {page.title}", icon=page.icon)
        return [], tracked
    newest = {run.record.slug: k for k, run in reversed(list(enumerate(found)))}
    cameras = sorted({run.record.camera or run.record.slug for run in found})
    camera = st.selectbox("Camera", ["all", *cameras]) if len(cameras) > 1 else "all"
    offered = [k for k, run in enumerate(found) if camera in ("all", run.record.camera or run.record.slug)]
    chosen = st.multiselect(
        "Videos",
        offered,
        default=[k for k in offered if k in newest.values()][:20],
        format_func=lambda k: f"{found[k].record.name}, {found[k].folder.name}",
        help="Of each video the newest run is chosen. Many videos give sums by day, hour and camera.",
        key=f"statistics-videos-{camera}-{SOURCES[source]}",
    )
    runs = [found[k] for k in chosen]
    without = sorted({run.record.camera or run.record.slug for run in runs if not run.has_zones})
    if without:
        st.warning(f"No zones are drawn yet for {', '.join(without)}.", icon=":material/pentagon:")
        st.page_link(st.session_state["pages"]["zones"], label="Go to Zones", icon=":material/pentagon:")
        return [], tracked
    if any(run.record.start_time is None for run in runs):
        st.caption("Some videos have no start time (Videos page): they cannot be sorted by day and hour.")
    return runs, tracked


def choose_settings(tracked: bool) -> tuple[str, list[str]]:
    """Let the user choose the settings; return the name of the result and arguments of the script."""
    st.session_state.setdefault(NAME, f"zones-{datetime.now().astimezone():%Y-%m-%d-%H%M}")
    name = st.text_input("Name of the result", key=NAME)
    first, second, third = st.columns(3)
    bin_s = first.number_input(
        "Time bins, s", 1.0, 86_400.0, 60.0, help="Tables and plots over time have one value a bin."
    )
    kinds = list(BY)
    by = second.selectbox("A bird is where its ... is", kinds, help="\n".join(f"- {k}: {BY[k][1]}" for k in kinds))
    birds = third.number_input(
        "Number of birds, if known", 0, 100_000, 0, help="What is missing to it counts as lost. 0: not known."
    )
    options = ["--bin-s", f"{bin_s:g}", "--by", BY[by][0], *(["--birds", str(birds)] if birds else [])]
    if tracked:
        options += _bird_settings()
    with st.expander("Range and errors of the detector"):
        options += _range_settings(tracked)
    return name, options


def _bird_settings() -> list[str]:
    """Draw settings of single birds."""
    with st.expander("Lost birds, rest, contacts"):
        lost = st.number_input(
            "Not seen for this many samples in a row: lost", 1, 100_000, 3,
            help="For fewer it stays where it was. Lost (zone 0) is not outside: nobody knows where the bird was.",
        )  # fmt: skip
        columns = st.columns(3)
        values = {
            "--rest-below": columns[0].number_input(
                "At rest below, per s", 0.0, 1e6, 0.0, format="%g",
                help="m a second; px without a scale. 0: 0.1 m a second, or 0.3 birds a second without a scale.",
            ),
            "--contact": columns[1].number_input(
                "Contact below", 0.0, 1e6, 0.0, format="%g",
                help="Between ground points, m; px without a scale. 0: 0.3 m, or the size of a bird.",
            ),
            "--near": columns[2].number_input(
                "Near (network) below", 0.0, 1e6, 0.0, format="%g",
                help="m; px without a scale. 0: 1 m, or three birds.",
            ),
        }  # fmt: skip
        smooth = columns[0].number_input(
            "Smoothing, s", 0.0, 10.0, 0.4, help="Boxes tremble; positions are averaged over this time."
        )
        displacement = columns[1].number_input(
            "Displacement within, s", 0.1, 60.0, 2.0, help="One bird comes into a zone and another leaves it so soon."
        )
    given = [word for option, value in values.items() if value > 0 for word in (option, f"{value:g}")]
    return [*given, "--lost-after", str(lost), "--smooth-s", f"{smooth:g}", "--displacement-s", f"{displacement:g}"]


def _range_settings(tracked: bool) -> list[str]:
    first, second = st.columns(2)
    from_s = first.number_input("From, s of each video", 0.0, 1e7, 0.0)
    to_s = second.number_input("To, s (0: to the end)", 0.0, 1e7, 0.0)
    missed = first.number_input(
        "Birds the detector misses, %", 0.0, 99.0, 0.0,
        help="From checking some frames by eye or from the Models page. 0: not stated.",
    )  # fmt: skip
    false = second.number_input("Detections that are no bird, %", 0.0, 99.0, 0.0, help="0: not stated.")
    together = st.text_input(
        "Zones to be counted as one, too", placeholder="both courts=court A+court B", help="Groups are counted anyway."
    )
    words = ["--from-s", f"{from_s:g}", *(["--to-s", f"{to_s:g}"] if to_s else [])]
    words += ["--missed", f"{missed / 100:g}"] if missed else []
    words += ["--false", f"{false / 100:g}"] if false else []
    if not tracked:
        words += ["--score", f"{st.slider('Detections with this score or more', 0.05, 0.95, 0.5, 0.05):g}"]
    return words + (["--together", together] if together.strip() else [])


def submit_statistics(runs: list[Measurable], tracked: bool, name: str, options: list[str]) -> Job:
    """Queue the job; InputError for a name that is taken or not allowed."""
    out = statistics_folder(project()) / check_name(name)
    if out.exists():
        raise InputError(f"statistics {name!r} are there already; choose another name")
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
