"""The scheduling pass. The app and every living wrapper run it each second; any number of them may do so at once.

First it checks, without a lock, whether the processes of active rows are alive. Then it changes rows, each by an
update that only applies if the row is still as it was read. What is started is decided in one transaction.
"""

import contextlib
import json
import logging
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from backend.jobs.job import Job
from backend.jobs.job_files import (
    EXIT_FILE,
    FURTHEST_FILE,
    WRAPPER_LOG_FILE,
    ExitRecord,
    FurthestRecord,
    read_record,
    write_record,
)
from backend.jobs.job_log import tail
from backend.jobs.job_states import WITH_PROCESS, JobState, Slot
from backend.jobs.launcher import LOCAL, Launcher
from backend.jobs.process import Process, Sight, boot_id, job_processes, observe, send, stop_tree
from backend.jobs.slots import GpuError, GpuList
from backend.jobs.store import FRESH, SELECT, JobStore, identity
from backend.project.errors import InputError
from backend.project.settings import Settings, load_settings
from backend.web.listen import free_port

PASS_EVERY_S = 1.0
UNCLAIMED_S = 60.0  # how long a wrapper may take to come up on a busy machine before the attempt counts as failed
WRAPPER_STOP_S = 20.0  # a wrapper needs 14 s at most to stop its script; later it is taken for hung
MOST_CUT_OFFS = 3

LEFTOVER_S = 1.0  # how long a pass waits for what it killed
ENDINGS = {JobState.FAILED: "failed", JobState.STOPPED: "was stopped", JobState.LOST: "was lost", None: "is gone"}

CUT_OFF = "its wrapper process ended without a record of how the job ended (killed, or the machine was restarted)"

AT_WORK = f"{SELECT} WHERE state IN ({', '.join('?' * len(WITH_PROCESS))}) ORDER BY id"
READY = f"""{SELECT} WHERE state = 'queued' AND NOT EXISTS (
  SELECT 1 FROM needs LEFT JOIN jobs AS other ON other.id = needed
  WHERE needs.job = jobs.id AND other.state IS NOT 'succeeded') AND """  # noqa: S608 - constants only
DOOMED = (
    "SELECT jobs.id, needed, other.title, other.state FROM jobs JOIN needs ON needs.job = jobs.id"
    " LEFT JOIN jobs AS other ON other.id = needed WHERE jobs.state = 'queued'"
    " AND (other.id IS NULL OR other.state IN ('failed', 'stopped', 'lost'))"
)

log = logging.getLogger(__name__)
_gpus = GpuList()


def scheduling_pass(store: JobStore, launcher: Launcher = LOCAL) -> None:
    """Bring the job table in line with the processes, and start what can be started."""
    ended = launcher.ended()
    with store.database.reading() as connection:
        at_work = [store.from_row(row) for row in connection.execute(AT_WORK, (*WITH_PROCESS,))]
        waiting = connection.execute("SELECT 1 FROM jobs WHERE state = 'queued' LIMIT 1").fetchone() is not None
    for job in at_work:
        if job.pid is None:
            waiting |= _reconcile_unclaimed(store, job, wrapper_ended=store.mark(job) in ended)
        else:
            waiting |= _reconcile(store, job)
    if waiting:
        for job in _begin(store, load_settings(store.state)):
            _launch(store, launcher, job)


def start_scheduler(store: JobStore) -> threading.Thread:
    """Run the pass each second in a daemon thread, from now on. For the app; wrappers do it, too."""
    thread = threading.Thread(target=keep_scheduling, args=(store, threading.Event()), name="scheduler", daemon=True)
    thread.start()
    return thread


def keep_scheduling(store: JobStore, end: threading.Event) -> None:
    """Run the pass each second until ``end`` is set. One that fails is logged, and the next one tried."""
    said = ""
    while True:
        try:
            scheduling_pass(store)
            said = ""
        except Exception as error:  # a full disk or a busy table must not end the queue for the night
            if str(error) != said:
                log.exception("a scheduling pass failed; the next one follows in %s s", PASS_EVERY_S)
            said = str(error)
        if end.wait(PASS_EVERY_S):
            return


def cut_off(store: JobStore, job: Job, why: str, most: int = MOST_CUT_OFFS, hung: bool = False) -> None:
    """Queue ``job`` again if it can resume and was not cut off ``most`` times in a row; otherwise it is lost.

    An attempt that got further than all before it begins a new row, unless it ``hung``: a night with many power
    failures goes on, while a job that brings its own end about each time at the same place does not.
    """
    furthest, further = _furthest(store, job)
    before = 0 if further and not hung else job.cut_offs
    again = job.resumable and before < most
    if again:
        count = f"queued again, {before + 1} of {most} times"
        columns = FRESH | {"cut_offs": before + 1, "reason": f"{why}; {count}"}
    else:
        tries = f" {before + 1} times in a row" if before else ""
        columns = {"ended": time.time(), "reason": f"{why}{tries}"}
    with store.database.writing() as connection:
        moved = store.move(connection, job, JobState.QUEUED if again else JobState.LOST, **columns)
    if moved and further:
        with contextlib.suppress(OSError):  # a full disk: then this attempt counts as no further
            write_record(store.folder(job.id), FURTHEST_FILE, furthest)


