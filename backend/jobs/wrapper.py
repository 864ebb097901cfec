"""The wrapper process of a job: runs its script, watches it, stops it, and records how it ended.

    python -m backend.jobs.wrapper ID ATTEMPT

It is started by the scheduling pass (`launcher.py`) in a session of its own, and runs the pass itself while it lives,
so that the queue goes on without the app. SIGTERM stops the script; whether a person wants that stands in the row.
"""

import contextlib
import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from subprocess import Popen
from typing import IO

from backend.jobs.failure import Ending, memory_kills, reason
from backend.jobs.heartbeat import Silence
from backend.jobs.job import Job
from backend.jobs.job_files import CLAIM_FILE, EXIT_FILE, LOG_FILE, ClaimRecord, ExitRecord, write_record
from backend.jobs.job_log import BoundedLog, rotate, tail
from backend.jobs.job_states import ACTIVE, JobState, Slot
from backend.jobs.process import (
    Process,
    become_subreaper,
    identity_of,
    job_processes,
    reap_orphans,
    start_script,
    stop_tree,
)
from backend.jobs.progress import PROGRESS_FILE, Progress
from backend.jobs.schedule import UNCLAIMED_S, cut_off, keep_scheduling, not_ended, scheduling_pass
from backend.jobs.store import JobStore
from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.project.settings import Settings, load_settings
from backend.web.links import direct_link
from backend.web.readiness import probe
from backend.web.token import token_path

TICK_S = 0.1
LOOK_EVERY_S = 1.0  # at the row, the progress, the service
MOST_HUNG = 2  # times a hung job is queued again
PROBE_S = 1.0  # a service that takes longer to answer is not ready
RECORD_S = 120.0  # how long the table is tried once the exit record is on the disk
OLD_LOGS = 5

log = logging.getLogger(__name__)


class Cause(Enum):
    """Why the wrapper stopped watching a script."""

    ENDED = "the script ended by itself"
    STOP = "somebody asked for it"
    CUT = "the wrapper was told to end, but nobody asked to stop the job"
    GIVEN_UP = "the row belongs to another attempt"
    HUNG = "the script gives no sign of life"


