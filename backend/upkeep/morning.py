"""The morning report: finished and failed jobs, tracks ready for review, free disk space.

It is written when the queue has run empty after work worth telling of, by the wrapper of the job that ended last: there
is no daemon. `night.json` in the state folder says up to when has been reported.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
from pydantic import AwareDatetime, BaseModel, ConfigDict

from backend.jobs.job import Job
from backend.jobs.job_states import ACTIVE, JobState
from backend.jobs.store import JobStore
from backend.project.atomic import atomic_write
from backend.project.disk import as_bytes
from backend.project.errors import InputError
from backend.project.locks import file_lock
from backend.project.manifest import read_manifest
from backend.project.settings import Settings, load_settings
from backend.project.state_files import read_state
from backend.tracking.tracks.schemas import DOUBTS
from backend.tracking.tracks.track_folder import corrections_log
from backend.upkeep.notify import notify

NIGHT, LOCK = "night.json", ".night.lock"
REPORTS = "reports"
MOST_JOBS = 2000

log = logging.getLogger(__name__)


class NightRecord(BaseModel):
    """The content of ``night.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    reported_until: AwareDatetime
    report: str = ""
    notification_problem: str = ""


@dataclass(frozen=True)
class Ready:
    """A tracked video that waits for a person."""

    video: str
    run: str
    doubts: int
    begun: bool  # whether people have corrected it already

    @property
    def words(self) -> str:
        """One line: ``lek-north: tracked, 18 doubts to look at``."""
        counted = f"{self.doubts} doubt{'' if self.doubts == 1 else 's'}"
        return f"{self.video}: tracked, {counted}{', review has begun' if self.begun else ' to look at'}"


@dataclass(frozen=True)
class Night:
    """What happened between two moments (UTC), and what stands now."""

    since: datetime
    until: datetime
    done: tuple[Job, ...]
    failed: tuple[Job, ...]  # failed and lost ones
    stopped: tuple[Job, ...]
    at_work: tuple[Job, ...]  # waiting ones, too; services left out
    ready: tuple[Ready, ...]
    free_bytes: int

    @property
    def headline(self) -> str:
        """One line: ``12 done, 1 failed, 3 videos ready to review``."""
        parts = [f"{len(self.done)} done"]
        for count, words in (
            (len(self.failed), "failed"),
            (len(self.stopped), "stopped"),
            (len(self.at_work), "to go"),
        ):
            if count:
                parts.append(f"{count} {words}")
        if self.ready:
            parts.append(f"{len(self.ready)} video{'s' if len(self.ready) > 1 else ''} ready to review")
        return ", ".join(parts)


def look_back(since: datetime, state: Path | None = None) -> Night:
    """Return what happened since ``since``."""
    store = JobStore(state)
    settings = load_settings(store.state)
    jobs = [job for job in store.list(limit=MOST_JOBS) if not job.service]
    ended = [job for job in jobs if job.ended is not None and job.ended >= since]

    def of(*states: JobState) -> tuple[Job, ...]:
        return tuple(sorted((job for job in ended if job.state in states), key=lambda job: job.id))

    project = settings.project_folder
    return Night(
        since,
        datetime.now(UTC),
        of(JobState.SUCCEEDED),
        of(JobState.FAILED, JobState.LOST),
        of(JobState.STOPPED),
        tuple(job for job in reversed(jobs) if job.state in ACTIVE),
        tuple(_ready(project, since)),
        shutil.disk_usage(project if project.exists() else store.state).free,
    )


def as_markdown(night: Night, time_zone: str) -> str:
    """Return the report as Markdown."""
    zone = ZoneInfo(time_zone)

    def clock(moment: datetime) -> str:
        return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M")

    lines = [f"# {night.headline}", "", f"{clock(night.since)} to {clock(night.until)} ({time_zone})", ""]
    lines += _section("Failed", (f"{_line(job)}: {job.reason or 'no reason was recorded'}" for job in night.failed))
    lines += _section("Ready to review", (f"{each.words} ({each.run})" for each in night.ready))
    lines += _section("Done", map(_line, night.done))
    lines += _section("Stopped", map(_line, night.stopped))
    lines += _section("Waiting or at work", (f"{job.title} (job {job.id}): {job.state}" for job in night.at_work))
    return "\n".join([*lines, f"Disk: {as_bytes(night.free_bytes)} free", ""])


def report_if_over(state: Path) -> Path | None:
    """Write the report and send it if nothing is waiting or at work and enough was done since the last one.

    Any number of processes may call this at once; one of them writes. A message that cannot be sent is written down in
    ``night.json``; it never fails a job.
    """
    settings = load_settings(state)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(file_lock(state / LOCK))
        except BlockingIOError:
            return None
        known = read_night(state)
        since = known.reported_until if known else datetime.now(UTC) - timedelta(days=1)
        night = look_back(since, state)
        worked_s = sum(_duration(job).total_seconds() for job in (*night.done, *night.failed, *night.stopped))
        if night.at_work or worked_s < 60 * settings.notify.after_min:
            return None
        path = write_report(night, settings)
        problem = notify(settings.notify, state, night.headline, as_markdown(night, settings.time_zone))
        record = NightRecord(reported_until=night.until, report=str(path), notification_problem=problem)
        atomic_write(state / NIGHT, record.model_dump_json(indent=1) + "\n")
    return path


def write_report(night: Night, settings: Settings) -> Path:
    """Write the report into the project's ``reports/`` and return the file."""
    folder = settings.project_folder / REPORTS
    folder.mkdir(parents=True, exist_ok=True)
    name = night.until.astimezone(ZoneInfo(settings.time_zone)).strftime("%Y-%m-%d_%H%M.md")
    atomic_write(folder / name, as_markdown(night, settings.time_zone))
    return folder / name


def read_night(state: Path) -> NightRecord | None:
    """Return what was last reported; None if nothing was yet."""
    return read_state(state / NIGHT, NightRecord.model_validate_json, lambda: None)


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = [f"- {line}" for line in lines]
    return [f"## {title}", "", *found, ""] if found else []


def _line(job: Job) -> str:
    minutes = _duration(job).total_seconds() / 60
    took = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    return f"{job.title} (job {job.id}{f', {job.user}' if job.user else ''}), {took}"


def _duration(job: Job) -> timedelta:
    return (job.ended or datetime.now(UTC)) - job.started if job.started else timedelta()


def _ready(project: Path, since: datetime) -> Iterable[Ready]:
    """Yield the track runs that were finished since ``since``."""
    for path in sorted(project.glob("track_output/*/*/manifest.json")):
        with contextlib.suppress(InputError, OSError):
            if path.stat().st_mtime < since.timestamp():  # a season has hundreds, and Home asks at each visit
                continue
            manifest = read_manifest(path.parent)
            if manifest is None or not manifest.complete or manifest.finished is None or manifest.finished < since:
                continue
            doubts = path.parent / DOUBTS
            count = pq.read_metadata(doubts).num_rows if doubts.is_file() else 0
            begun = corrections_log(path.parent, manifest).is_file()
            yield Ready(path.parent.parent.name, path.parent.name, count, begun)