def _furthest(store: JobStore, job: Job) -> tuple[FurthestRecord, bool]:
    """Return how far the job has come in any attempt, and whether the newest one got further than those before."""
    known = read_record(store.folder(job.id), FURTHEST_FILE, FurthestRecord) or FurthestRecord()
    progress = store.progress(job.id)
    if progress is None or progress.done <= known.done.get(progress.stage, 0):
        return known, False
    return FurthestRecord(done={**known.done, progress.stage: progress.done}), True


def _reconcile_unclaimed(store: JobStore, job: Job, wrapper_ended: bool) -> bool:
    """Deal with a row whose wrapper has not come up yet. True if it was changed."""
    if job.state is JobState.STOPPING:  # a wrapper can claim only what is starting, so none will
        with store.database.writing() as connection:
            store.move(connection, job, JobState.STOPPED, ended=time.time(), reason="stopped before it began")
        return True
    if not wrapper_ended and job.started is not None and time.time() - job.started.timestamp() < UNCLAIMED_S:
        return False
    said = tail(job.folder / WRAPPER_LOG_FILE, 1)
    _not_started(store, job, said or f"its wrapper did not come up within {UNCLAIMED_S:.0f} s")
    return True


def _not_started(store: JobStore, job: Job, why: str) -> None:
    """Queue again what did not begin (nothing ran, so any job may), at most three times."""
    again = job.cut_offs < MOST_CUT_OFFS
    columns = FRESH | {"cut_offs": job.cut_offs + 1} if again else {"ended": time.time()}
    columns["reason"] = f"could not be started: {why}"
    with store.database.writing() as connection:
        store.move(connection, job, JobState.QUEUED if again else JobState.FAILED, **columns)


def _reconcile(store: JobStore, job: Job) -> bool:
    """Compare a claimed row with its wrapper. True if the row was changed."""
    wrapper, mark = identity(job), store.mark(job)
    if wrapper is None:
        return False
    asked_s = time.time() - job.stop_asked.timestamp() if job.stop_asked is not None else 0.0
    if observe(wrapper, mark) in (Sight.ALIVE, Sight.UNREADABLE):
        if asked_s < WRAPPER_STOP_S or send(wrapper, signal.SIGKILL):
            return False
        return _end(store, job, JobState.LOST, f"process {job.pid} cannot be stopped: it belongs to another user")
    record = read_record(job.folder, EXIT_FILE, ExitRecord, job.attempts)
    if record is not None:
        return _end(store, job, record.state, record.reason, record.exit_code, record.ended.timestamp())
    find = partial(job_processes, mark) if wrapper.boot_id == boot_id() else list  # nothing survives a reboot
    left = stop_tree(find, term_s=0.0, kill_s=LEFTOVER_S)
    if left and asked_s < 2 * WRAPPER_STOP_S:
        return False  # the next pass looks again; what cannot be killed may still write
    if job.state is JobState.STOPPING:
        return _end(store, job, JobState.STOPPED, not_ended("stopped on request", left))
    cut_off(store, job, CUT_OFF)
    return True


def not_ended(words: str, left: list[Process]) -> str:
    """Add to ``words`` the processes that even SIGKILL has not ended."""
    pids = ", ".join(str(process.pid) for process in left)
    return f"{words}; could not be ended: process {pids}" if left else words


def _end(
    store: JobStore, job: Job, state: JobState, reason: str, exit_code: int | None = None, ended: float | None = None
) -> bool:
    with store.database.writing() as connection:
        columns = {"ended": ended or time.time(), "reason": reason, "exit_code": exit_code}
        return store.move(connection, job, state, **columns)


def _launch(store: JobStore, launcher: Launcher, job: Job) -> None:
    try:
        launcher.start(job, store.mark(job))
    except OSError as error:
        _not_started(store, job, str(error))


def _begin(store: JobStore, settings: Settings) -> list[Job]:
    """Decide in one transaction what starts now, and return it as it then is."""
    gpus = _gpus_now(store, settings)
    with store.database.writing() as connection:
        _fail_dependents(connection)
        taken = [store.from_row(row) for row in connection.execute(AT_WORK, (*WITH_PROCESS,))]
        begun = []
        for job, columns in _choose(_Queue(store, connection), settings, gpus, taken):
            attempt = {"attempts": job.attempts + 1, "started": time.time(), **columns}
            if store.move(connection, job, JobState.STARTING, **attempt):
                begun.append(job.id)
        return [store.from_row(connection.execute(f"{SELECT} WHERE id = ?", (id,)).fetchone()) for id in begun]