class OnlyNew(logging.Filter):
    """Log filter that drops repeated messages, so that a lasting problem does not fill the disk."""

    _said = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether ``record`` says something new."""
        said, self._said = self._said, record.getMessage()
        return said != self._said


@dataclass(frozen=True)
class Verdict:
    """How an attempt ended."""

    state: JobState
    reason: str
    exit_code: int | None


class Wrapper:
    """One attempt of one job, claimed by this process."""

    def __init__(self, store: JobStore, job: Job, end_passes: threading.Event):
        self.store, self.job = store, job
        self.end_passes = end_passes
        self.settings: Settings = load_settings(store.state)
        self.told_to_end = False  # set by the signal handler
        self.was_ready = False
        self._looked = 0.0
        self._silence = Silence(job.folder, job.start_limit_s)
        self._hung = ""

    def run(self) -> Verdict | None:
        """Run the script to its end. None if this process is to leave the row to the scheduling pass."""
        kills_before = memory_kills()
        try:
            script = start_script(arguments(self.job, self.settings), os.environ)
        except OSError as error:
            return Verdict(JobState.FAILED, f"its script could not be started: {error}", None)
        pump = threading.Thread(target=_pump, args=(script.stdout, self.job.folder / LOG_FILE), daemon=True)
        pump.start()
        cause = self._watch(script)
        left = stop_tree(lambda: self._tree(script.pid))
        exit_code = script.poll()
        reap_orphans(keep=0)
        pump.join(timeout=2.0)
        if cause in (Cause.CUT, Cause.GIVEN_UP):
            return None
        if cause is Cause.STOP:
            return Verdict(JobState.STOPPED, not_ended("stopped on request", left), exit_code)
        if cause is Cause.HUNG or exit_code is None:
            return self._after_hanging(left, exit_code)
        return self._judge(exit_code, memory_kills() - kills_before)

    def _watch(self, script: "Popen[bytes]") -> Cause:
        """Wait until the script ends or has to be ended."""
        while script.poll() is None:
            reap_orphans(keep=script.pid)
            cause = self._look()
            if cause is not None:
                return cause
            time.sleep(TICK_S)
        return Cause.ENDED

    def _look(self) -> Cause | None:
        """Look at row, progress and service, each second; return why the script has to be ended, if it has."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S and not self.told_to_end:
            return None
        self._looked = now
        cause = self._ask_row()
        if cause is None and self.told_to_end:
            self.end_passes.set()  # the machine may be shutting down: start nothing that would be cut off, too
            return Cause.CUT
        if cause is not None:
            return cause
        if self.job.service:
            self._probe()
        if not self.was_ready:
            self._hung = self._silence.too_long(LOOK_EVERY_S)
        return Cause.HUNG if self._hung else None

    def _ask_row(self) -> Cause | None:
        try:
            row = self.store.get(self.job.id)
        except (sqlite3.Error, OSError, InputError) as error:
            log.warning("the job table cannot be read now: %s", error)
            return None
        if (row.attempts, row.pid) != (self.job.attempts, self.job.pid) or not row.state.has_process:
            return Cause.GIVEN_UP
        return Cause.STOP if row.state is JobState.STOPPING else None

    def _probe(self) -> None:
        if self.was_ready or self.job.port is None:
            return
        try:
            token = token_path(self.store.state).read_text().strip()
        except OSError:
            token = ""
        if probe(direct_link(self.settings, self.job.port, self.job.ready_path), token, PROBE_S):
            self.was_ready = self.store.settle(self.job, JobState.RUNNING)

    def _tree(self, script: int) -> list[Process]:
        reap_orphans(keep=script)
        return [p for p in job_processes(self.store.mark(self.job), root=os.getpid()) if p.pid != os.getpid()]

    def _after_hanging(self, left: list[Process], exit_code: int | None) -> Verdict | None:
        if self.job.service:
            words = f"it did not answer within {self.job.start_limit_s:.0f} s"
        else:
            words = self._hung or "its process cannot be ended"
        words = not_ended(words, left)
        row = self.store.get(self.job.id)
        if row.state is JobState.STOPPING:
            return Verdict(JobState.STOPPED, not_ended("stopped on request", left), exit_code)
        if row.resumable and row.cut_offs < MOST_HUNG and not left:
            cut_off(self.store, row, words, most=MOST_HUNG, hung=True)
            return None
        return Verdict(JobState.FAILED, words, exit_code)

    def _judge(self, exit_code: int, kills: int) -> Verdict | None:
        """Return how an attempt ended whose script ended by itself."""
        words = reason(Ending(exit_code, tail(self.job.folder / LOG_FILE), kills))
        if self.job.service:
            if self.was_ready:
                ended = "ended by itself" if exit_code == 0 else f"ended by itself: {words}"
                return Verdict(JobState.STOPPED, ended, exit_code)
            return Verdict(JobState.FAILED, f"it ended before it answered: {words}", exit_code)
        if exit_code != 0:
            return Verdict(JobState.FAILED, words, exit_code)
        if self.job.output is None:
            return Verdict(JobState.SUCCEEDED, "", exit_code)
        return self._verify(self.job.output, exit_code)

    def _verify(self, output: Path, exit_code: int) -> Verdict | None:
        """Check the output's manifest beside the watch: hours of frames take minutes to read."""
        with contextlib.suppress(OSError):  # a full disk
            Progress(self.job.folder).stage("checking the output")
        found: list[str] = []
        checking = threading.Thread(target=lambda: found.append(_problem(output)), daemon=True)
        checking.start()
        while checking.is_alive():
            cause = self._ask_row()
            if cause is Cause.STOP:
                return Verdict(JobState.STOPPED, "stopped while its output was checked", exit_code)
            if cause is not None or self.told_to_end:
                return None
            checking.join(timeout=LOOK_EVERY_S)
        problem = found[0] if found else "its output could not be checked"
        if problem:
            return Verdict(JobState.FAILED, f"its output is not whole although it ended well: {problem}", exit_code)
        return Verdict(JobState.SUCCEEDED, "", exit_code)


