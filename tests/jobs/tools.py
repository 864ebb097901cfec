"""Waiting for what other processes do, and the small scripts that tests run as jobs."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from backend.jobs.job import Job, JobSpec
from backend.jobs.job_states import JobState
from backend.jobs.process import STATE_VARIABLE, Process, snapshot
from backend.jobs.schedule import keep_scheduling
from backend.jobs.store import JobStore


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0, what: str = "") -> None:
    """Poll ``condition`` until it holds; AssertionError after ``timeout_s``."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, what or f"not within {timeout_s} s: {condition}"
        time.sleep(0.02)


def stays(condition: Callable[[], object], seconds: float) -> None:
    """Poll ``condition``, which must hold all the while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"not for {seconds} s: {condition}"
        time.sleep(0.02)


def wait_for(store: JobStore, job: Job, *states: JobState, timeout_s: float = 20.0) -> Job:
    """Poll a job until it is in one of ``states`` (any that is over, if none is given) and return it."""

    def there() -> bool:
        now = store.get(job.id).state
        return now in states if states else now.is_over

    end = time.monotonic() + timeout_s
    while not there():
        now = store.get(job.id)
        assert time.monotonic() < end, f"job {job.id} is {now.state} ({now.reason}): {store.log_tail(job.id, 20)}"
        time.sleep(0.02)
    return store.get(job.id)


def spec(script: str, *arguments: object, **fields: object) -> JobSpec:
    """Return a job that runs ``tests/jobs/scripts/SCRIPT.py``."""
    command = ("-m", f"tests.jobs.scripts.{script}", *(str(argument) for argument in arguments))
    return JobSpec(**{"kind": "test", "title": f"{script} {' '.join(command[2:])}", "command": command, **fields})


def python(text: str, *arguments: str, **fields: object) -> JobSpec:
    """Return a job that runs a few lines of Python."""
    return JobSpec(**{"kind": "test", "title": "a few lines", "command": ("-c", text, *arguments), **fields})


@contextlib.contextmanager
def scheduling(store: JobStore) -> Iterator[None]:
    """Run the scheduling pass as the app does, until the block ends."""
    end = threading.Event()
    thread = threading.Thread(target=keep_scheduling, args=(store, end))
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def processes_of(state: Path, job: int | None = None) -> list[Process]:
    """Return the living processes that name an installation (and job) in their environment."""
    wanted = {f"{STATE_VARIABLE}={state}".encode()} | ({f"LEKTRACK_JOB_ID={job}".encode()} if job else set())
    found = []
    for process in snapshot():
        with contextlib.suppress(OSError):
            variables = set(Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"))
            if process.is_alive and wanted <= variables and process.pid != os.getpid():
                found.append(process)
    return found


def kill_all(state: Path) -> None:
    """Kill whatever a test has left of an installation."""
    for _ in range(100):
        left = processes_of(state)
        if not left:
            return
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.05)
    raise AssertionError(f"cannot be killed: {left}")


def said(path: Path) -> list[dict]:
    """Return the JSON lines that scripts of a test have appended to ``path``."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
