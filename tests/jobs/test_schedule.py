"""What starts when: order, slots, GPUs, ports, dependencies; and rows whose processes are not what they should be."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.jobs import schedule
from backend.jobs.database import Database
from backend.jobs.job import Job
from backend.jobs.job_files import EXIT_FILE, ExitRecord, write_record
from backend.jobs.job_states import JobState, Slot
from backend.jobs.process import JobMark, identity_of
from backend.jobs.progress import Progress
from backend.jobs.schedule import CUT_OFF, MOST_CUT_OFFS, UNCLAIMED_S, scheduling_pass
from backend.jobs.slots import GpuError
from backend.jobs.store import JobStore
from backend.project.settings import Settings, load_settings, save_settings
from tests.jobs.tools import python
from tests.ports import unused_ports

QUEUED, STARTING, RUNNING, STOPPING = JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.STOPPING
FAILED, STOPPED, LOST, SUCCEEDED = JobState.FAILED, JobState.STOPPED, JobState.LOST, JobState.SUCCEEDED


class Shelf:
    """A launcher that starts nothing and remembers what it was asked for."""

    def __init__(self, error: OSError | None = None):
        self.started: list[int] = []
        self.over: set[JobMark] = set()
        self.error = error

    def start(self, job: Job, mark: JobMark) -> None:
        if self.error is not None:
            raise self.error
        self.started.append(job.id)

    def ended(self) -> set[JobMark]:
        return self.over


@pytest.fixture
def shelf() -> Shelf:
    """See `Shelf`."""
    return Shelf()


@pytest.fixture
def gpus(monkeypatch):
    """Set which GPUs the machine has; an exception is what NVML says instead."""

    def have(found: tuple[int, ...] | Exception) -> None:
        def ids(settings: Settings) -> tuple[int, ...]:
            if isinstance(found, Exception):
                raise found
            return tuple(id for id in found if settings.gpus is None or id in settings.gpus)

        monkeypatch.setattr(schedule._gpus, "ids", ids)

    return have


def put(store: JobStore, job: Job, **columns: object) -> Job:
    """Write columns of a row, whatever the rules are."""
    names = ", ".join(f"{name} = ?" for name in columns)
    with store.database.writing() as connection:
        connection.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*columns.values(), job.id))
    return store.get(job.id)


def claimed_by(store: JobStore, job: Job, pid: int, **columns: object) -> Job:
    """Make a living process the wrapper of a running job."""
    found = identity_of(pid)
    names = {"pid": pid, "start_time": found.start_time, "boot_id": found.boot_id}
    return put(store, job, **{"state": RUNNING, "attempts": 1, "started": time.time(), **names, **columns})


def settings(store: JobStore, **fields: object) -> None:
    """Change settings of the installation."""
    save_settings(load_settings(store.state).model_copy(update=fields), store.state)


def states(store: JobStore) -> list[JobState]:
    """Return the state of every job, oldest first."""
    return [job.state for job in reversed(store.list())]


class TestCpuSlots:
    def test_first_come_first_served_up_to_the_slots(self, store, shelf):
        for _ in range(6):
            store.submit(python(""))
        scheduling_pass(store, shelf)
        assert states(store) == [STARTING] * 4 + [QUEUED] * 2
        assert shelf.started == [1, 2, 3, 4]
        scheduling_pass(store, shelf)
        assert shelf.started == [1, 2, 3, 4]

    def test_a_slot_is_free_again_when_its_job_is_over(self, store, shelf):
        settings(store, cpu_slots=1)
        jobs = [store.submit(python("")) for _ in range(2)]
        scheduling_pass(store, shelf)
        put(store, jobs[0], state=SUCCEEDED)
        scheduling_pass(store, shelf)
        assert states(store) == [SUCCEEDED, STARTING]

    def test_a_job_without_a_slot_never_waits(self, store, shelf):
        settings(store, cpu_slots=1)
        for slot in (Slot.CPU, Slot.NONE, Slot.NONE):
            store.submit(python("", slot=slot))
        scheduling_pass(store, shelf)
        assert states(store) == [STARTING] * 3

    def test_fewer_slots_than_before_stop_nothing(self, store, shelf):
        for _ in range(3):
            store.submit(python(""))
        scheduling_pass(store, shelf)
        settings(store, cpu_slots=1)
        store.submit(python(""))
        scheduling_pass(store, shelf)
        assert states(store) == [STARTING] * 3 + [QUEUED]


class TestGpuSlots:
    def test_each_job_gets_gpus_of_its_own(self, store, shelf, gpus):
        gpus((0, 1, 2))
        for count in (1, 2, 1):
            store.submit(python("", slot=Slot.GPU, gpus=count))
        scheduling_pass(store, shelf)
        assert [job.gpu_ids for job in reversed(store.list())] == [(0,), (1, 2), ()]
        assert states(store) == [STARTING, STARTING, QUEUED]
        put(store, store.get(1), state=SUCCEEDED)
        scheduling_pass(store, shelf)
        assert store.get(3).gpu_ids == (0,)

    def test_only_those_that_the_settings_allow(self, store, shelf, gpus):
        gpus((0, 1, 2))
        settings(store, gpus=(2,))
        store.submit(python("", slot=Slot.GPU))
        scheduling_pass(store, shelf)
        assert store.get(1).gpu_ids == (2,)

    def test_a_job_with_two_gpus_is_not_starved_by_those_with_one(self, store, shelf, gpus):
        gpus((0, 1))
        for count in (1, 2, 1):
            store.submit(python("", slot=Slot.GPU, gpus=count))
        scheduling_pass(store, shelf)
        assert states(store) == [STARTING, QUEUED, QUEUED]

    def test_cpu_jobs_pass_gpu_jobs_that_wait(self, store, shelf, gpus):
        gpus((0,))
        for slot in (Slot.GPU, Slot.GPU, Slot.CPU):
            store.submit(python("", slot=slot))
        scheduling_pass(store, shelf)
        assert states(store) == [STARTING, QUEUED, STARTING]

    def test_more_gpus_than_there_are_is_refused_in_words(self, store, shelf, gpus):
        gpus((0,))
        store.submit(python("", slot=Slot.GPU, gpus=2))
        store.submit(python("", slot=Slot.GPU))
        scheduling_pass(store, shelf)
        assert states(store) == [FAILED, STARTING]
        assert store.get(1).reason == "2 GPUs were asked for, jobs may use 1 (Settings, GPUs)"

    def test_without_a_gpu_they_take_cpu_slots_in_order(self, store, shelf, gpus):
        gpus(())
        settings(store, cpu_slots=2)
        for slot in (Slot.GPU, Slot.CPU, Slot.GPU):
            store.submit(python("", slot=slot, gpus=4 if slot is Slot.GPU else 1))
        scheduling_pass(store, shelf)
        assert states(store) == [STARTING, STARTING, QUEUED]
        assert store.get(1).gpu_ids == ()

    def test_a_service_for_the_gpu_never_takes_a_cpu_slot(self, store, shelf, gpus):
        gpus(())
        settings(store, cpu_slots=1)
        store.submit(python("", slot=Slot.GPU, service=True))
        store.submit(python(""))
        scheduling_pass(store, shelf)
        assert states(store) == [STARTING, STARTING]

    def test_one_that_comes_in_while_a_pass_runs_is_not_taken_for_one_without_a_gpu(
        self, store, shelf, gpus, monkeypatch
    ):
        gpus((0,))
        look = schedule._gpus_now

        def look_too_early(*arguments):
            found = look(*arguments)
            store.submit(python("", slot=Slot.GPU))
            return found

        store.submit(python(""))
        monkeypatch.setattr(schedule, "_gpus_now", look_too_early)
        scheduling_pass(store, shelf)
        assert states(store) == [STARTING, QUEUED]
        assert store.get(2).reason == ""
        monkeypatch.setattr(schedule, "_gpus_now", look)
        scheduling_pass(store, shelf)
        assert (store.get(2).state, store.get(2).gpu_ids) == (STARTING, (0,))

    def test_a_driver_that_fails_holds_gpu_jobs_back_and_nothing_else(self, store, shelf, gpus):
        gpus(GpuError("Driver/library version mismatch"))
        store.submit(python("", slot=Slot.GPU))
        store.submit(python(""))
        store.submit(python("", service=True))
        scheduling_pass(store, shelf)
        assert states(store) == [QUEUED, STARTING, STARTING]
        assert "the GPUs do not answer (Driver/library version mismatch)" in store.get(1).reason


class TestPorts:
    def test_each_service_gets_one_that_nobody_listens_on(self, store, shelf):
        first, *_, last = unused_ports(4)
        settings(store, port_range=(first, last))
        with socket.create_server(("127.0.0.1", first)):
            for _ in range(2):
                store.submit(python("", service=True))
            scheduling_pass(store, shelf)
        ports = [job.port for job in store.list()]
        assert len(set(ports)) == 2
        assert first not in ports
        assert all(first < port <= last for port in ports)

    def test_when_all_are_taken_the_service_waits_and_says_so(self, store, shelf):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            settings(store, port_range=(port, port))
            store.submit(python("", service=True))
            store.submit(python(""))
            scheduling_pass(store, shelf)
            assert states(store) == [QUEUED, STARTING]
            assert f"ports {port} to {port} are all taken" in store.get(1).reason


class TestDependencies:
    def test_a_job_waits_until_all_it_needs_succeeded_and_others_pass(self, store, shelf):
        a, b = store.submit(python("")), store.submit(python(""))
        store.submit(python("", after=(a.id, b.id)))
        store.submit(python(""))
        scheduling_pass(store, shelf)
        assert states(store) == [STARTING, STARTING, QUEUED, STARTING]
        put(store, a, state=SUCCEEDED)
        scheduling_pass(store, shelf)
        assert store.get(3).state is QUEUED
        put(store, b, state=SUCCEEDED)
        scheduling_pass(store, shelf)
        assert store.get(3).state is STARTING

    @pytest.mark.parametrize(
        ("end", "words"), [(FAILED, "failed"), (STOPPED, "was stopped"), (LOST, "was lost")], ids=str
    )
    def test_what_waits_for_a_job_that_did_not_succeed_fails_with_that_reason(self, store, shelf, end, words):
        first = store.submit(python("", title="the first"))
        second = store.submit(python("", title="the second", after=(first.id,)))
        third = store.submit(python("", after=(second.id,)))
        put(store, first, state=end)
        scheduling_pass(store, shelf)
        assert states(store) == [end, FAILED, FAILED]
        assert store.get(second.id).reason == f"job 1 (the first), which it waited for, {words}"
        assert store.get(third.id).reason == "job 2 (the second), which it waited for, failed"
        assert store.get(third.id).ended is not None

    def test_a_retry_of_the_dependent_runs_once_the_first_succeeded(self, store, shelf):
        first = store.submit(python(""))
        second = store.submit(python("", after=(first.id,)))
        put(store, first, state=FAILED)
        scheduling_pass(store, shelf)
        store.retry(first.id)
        store.retry(second.id)
        scheduling_pass(store, shelf)
        assert states(store) == [STARTING, QUEUED]

    def test_what_succeeded_and_was_removed_is_no_hindrance(self, store, shelf):
        first = store.submit(python(""))
        second = store.submit(python("", after=(first.id,)))
        put(store, first, state=SUCCEEDED)
        put(store, second, state=FAILED)
        store.remove(first.id)
        store.retry(second.id)
        scheduling_pass(store, shelf)
        assert store.get(second.id).state is STARTING


class TestUnclaimed:
    def test_a_wrapper_that_does_not_come_up_is_started_again_three_times(self, store, shelf):
        job = store.submit(python(""))
        for attempt in range(1, MOST_CUT_OFFS + 2):
            scheduling_pass(store, shelf)
            assert (store.get(job.id).state, store.get(job.id).attempts) == (STARTING, attempt)
            scheduling_pass(store, shelf)
            assert store.get(job.id).attempts == attempt
            put(store, job, started=time.time() - UNCLAIMED_S - 1)
        scheduling_pass(store, shelf)
        assert store.get(job.id).state is FAILED
        assert "could not be started: its wrapper did not come up within 60 s" in store.get(job.id).reason

    def test_one_that_ended_where_it_was_started_is_not_waited_for(self, store, shelf):
        job = store.submit(python(""))
        scheduling_pass(store, shelf)
        (job.folder / "wrapper.log").write_text("ModuleNotFoundError: No module named 'pydantic'\n")
        shelf.over = {JobMark(store.state, job.id, attempt) for attempt in range(10)}
        for _ in range(MOST_CUT_OFFS + 1):
            scheduling_pass(store, shelf)
        assert store.get(job.id).state is FAILED
        assert store.get(job.id).reason == "could not be started: ModuleNotFoundError: No module named 'pydantic'"

    def test_a_machine_without_processes_to_spare_is_a_reason(self, store):
        job = store.submit(python(""))
        for _ in range(MOST_CUT_OFFS + 1):
            scheduling_pass(store, Shelf(BlockingIOError(11, "Resource temporarily unavailable")))
        assert store.get(job.id).state is FAILED
        assert "Resource temporarily unavailable" in store.get(job.id).reason

    def test_a_wrapper_that_comes_too_late_gets_nothing(self, store, shelf):
        job = store.submit(python(""))
        scheduling_pass(store, shelf)
        put(store, job, started=time.time() - UNCLAIMED_S - 1)
        scheduling_pass(store, shelf)
        me = identity_of(os.getpid())
        assert store.claim(job.id, 1, me) is None
        assert store.claim(job.id, 2, me).state is RUNNING
        assert store.claim(job.id, 2, me) is None

    def test_a_stop_before_the_wrapper_came_up_ends_it_and_the_wrapper_gets_nothing(self, store, shelf):
        job = store.submit(python(""))
        scheduling_pass(store, shelf)
        assert store.stop(job.id).state is STOPPING
        assert store.claim(job.id, 1, identity_of(os.getpid())) is None
        scheduling_pass(store, shelf)
        assert (store.get(job.id).state, store.get(job.id).reason) == (STOPPED, "stopped before it began")


class TestReconcile:
    @pytest.fixture
    def stranger(self):
        """A living process that has nothing to do with us."""
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        yield process
        assert process.poll() is None, "a stranger was signalled"
        process.kill()
        process.wait()

    @pytest.mark.parametrize("start_time", ["its own", "an older one"])
    def test_a_strangers_pid_makes_the_job_lost_and_no_signal_is_sent(self, store, shelf, stranger, start_time):
        job = claimed_by(store, store.submit(python("")), stranger.pid)
        # between fork and exec nobody can tell a stranger from one of ours
        while not Path(f"/proc/{stranger.pid}/environ").read_bytes():
            time.sleep(0.01)
        if start_time == "an older one":
            put(store, job, start_time=job.start_time - 100)
        scheduling_pass(store, shelf)
        assert (store.get(job.id).state, store.get(job.id).reason) == (LOST, CUT_OFF)

    def test_a_stop_of_such_a_record_signals_nobody_either(self, store, shelf, stranger):
        job = claimed_by(store, store.submit(python("")), stranger.pid, start_time=1)
        store.stop(job.id)
        scheduling_pass(store, shelf)
        assert store.get(job.id).state is STOPPED

    def test_after_a_reboot_what_can_resume_is_queued_and_the_rest_is_lost(self, store, shelf, stranger):
        one = claimed_by(store, store.submit(python("", resumable=True)), stranger.pid, boot_id="before")
        two = claimed_by(store, store.submit(python("")), stranger.pid, boot_id="before")
        settings(store, cpu_slots=1)
        scheduling_pass(store, shelf)
        assert (store.get(one.id).state, store.get(one.id).attempts) == (STARTING, 2)
        assert store.get(two.id).state is LOST

    def test_a_job_is_queued_again_three_times_then_lost(self, store, shelf):
        job = store.submit(python("", resumable=True))
        for cut in range(MOST_CUT_OFFS + 1):
            scheduling_pass(store, shelf)
            assert (store.get(job.id).state, store.get(job.id).cut_offs) == (STARTING, cut)
            claimed_by(store, job, os.getpid(), attempts=store.get(job.id).attempts, boot_id="before")
        scheduling_pass(store, shelf)
        assert store.get(job.id).state is LOST
        assert store.get(job.id).reason == f"{CUT_OFF} 4 times in a row"

    def test_attempts_that_get_further_do_not_count_and_the_same_place_again_does(self, store, shelf):
        job = store.submit(python("", resumable=True))
        for done, expected in ((10, 0), (20, 1), (30, 1), (30, 1), (5, 2), (31, 3), (0, 1)):
            scheduling_pass(store, shelf)
            assert (store.get(job.id).state, store.get(job.id).cut_offs) == (STARTING, expected)
            claimed_by(store, job, os.getpid(), attempts=store.get(job.id).attempts, boot_id="before")
            with Progress(job.folder) as progress:
                progress.stage("frames", 100)
                progress.update(done)
        scheduling_pass(store, shelf)
        assert store.get(job.id).state is STARTING

    def test_a_retry_counts_anew(self, store, shelf):
        job = claimed_by(store, store.submit(python("", resumable=True)), os.getpid(), boot_id="before", cut_offs=3)
        scheduling_pass(store, shelf)
        assert store.retry(job.id).cut_offs == 0

    def test_an_exit_record_that_the_table_has_not_heard_of_is_applied(self, store, shelf):
        job = claimed_by(store, store.submit(python("", resumable=True)), os.getpid(), boot_id="before")
        ended = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
        record = ExitRecord(attempt=1, state=FAILED, exit_code=1, reason="it broke", ended=ended)
        write_record(job.folder, EXIT_FILE, record)
        scheduling_pass(store, shelf)
        job = store.get(job.id)
        assert (job.state, job.exit_code, job.reason, job.ended) == (FAILED, 1, "it broke", ended)

    def test_that_of_an_earlier_attempt_is_not(self, store, shelf):
        job = claimed_by(store, store.submit(python("")), os.getpid(), boot_id="before", attempts=2)
        record = ExitRecord(attempt=1, state=SUCCEEDED, exit_code=0, reason="", ended=datetime.now(UTC))
        write_record(job.folder, EXIT_FILE, record)
        scheduling_pass(store, shelf)
        assert store.get(job.id).state is LOST

    def test_what_a_dead_wrapper_left_is_killed_before_anything_else(self, store, shelf, tmp_path):
        job = claimed_by(store, store.submit(python("", resumable=True)), os.getpid(), boot_id="x")
        job = put(store, job, boot_id=identity_of(os.getpid()).boot_id, start_time=1)
        environment = {**os.environ, **store.mark(job).environment(tmp_path)}
        code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(100)"
        left = subprocess.Popen([sys.executable, "-c", code], env=environment)
        newer = JobMark(store.state, job.id, 2).environment(tmp_path)
        next_attempt = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **newer})
        while b"LEKTRACK" not in Path(f"/proc/{left.pid}/environ").read_bytes():
            time.sleep(0.01)
        scheduling_pass(store, shelf)
        assert left.wait(5) == -signal.SIGKILL
        assert (store.get(job.id).state, store.get(job.id).attempts) == (STARTING, 2)
        assert next_attempt.poll() is None
        next_attempt.kill()
        next_attempt.wait()


def test_a_broken_settings_file_stops_starts_but_not_the_truth(store, shelf):
    lost = claimed_by(store, store.submit(python("")), os.getpid(), boot_id="before")
    store.submit(python(""))
    (store.state / "settings.toml").write_text("cpu_slots = 0\n")
    with pytest.raises(ValueError, match="cpu_slots"):
        scheduling_pass(store, shelf)
    assert states(store) == [LOST, QUEUED]
    assert lost.id == 1


@contextlib.contextmanager
def counted_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[None]]:
    """Yield a list that grows by one for every 100 instructions that SQLite executes on the job table."""
    steps: list[None] = []
    connect = Database._connect

    def counting(database: Database) -> sqlite3.Connection:
        connection = connect(database)
        connection.set_progress_handler(lambda: steps.append(None), 100)
        return connection

    with monkeypatch.context() as changed:
        changed.setattr(Database, "_connect", counting)
        yield steps


@pytest.mark.parametrize(  # SQLite needs 30 instructions for a row that waits
    ("waiting", "most_steps"),
    [(False, 100_000), (True, 600_000)],
    ids=["ten thousand that are over", "ten thousand that wait"],
)
def test_a_pass_is_short_with_ten_thousand_rows(store, shelf, waiting, most_steps, monkeypatch):
    settings(store, cpu_slots=1)
    first = store.submit(python(""))
    state = "queued" if waiting else "failed"
    with store.database.writing() as connection:
        connection.execute("UPDATE jobs SET state = 'starting', started = ? WHERE id = 1", (time.time(),))
        names = "kind, title, command, videos, user, slot, gpus, resumable, service, ready_path, start_limit_s, created"
        copy = f"INSERT INTO jobs ({names}, state) SELECT {names}, '{state}' FROM jobs WHERE id = 1"
        for _ in range(10_000):
            connection.execute(copy)
        connection.execute("INSERT INTO needs SELECT id, 1 FROM jobs WHERE id > 1")
    scheduling_pass(store, shelf)
    with counted_steps(monkeypatch) as steps:
        scheduling_pass(store, shelf)
    assert 0 < 100 * len(steps) < most_steps
    assert store.get(first.id).state is STARTING
