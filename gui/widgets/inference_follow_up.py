"""Jobs that follow inference by themselves: tracking, then statistics, each after the step before has succeeded."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from backend.jobs import Job, JobSpec
from backend.video.library import VideoRecord
from backend.zones.video_zones import camera_of, zones_of_video
from gui.widgets.context import project, submit
from gui.widgets.track_form import choose_appearance, submit_track_jobs


@dataclass(frozen=True)
class FollowUp:
    """The steps that follow. ``n_birds`` is 0 if unknown."""

    track: bool = False
    describe: bool = True
    statistics: bool = False
    n_birds: int = 0


def choose_follow_up(records: list[VideoRecord]) -> FollowUp:
    """Let the user choose the following steps; statistics only if every camera has zones."""
    first, second = st.columns(2)
    if not first.toggle("Track afterwards"):
        return FollowUp()
    n_birds = int(second.number_input("Birds per video (0: unknown)", 0, 1000, 0))
    describe = choose_appearance()
    without = sorted({camera_of(record) for record in records if not zones_of_video(project(), record).exists()})
    note = f"Draw zones first for: {', '.join(without)}." if without else None
    statistics = st.toggle("Compute statistics afterwards", disabled=bool(without), help=note)
    return FollowUp(True, describe, statistics and not without, n_birds)


def submit_follow_up(record: VideoRecord, inference: Job, wanted: FollowUp) -> list[Job]:
    """Queue the steps that follow the inference job ``inference`` on ``record``."""
    if not wanted.track:
        return []
    tracks = project().track_output(record.slug, inference.output.name)
    zones = zones_of_video(project(), record)
    jobs = submit_track_jobs(
        record.slug,
        record.name,
        inference.output,
        tracks,
        wanted.n_birds or None,
        zones if zones.exists() else None,
        wanted.describe,
        after=inference,
    )
    if wanted.statistics:
        out = project().root / "statistics" / f"{record.slug}-{inference.output.name}"
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
