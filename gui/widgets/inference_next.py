"""What follows a night's inference by itself: tracking, then statistics, each once the step before it has succeeded."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from backend.jobs import Job, JobSpec
from backend.video.library import VideoRecord
from backend.zones.zone_file import zones_path
from gui.widgets.context import project, submit
from gui.widgets.track_form import choose_description, submit_track_jobs


@dataclass(frozen=True)
class Next:
    """What is to follow. ``n_birds`` is 0 where it is not known."""

    track: bool = False
    describe: bool = True
    statistics: bool = False
    n_birds: int = 0


def choose_next(records: list[VideoRecord]) -> Next:
    """Let the user choose what follows; statistics only where every camera has its zones."""
    first, second = st.columns(2)
    if not first.toggle("Then track"):
        return Next()
    n_birds = int(second.number_input("Birds in each video (0: not known)", 0, 1000, 0))
    describe = choose_description()
    without = sorted({_camera(record) for record in records if not zones_path(project(), _camera(record)).exists()})
    note = f"Draw zones first for: {', '.join(without)}." if without else None
    statistics = st.toggle("Then statistics", disabled=bool(without), help=note)
    return Next(True, describe, statistics and not without, n_birds)


def submit_next(record: VideoRecord, found: Job, wanted: Next) -> list[Job]:
    """Queue what follows the inference job ``found`` on ``record``."""
    if not wanted.track:
        return []
    tracks = project().track_output(record.slug, found.output.name)
    zones = zones_path(project(), _camera(record))
    jobs = submit_track_jobs(
        record.slug,
        record.name,
        found.output,
        tracks,
        wanted.n_birds or None,
        zones if zones.exists() else None,
        wanted.describe,
        after=found,
    )
    if wanted.statistics:
        out = project().root / "statistics" / f"{record.slug}-{found.output.name}"
        command = ["-m", "backend.zone_stats", "--tracks", str(tracks), "--out", str(out)]
        jobs.append(submit(_spec("zone_stats", f"Statistics of {record.name}", command, out, record, jobs[-1])))
    return jobs


def _spec(kind: str, title: str, command: list[str], output: Path, record: VideoRecord, before: Job) -> JobSpec:
    return JobSpec(
        kind=kind,
        title=title,
        command=tuple(command),
        output=output,
        project=project().root,
        videos=(record.slug,),
        after=(before.id,),
        resumable=True,
    )


def _camera(record: VideoRecord) -> str:
    return record.camera or record.slug