def main(argv: list[str]) -> None:
    """Claim the attempt, run it, record its end, and leave when nothing waits for this process any more."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger().handlers[0].addFilter(OnlyNew())
    id, attempt = (int(part) for part in argv)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    store = JobStore()
    job = store.claim(id, attempt, identity_of(os.getpid()))
    if job is None:
        return
    prepare(job)
    end_passes = threading.Event()
    try:
        wrapper = Wrapper(store, job, end_passes)
    except InputError as error:  # settings that became invalid since the pass read them
        record(store, job, Verdict(JobState.FAILED, str(error), None))
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(wrapper, "told_to_end", True))
    become_subreaper()
    passes = threading.Thread(target=keep_scheduling, args=(store, end_passes), daemon=True)
    passes.start()
    verdict = wrapper.run()
    end_passes.set()
    passes.join()
    if verdict is not None:
        record(store, job, verdict)
    if not wrapper.told_to_end or verdict is not None:
        hand_over(store)
        tell(store)


def prepare(job: Job) -> None:
    """Put the files of an earlier attempt aside, and write down who runs this one."""
    rotate(job.folder / LOG_FILE, f"{LOG_FILE}.attempt-{job.attempts - 1}", OLD_LOGS)
    (job.folder / PROGRESS_FILE).unlink(missing_ok=True)
    claim = ClaimRecord(
        attempt=job.attempts,
        pid=job.pid or 0,
        start_time=job.start_time or 0,
        boot_id=job.boot_id or "",
        port=job.port,
        gpu_ids=job.gpu_ids,
    )
    try:
        write_record(job.folder, CLAIM_FILE, claim)
    except OSError as error:  # only a damaged table would miss it
        log.warning("the claim of job %d cannot be recorded: %s", job.id, error)


def arguments(job: Job, settings: Settings) -> list[str]:
    """Return what follows the interpreter: the job's command, its GPUs, its address."""
    found = list(job.command)
    if job.slot is Slot.GPU:
        found += ["--gpu-id", *([str(id) for id in job.gpu_ids] or ["cpu"])]
    if job.service:
        found += ["--host", settings.bind_address, "--port", str(job.port)]
    return found


def record(store: JobStore, job: Job, verdict: Verdict) -> None:
    """Write the exit record, then the row. On a full disk both are tried again until one of them is written."""
    ended = datetime.now(UTC)
    exit_record = ExitRecord(attempt=job.attempts, ended=ended, **vars(verdict))
    columns = {"ended": ended.timestamp(), "reason": verdict.reason, "exit_code": verdict.exit_code}
    on_disk = False
    begun = time.monotonic()
    while not on_disk or time.monotonic() - begun < RECORD_S:
        try:
            if not on_disk:
                write_record(job.folder, EXIT_FILE, exit_record)
                on_disk = True
            store.settle(job, verdict.state, **columns)
            return
        except (OSError, sqlite3.Error, InputError) as error:
            log.warning("the end of job %d cannot be recorded now: %s", job.id, error)
            time.sleep(LOOK_EVERY_S)


def hand_over(store: JobStore) -> None:
    """Start what comes next, and stay until its wrapper has come up: this may be the last living process of ours."""
    deadline = time.monotonic() + UNCLAIMED_S + LOOK_EVERY_S
    while time.monotonic() < deadline:
        try:
            scheduling_pass(store)
            if all(job.pid is not None for job in store.list(states=[JobState.STARTING])):
                return
        except (OSError, sqlite3.Error, InputError) as error:
            log.warning("the queue cannot go on now: %s", error)
        time.sleep(TICK_S)


def tell(store: JobStore) -> None:
    """Write the morning report, and send it, if nothing is left to do. It may fail; the job is over all the same."""
    try:
        if all(job.service for job in store.list(states=ACTIVE)):
            from backend.upkeep.morning import report_if_over  # most wrappers never need it

            report_if_over(store.state)
    except Exception as error:
        log.warning("the morning report could not be written: %s", error)


def _pump(pipe: IO[bytes], path: Path) -> None:
    """Copy the script's output into its log until the pipe is closed."""
    written = BoundedLog(path)
    while data := os.read(pipe.fileno(), 65536):
        written.write(data)
    written.close()
    pipe.close()


def _problem(output: Path) -> str:
    try:
        verify(output)
    except (InputError, OSError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(sys.argv[1:])
