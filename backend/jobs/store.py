"""The job table: submit, read, stop, retry. Every change of state goes through `move`."""

import json
import logging
import shutil
import signal
import sqlite3
import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.jobs.database import JOBS_FOLDER, Database, insert
from backend.jobs.job import Job, JobSpec
from backend.jobs.job_files import LOG_FILE, write_spec
from backend.jobs.job_log import tail
from backend.jobs.job_states import ACTIVE, TRANSITIONS, JobState, Slot
from backend.jobs.process import JobMark, ProcessIdentity, Sight, observe, send
from backend.jobs.progress import ProgressRecord, read_progress
from backend.project.errors import InputError
from backend.project.settings import state_folder

log = logging.getLogger(__name__)

ENDED_BADLY = (JobState.FAILED, JobState.STOPPED, JobState.LOST)
SELECT = "SELECT jobs.*, (SELECT json_group_array(needed) FROM needs WHERE job = jobs.id) AS after FROM jobs"


class JobStore:
    """The jobs of one installation. It may be shared by threads and used by any number of processes at once."""

    def __init__(self, state: Path | None = None):
        self.state = (state or state_folder()).resolve()
        self.database = Database(self.state)

    def submit(self, spec: JobSpec) -> Job:
        """Add a job to the queue.

        Raises
        ------
        InputError
            If an active job has the same output folder, or ``after`` names an unknown job or a service.
        """
        spec = _resolved(spec)
        created = datetime.now(UTC)
        try:
            with self.database.writing() as connection:
                _check_dependencies(connection, spec.after)
                id = insert(connection, spec, created, state=JobState.QUEUED)
        except sqlite3.IntegrityError as error:
            raise self._taken(spec.output) from error
        try:
            write_spec(self.folder(id), spec, created)
        except OSError as error:  # the job is queued all the same; only a damaged table would miss the record
            log.warning("the record of job %d could not be written: %s", id, error)
        return self.get(id)

    def get(self, id: int) -> Job:
        """Return one job; InputError if there is none of that id."""
        with self.database.reading() as connection:
            row = connection.execute(f"{SELECT} WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise InputError(f"there is no job {id}")
        return self.from_row(row)

    def list(
        self,
        states: Iterable[JobState] | None = None,
        kind: str | None = None,
        video: str | None = None,
        project: Path | None = None,
        limit: int = 200,
    ) -> list[Job]:
        """Return jobs, newest first; every filter that is given must fit."""
        where, values = ["1"], []
        if states is not None:
            chosen = [str(state) for state in states]
            where.append(f"state IN ({', '.join('?' * len(chosen))})")
            values += chosen
        if kind is not None:
            where.append("kind = ?")
            values.append(kind)
        if project is not None:
            where.append("project = ?")
            values.append(str(Path(project).resolve()))
        if video is not None:
            where.append("EXISTS (SELECT 1 FROM json_each(videos) WHERE value = ?)")
            values.append(video)
        query = f"{SELECT} WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"
        with self.database.reading() as connection:
            return [self.from_row(row) for row in connection.execute(query, (*values, limit))]

    def stop(self, id: int) -> Job:
        """End a job: a queued one at once, a running one within 15 s. Return its present row.

        Raises
        ------
        InputError
            If it is over already.
        """
        now = time.time()
        with self.database.writing() as connection:
            job = self._in(connection, id)
            if job.state.is_over:
                raise InputError(f"job {id} ({job.title}) is {job.state} already; there is nothing to stop")
            if job.state is JobState.QUEUED:
                self.move(connection, job, JobState.STOPPED, ended=now, reason="stopped before it began")
            elif job.state is not JobState.STOPPING:
                self.move(connection, job, JobState.STOPPING, stop_asked=now)
        wrapper = identity(job)
        if job.state.has_process and wrapper is not None and observe(wrapper, self.mark(job)) is Sight.ALIVE:
            send(wrapper, signal.SIGTERM)  # it would see the row within a second, too
        return self.get(id)

    def retry(self, id: int) -> Job:
        """Queue a job again that did not succeed: the same id, a new attempt, its log kept as ``log.attempt-N``.

        Raises
        ------
        InputError
            If it did not end, or succeeded, or another active job has its output folder.
        """
        try:
            with self.database.writing() as connection:
                job = self._in(connection, id)
                if job.state not in ENDED_BADLY:
                    allowed = ", ".join(ENDED_BADLY)
                    raise InputError(f"job {id} ({job.title}) is {job.state}; only what is {allowed} can be retried")
                self.move(connection, job, JobState.QUEUED, **FRESH, cut_offs=0, reason="")
        except sqlite3.IntegrityError as error:
            raise self._taken(job.output) from error
        return self.get(id)

    def remove(self, id: int) -> None:
        """Delete a job that has ended, with its folder (log, progress); its output stays.

        Raises
        ------
        InputError
            If it is active, or a queued job waits for it.
        """
        with self.database.writing() as connection:
            job = self._in(connection, id)
            if not job.state.is_over:
                raise InputError(f"job {id} ({job.title}) is {job.state}; stop it first")
            query = "SELECT id FROM jobs JOIN needs ON job = id WHERE needed = ? AND state = 'queued'"
            waiting = connection.execute(query, (id,)).fetchone()
            if waiting is not None:
                raise InputError(f"job {id} ({job.title}) is waited for by job {waiting['id']}")
            connection.execute("DELETE FROM jobs WHERE id = ?", (id,))
            connection.execute("DELETE FROM needs WHERE job = ?", (id,))
            if job.state is JobState.SUCCEEDED:  # what waited for it may still be retried
                connection.execute("DELETE FROM needs WHERE needed = ?", (id,))
        shutil.rmtree(job.folder, ignore_errors=True)

    def progress(self, id: int) -> ProgressRecord | None:
        """Return the last progress that the job's script reported."""
        return read_progress(self.folder(id))

    def log_tail(self, id: int, lines: int = 200) -> str:
        """Return the end of a job's log as clean text; it is not HTML-escaped."""
        return tail(self.folder(id) / LOG_FILE, lines)

    def folder(self, id: int) -> Path:
        """Return the folder of a job."""
        return self.state / JOBS_FOLDER / str(int(id))

    def close(self) -> None:
        """Do nothing: connections live for one call. Here so that callers need not know."""

    def mark(self, job: Job) -> JobMark:
        """Return what the processes of the job's newest attempt carry."""
        return JobMark(self.state, job.id, job.attempts)

    def move(self, connection: sqlite3.Connection, job: Job, state: JobState, **columns: Any) -> bool:
        """Move ``job`` from the state and attempt it was read in to ``state`` and set ``columns``.

        Returns False, with nothing changed, if another process has moved it since.
        """
        if state not in TRANSITIONS[job.state]:
            raise ValueError(f"job {job.id} cannot go from {job.state} to {state}")
        names = "".join(f", {name} = ?" for name in columns)
        found = connection.execute(
            f"UPDATE jobs SET state = ?{names} WHERE id = ? AND state = ? AND attempts = ? AND pid IS ?",  # noqa: S608
            (state, *columns.values(), job.id, job.state, job.attempts, job.pid),
        )
        return found.rowcount == 1

    def claim(self, id: int, attempt: int, wrapper: ProcessIdentity) -> Job | None:
        """Make ``wrapper`` the one process that may run this attempt; None if it comes too late.

        A job is running from here on, a service only once it answers.
        """
        with self.database.writing() as connection:
            job = self._in(connection, id)
            if job.state is not JobState.STARTING or job.attempts != attempt or job.pid is not None:
                return None
            columns = {"pid": wrapper.pid, "start_time": wrapper.start_time, "boot_id": wrapper.boot_id, "reason": ""}
            names = ", ".join(f"{name} = ?" for name in columns)
            connection.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*columns.values(), id))  # noqa: S608
            job = self._in(connection, id)
            if not job.service:
                self.move(connection, job, JobState.RUNNING)
            return self._in(connection, id)

    def settle(self, job: Job, state: JobState, **columns: Any) -> bool:
        """Move an attempt from whatever active state it has now; False if it is not that wrapper's attempt any more."""
        with self.database.writing() as connection:
            now = self._in(connection, job.id)
            if (now.attempts, now.pid) != (job.attempts, job.pid) or not now.state.has_process:
                return False
            return self.move(connection, now, state, **columns)

    def from_row(self, row: sqlite3.Row) -> Job:
        """Return a row of `SELECT` as a job."""
        values: dict[str, Any] = dict(row)
        for name in ("command", "videos", "after", "gpu_ids"):
            values[name] = tuple(json.loads(values[name]))
        for name in ("created", "started", "ended", "stop_asked"):
            values[name] = None if values[name] is None else datetime.fromtimestamp(values[name], UTC)
        for name in ("output", "project"):
            values[name] = None if values[name] is None else Path(values[name])
        for name in ("resumable", "service"):
            values[name] = bool(values[name])
        values |= {"state": JobState(values["state"]), "slot": Slot(values["slot"])}
        return Job(**values, folder=self.folder(values["id"]))

    def _in(self, connection: sqlite3.Connection, id: int) -> Job:
        row = connection.execute(f"{SELECT} WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise InputError(f"there is no job {id}")
        return self.from_row(row)

    def _taken(self, output: Path | None) -> InputError:
        query = f"{SELECT} WHERE output = ? AND state IN ({', '.join('?' * len(ACTIVE))})"
        with self.database.reading() as connection:
            row = connection.execute(query, (str(output), *ACTIVE)).fetchone()
        holder = f"job {row['id']} ({row['title']})" if row else "a job that has just ended"
        return InputError(f"{output} is the output of {holder}; wait for it or stop it first")


# What a row has before its next attempt.
FRESH = {
    "started": None,
    "ended": None,
    "stop_asked": None,
    "exit_code": None,
    "pid": None,
    "start_time": None,
    "boot_id": None,
    "gpu_ids": "[]",
}


def identity(job: Job) -> ProcessIdentity | None:
    """Return the wrapper that claimed the job's newest attempt; None if none has."""
    if job.pid is None or job.start_time is None or job.boot_id is None:
        return None
    return ProcessIdentity(job.pid, job.start_time, job.boot_id)


def _resolved(spec: JobSpec) -> JobSpec:
    """Make folders comparable: absolute, links followed."""
    output, project = (path and path.resolve() for path in (spec.output, spec.project))
    for path in (output, project):
        try:
            str(path or "").encode()
        except UnicodeEncodeError as error:
            raise InputError(f"folder {ascii(str(path))} is not valid UTF-8; rename it") from error
    return replace(spec, output=output, project=project)


def _check_dependencies(connection: sqlite3.Connection, ids: Collection[int]) -> None:
    for id in ids:
        row = connection.execute("SELECT service FROM jobs WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise InputError(f"after: there is no job {id}")
        if row["service"]:
            raise InputError(f"after: job {id} is a service, which never succeeds; name a job that ends")
