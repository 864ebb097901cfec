"""Progress of every video through the steps of the work, derived from its files and the job table."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from backend.jobs.job_states import JobState
from backend.jobs.store import Job
from backend.project.errors import InputError
from backend.project.manifest import Manifest, read_manifest
from backend.project.paths import Project


class StepState(StrEnum):
    """How far one step is for one video."""

    DONE = "done"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"
    NEXT = "next"
    OPEN = "open"


@dataclass(frozen=True)
class VideoStep:
    """One step of one video; ``detail`` is a few words such as ``24 frames``."""

    key: str
    state: StepState
    detail: str = ""


# step key (also its page) and the job kind that does it, in the order of the work
VIDEO_STEPS = (
    ("annotation", "segannot"),
    ("export", "export_frames"),
    ("inference", "inference"),
    ("track", "track"),
    ("correct", "board"),
    ("statistics", "zone_stats"),
)


def video_steps(project: Project, video: str, jobs: Iterable[Job], offered: Collection[str]) -> list[VideoStep]:
    """Return the steps of ``video`` in order; ``jobs`` are the project's jobs, newest first.

    Only steps whose key is in ``offered`` are returned: a step without a page cannot be next.

    A step at work shows as running; one whose newest job failed as failed, until a later one succeeds; one whose files
    are there as done. The first step that is none of these, and whose step before is done, is next.
    """
    jobs = [job for job in jobs if video in job.videos]
    steps: list[VideoStep] = []
    next_found = False
    for key, kind in VIDEO_STEPS:
        if key not in offered:
            continue
        detail = _finished(project, video, key)
        state = _state(next((job.state for job in jobs if job.kind == kind), None), detail)
        if state is StepState.OPEN and not next_found:
            state, next_found = StepState.NEXT, True
        steps.append(VideoStep(key, state, detail))
    return steps


def _state(newest: JobState | None, detail: str) -> StepState:
    if newest is JobState.QUEUED:
        return StepState.WAITING
    if newest is not None and not newest.is_over:
        return StepState.RUNNING
    if newest in (JobState.FAILED, JobState.LOST):
        return StepState.FAILED
    return StepState.DONE if detail else StepState.OPEN


def _finished(project: Project, video: str, key: str) -> str:
    """Return the finished result of a step in a few words, or an empty string."""
    if key == "annotation":
        count = sum(1 for _ in project.segannot(video).glob("[0-9]*.png"))
        return f"{count} frames" if count else ""
    if key == "export":
        return _frames_exported(project.exported_frames(video))
    if key == "correct":
        finished = sum(1 for _ in (project.root / "corrections" / video).glob("*.jsonl"))
    elif key == "statistics":
        finished = sum(_measures(folder, video) for folder in (project.root / "statistics").glob("*"))
    else:
        runs = (project.root / f"{key}_output" / video).glob("*")
        finished = sum(_finished_manifest(folder) is not None for folder in runs)
    return f"{finished} run{'s' if finished > 1 else ''}" if finished else ""


def _frames_exported(folder: Path) -> str:
    try:
        manifest = read_manifest(folder)
    except InputError:
        return ""
    return f"{len(manifest.files)} frames" if manifest is not None and manifest.files else ""


def _measures(folder: Path, video: str) -> bool:
    """Return whether a folder holds finished statistics of a video."""
    manifest = _finished_manifest(folder)
    return manifest is not None and any(run["video"] == video for run in manifest.inputs.get("runs", ()))


def _finished_manifest(folder: Path) -> Manifest | None:
    try:
        manifest = read_manifest(folder)
    except InputError:
        return None
    return manifest if manifest is not None and manifest.complete else None