@dataclass(frozen=True)
class _Gpus:
    """The GPUs for jobs; ``problem`` says why they are not known."""

    ids: tuple[int, ...] = ()
    problem: str = ""
    were_asked: bool = True

    @property
    def are_absent(self) -> bool:
        """Whether it is known that there is none, so that GPU jobs have to run on the processor."""
        return self.were_asked and not self.ids and not self.problem


def _gpus_now(store: JobStore, settings: Settings) -> _Gpus:
    """Ask for the GPUs if a job wants one: a broken driver must not hold up other jobs."""
    with store.database.reading() as connection:
        query = "SELECT 1 FROM jobs WHERE state = 'queued' AND slot = 'gpu' LIMIT 1"
        if connection.execute(query).fetchone() is None:
            return _Gpus(were_asked=False)
    try:
        return _Gpus(_gpus.ids(settings))
    except GpuError as error:
        return _Gpus(problem=f"the GPUs do not answer ({error}); it waits rather than run on the processor")


class _Queue:
    """The queued jobs whose dependencies are met, first come first, inside a transaction."""

    def __init__(self, store: JobStore, connection: sqlite3.Connection):
        self._store, self._connection = store, connection

    def ready(self, condition: str, most: int = -1) -> list[Job]:
        """Return at most ``most`` of them that meet an SQL ``condition``."""
        query = f"{READY} {condition} ORDER BY id LIMIT ?"
        return [self._store.from_row(row) for row in self._connection.execute(query, (most,))]

    def hold(self, job: Job, reason: str) -> None:
        """Write down why a job waits."""
        if job.reason != reason:
            self._connection.execute("UPDATE jobs SET reason = ? WHERE id = ?", (reason, job.id))

    def refuse(self, job: Job, reason: str) -> None:
        """Fail a job that can never run."""
        self._store.move(self._connection, job, JobState.FAILED, ended=time.time(), reason=reason)


def _choose(queue: _Queue, settings: Settings, gpus: _Gpus, taken: list[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Yield what starts now, and the slots it gets."""
    on_cpu = sum(_on_cpu(job) for job in taken)
    kinds = "slot IN ('cpu', 'gpu') AND NOT service" if gpus.are_absent else "slot = 'cpu'"
    for job in queue.ready(kinds, max(0, settings.cpu_slots - on_cpu)):
        yield job, {}
    ports = {job.port for job in taken if job.port is not None}
    for job in queue.ready("(slot = 'none' OR service)" if gpus.are_absent else "slot = 'none'"):
        columns = _port(queue, job, settings, ports)
        if columns is not None:
            yield job, columns
    free = [id for id in gpus.ids if not any(id in job.gpu_ids for job in taken)]
    for job in queue.ready("slot = 'gpu'") if gpus.were_asked and not gpus.are_absent else []:
        if gpus.problem:
            queue.hold(job, gpus.problem)
        elif job.gpus > len(gpus.ids):
            queue.refuse(job, f"{job.gpus} GPUs were asked for, jobs may use {len(gpus.ids)} (Settings, GPUs)")
        elif job.gpus > len(free):
            return  # later ones wait, too: those with one GPU would keep one with two waiting for ever
        elif (columns := _port(queue, job, settings, ports)) is not None:
            given, free = free[: job.gpus], free[job.gpus :]
            yield job, columns | {"gpu_ids": json.dumps(given)}


def _on_cpu(job: Job) -> bool:
    """Whether a job at work has a CPU slot: also one for the GPU that found none."""
    return job.slot is Slot.CPU or (job.slot is Slot.GPU and not job.gpu_ids and not job.service)


def _port(queue: _Queue, job: Job, settings: Settings, taken: set[int]) -> dict[str, Any] | None:
    """Return the port column of a service, nothing for other jobs, None if no port is free."""
    if not job.service:
        return {}
    try:
        port = free_port(settings, taken)
    except InputError as error:
        queue.hold(job, str(error))
        return None
    taken.add(port)
    return {"port": port}


def _fail_dependents(connection: sqlite3.Connection) -> None:
    """Fail what waits for a job that did not succeed, and in turn what waits for that."""
    while doomed := connection.execute(DOOMED).fetchall():
        for row in doomed:
            what = f"job {row['needed']} ({row['title']}), which it waited for, {ENDINGS[row['state']]}"
            connection.execute(
                "UPDATE jobs SET state = 'failed', ended = ?, reason = ? WHERE id = ? AND state = 'queued'",
                (time.time(), what, row["id"]),
            )
