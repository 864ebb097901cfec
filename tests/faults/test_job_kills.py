"""The night: wrappers, scripts and apps are killed at random while a queue runs. Nothing gets stuck or torn."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from backend.jobs.job import Job
from backend.jobs.job_states import JobState
from backend.jobs.store import JobStore
from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.project.settings import load_settings, save_settings
from tests.jobs.conftest import installation
from tests.jobs.tools import processes_of, python, said, scheduling, spec, wait_for, wait_until

APP = "import time; from backend.jobs import *; start_scheduler(JobStore()); time.sleep(10_000)"
HAMMER = (
    "import sys; from backend.jobs import *\nstore = JobStore(); print('up', flush=True)\n"
    "while any(not job.state.is_over for job in store.list()): scheduling_pass(store)"
)
TAKEN = "is being written by another process"


@pytest.fixture
def store(tmp_path: Path):
    """A job table of its own; what runs there is killed afterwards."""
    with installation(tmp_path) as folder:
        yield JobStore(folder)


class Night:
    """Apps that come and go, and a killer that knows everything that runs."""

    def __init__(self, store: JobStore, seed: int):
        self.store, self.random = store, random.Random(seed)
        self.apps: list[subprocess.Popen] = []
        self.kills: Counter[str] = Counter()

    def keep_apps(self, count: int) -> None:
        """Start apps until ``count`` of them live."""
        self.apps = [app for app in self.apps if app.poll() is None]
        while len(self.apps) < count:
            self.apps.append(subprocess.Popen([sys.executable, "-c", APP], stderr=subprocess.DEVNULL))

    def kill_one(self) -> None:
        """Kill a wrapper, a script or an app, or stop a job as a person would."""
        what = self.random.choices(["wrapper", "script", "app", "stop"], weights=[5, 1, 2, 1])[0]
        wrappers = {job.pid for job in self.store.list(limit=1000) if job.state.has_process}
        if what == "app":
            targets = [app.pid for app in self.apps]
        elif what == "stop":
            targets = [job.id for job in self.store.list(limit=1000) if not job.state.is_over]
        else:
            ours = {process.pid for process in processes_of(self.store.state)} - {app.pid for app in self.apps}
            targets = sorted(ours & wrappers if what == "wrapper" else ours - wrappers)
        if not targets:
            return
        target = self.random.choice(targets)
        self.kills[what] += 1
        try:
            if what == "stop":
                self.store.stop(target)
            else:
                os.kill(target, signal.SIGKILL)
        except (InputError, ProcessLookupError):
            self.kills[what] -= 1

    def end(self) -> None:
        """Kill the apps."""
        for app in self.apps:
            app.kill()
            app.wait()


def queue_of(store: JobStore, folder: Path, count: int, says: Path) -> list[Job]:
    """Submit ``count`` short jobs; every fifth waits for the one before it."""
    jobs: list[Job] = []
    for number in range(count):
        out = folder / f"out{number}"
        after = (jobs[-1].id,) if number % 5 == 4 else ()
        job = spec("chunks", out, 8, 0.1, "--say", says, output=out, resumable=number % 4 != 3, after=after)
        jobs.append(store.submit(job))
    return jobs


def is_quiet(store: JobStore) -> bool:
    """Whether every job is over."""
    return all(job.state.is_over for job in store.list(limit=1000))


def live_through(store: JobStore, folder: Path, count: int, seconds: float, seed: int) -> None:
    """Run ``count`` jobs through ``seconds`` of kills, then check everything that is promised."""
    says = folder / "says"
    jobs = queue_of(store, folder, count, says)
    night = Night(store, seed)
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not is_quiet(store):
            night.keep_apps(2)
            time.sleep(night.random.uniform(0.05, 0.5))
            night.kill_one()
        night.keep_apps(1)
        wait_until(lambda: is_quiet(store), timeout_s=120, what="a job is stuck")
        check_the_morning(store, jobs, says)
        states = Counter(str(store.get(job.id).state) for job in jobs)
        print(f"seed {seed}, kills {dict(night.kills)}: {dict(states)}")
        retry_all(store, jobs)
    finally:
        night.end()


def check_the_morning(store: JobStore, jobs: list[Job], says: Path) -> None:
    """Nothing is left over, nothing ran twice at once, and every success is one."""
    wait_until(lambda: not [p for p in processes_of(store.state) if marked(p.pid)], what="processes are left over")
    for job in (store.get(job.id) for job in jobs):
        assert TAKEN not in job.reason, f"job {job.id} met another writer in its output"
        assert TAKEN not in "".join(path.read_text() for path in job.folder.glob("log*"))
        assert (job.state is JobState.SUCCEEDED) == (job.reason == "")
        if job.state is JobState.SUCCEEDED:
            assert len(verify(job.output).files) == 8
    ends = Counter(line["job"] for line in said(says) if line["what"] == "end")
    assert all(ends[str(job.id)] >= 1 for job in jobs if store.get(job.id).state is JobState.SUCCEEDED)


def marked(pid: int) -> bool:
    """Whether a process belongs to a job: the apps name the installation, too, but no job."""
    try:
        return b"LEKTRACK_JOB_ID=" in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def retry_all(store: JobStore, jobs: list[Job]) -> None:
    """Without kills, a retry brings everything to a good end."""
    for _ in range(3):  # a dependent that is tried before its dependency fails once more
        for job in jobs:
            if store.get(job.id).state is not JobState.SUCCEEDED:
                store.retry(job.id)
        wait_until(lambda: is_quiet(store), timeout_s=120, what="a retried job is stuck")
    assert {store.get(job.id).state for job in jobs} == {JobState.SUCCEEDED}


def test_six_jobs_live_through_a_few_seconds_of_kills(store, tmp_path):
    live_through(store, tmp_path, count=6, seconds=4, seed=7)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_thirty_jobs_live_through_a_night_of_kills(store, tmp_path, seed):
    live_through(store, tmp_path, count=30, seconds=90, seed=seed)


@pytest.mark.parametrize("count", [8, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_four_processes_that_hammer_the_queue_start_each_job_once(store, tmp_path, count):
    save_settings(load_settings(store.state).model_copy(update={"cpu_slots": 6}), store.state)
    says = tmp_path / "says"
    code = (
        "import sys; from pathlib import Path; from tests.jobs.scripts.chunks import say; say(Path(sys.argv[1]), 'ran')"
    )
    jobs = [store.submit(python(code, str(says))) for _ in range(count)]
    hammers = [
        subprocess.Popen([sys.executable, "-c", HAMMER], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    errors = [hammer.communicate()[1] for hammer in hammers]
    assert errors == [""] * 4
    assert Counter(line["job"] for line in said(says)) == {str(job.id): 1 for job in jobs}
    assert {(job.state, job.attempts) for job in store.list(limit=1000)} == {(JobState.SUCCEEDED, 1)}


def test_a_full_disk_is_the_reason_and_a_retry_goes_on_once_there_is_room(store, tmp_path):
    """The script's own error; the next attempt keeps what the first one had finished."""
    out, full = tmp_path / "out", tmp_path / "full"
    full.touch()
    code = (
        "import sys, errno; from pathlib import Path; from tests.jobs.scripts import chunks\n"
        "from backend.jobs.script import run_script; whole = chunks.atomic_write\n"
        "def write(path, data):\n"
        f"    if path.name == '000005.txt' and Path({str(full)!r}).exists():\n"
        "        raise OSError(errno.ENOSPC, 'No space left on device', str(path))\n"
        "    whole(path, data)\n"
        "chunks.atomic_write = write; run_script('chunks', chunks.main)"
    )
    with scheduling(store):
        job = store.submit(python(code, str(out), "10", "0.01", output=out, resumable=True))
        job = wait_for(store, job)
        assert job.state is JobState.FAILED
        assert "no space is left on the disk" in job.reason
        assert str(out / "000005.txt") in job.reason
        kept = {path.name: path.stat().st_mtime_ns for path in out.glob("0*.txt")}
        assert len(kept) == 5
        full.unlink()
        store.retry(job.id)
        assert wait_for(store, job).state is JobState.SUCCEEDED
        assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
