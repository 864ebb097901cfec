"""Who a process is, and that signals reach exactly those that are meant. Real processes throughout."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from backend.jobs.process import (
    JobMark,
    Process,
    ProcessIdentity,
    Sight,
    boot_id,
    identity_of,
    job_processes,
    launch,
    look,
    observe,
    send,
    stop_tree,
)
from tests.jobs.tools import wait_until

SLEEP = "import time; time.sleep(100)"


@pytest.fixture
def start(tmp_path):
    """Start Python code with variables in its environment; it is killed at the end."""
    started = []

    def begin(code: str = SLEEP, mark: JobMark | None = None, **options) -> subprocess.Popen:
        environment = {**os.environ, **(mark.environment(tmp_path) if mark else {})}
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, **options)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def mark(state) -> JobMark:
    """The mark of an attempt of a job of the test's installation."""
    return JobMark(state, job=7, attempt=2)


def pids(processes: list[Process]) -> set[int]:
    """Return their pids."""
    return {process.pid for process in processes}


class TestObserve:
    def test_a_living_process_with_the_mark_is_alive(self, start, mark):
        assert observe(identity_of(start(mark=mark).pid), mark) is Sight.ALIVE

    def test_an_ended_child_that_nobody_waited_for_is_a_zombie(self, start, mark):
        process = start("", mark=mark)
        identity = identity_of(process.pid)
        wait_until(lambda: look(process.pid).state == "Z")
        assert observe(identity, mark) is Sight.ZOMBIE

    def test_an_ended_process_is_gone(self, start, mark):
        process = start(mark=mark)
        identity = identity_of(process.pid)
        process.kill()
        process.wait()
        assert observe(identity, mark) is Sight.GONE
        with pytest.raises(ProcessLookupError):
            identity_of(process.pid)

    @pytest.mark.parametrize(
        "other",
        [
            {"job": 8},
            {"attempt": 1},
            {"attempt": 3},
            {"state": Path("/elsewhere")},
        ],
        ids=["another job", "an older attempt", "a newer attempt", "another installation"],
    )
    def test_a_process_with_another_mark_is_a_stranger(self, start, mark, other):
        process = start(mark=replace(mark, **other))
        wait_until(lambda: b"LEKTRACK_JOB_ID" in Path(f"/proc/{process.pid}/environ").read_bytes())
        assert observe(identity_of(process.pid), mark) is Sight.STRANGER

    def test_a_process_without_a_mark_is_a_stranger(self, start, mark):
        identity = identity_of(start().pid)
        wait_until(lambda: Path(f"/proc/{identity.pid}/environ").read_bytes(), what="exec has happened")
        assert observe(identity, mark) is Sight.STRANGER
        assert observe(identity_of(os.getpid()), mark) is Sight.STRANGER

    def test_a_process_with_an_empty_environment_is_a_stranger_once_it_is_not_young(self, start, mark, monkeypatch):
        process = subprocess.Popen([sys.executable, "-S", "-E", "-c", SLEEP], env={})
        try:
            assert observe(identity_of(process.pid), mark) is Sight.ALIVE
            monkeypatch.setattr("backend.jobs.process.YOUNG_TICKS", 0)
            assert observe(identity_of(process.pid), mark) is Sight.STRANGER
        finally:
            process.kill()
            process.wait()

    def test_a_pid_that_was_used_again_is_a_stranger(self, start, mark):
        identity = identity_of(start(mark=mark).pid)
        assert observe(replace(identity, start_time=identity.start_time - 1), mark) is Sight.STRANGER

    def test_after_another_boot_every_process_is_gone(self, start, mark):
        identity = identity_of(start(mark=mark).pid)
        assert observe(replace(identity, boot_id="another"), mark) is Sight.GONE

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root to run something as another user")
    def test_a_process_of_another_user_is_unreadable_but_not_taken_for_dead(self, start, mark, state):
        process = start(mark=mark)
        identity = identity_of(process.pid)
        look_as_nobody = (
            "import os; from pathlib import Path; from backend.jobs.process import *\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            f"mark = JobMark(Path({str(state)!r}), 7, 2)\n"
            f"identity = ProcessIdentity({identity.pid}, {identity.start_time}, {identity.boot_id!r})\n"
            "print(observe(identity, mark), send(identity, 9))"
        )
        found = subprocess.run([sys.executable, "-c", look_as_nobody], capture_output=True, text=True)
        assert found.stdout.split() == ["unreadable", "False"], found.stderr
        assert process.poll() is None

    def test_a_name_with_brackets_and_spaces_confuses_nobody(self, start, mark, tmp_path):
        odd = tmp_path / "a) Z 1 (b"
        odd.symlink_to("/bin/sleep")
        process = subprocess.Popen([str(odd), "100"], env={**os.environ, **mark.environment(tmp_path)})
        try:
            wait_until(lambda: ") Z" in Path(f"/proc/{process.pid}/stat").read_text())
            assert look(process.pid).parent == os.getpid()
            assert observe(identity_of(process.pid), mark) is Sight.ALIVE
        finally:
            process.kill()
            process.wait()


class TestSend:
    def test_a_signal_reaches_the_process(self, start, mark):
        process = start(mark=mark)
        assert send(identity_of(process.pid), signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM

    def test_one_that_got_the_pid_later_is_not_signalled(self, start):
        process = start()
        identity = identity_of(process.pid)
        assert not send(replace(identity, start_time=identity.start_time - 1), signal.SIGKILL)
        assert process.poll() is None

    def test_a_process_that_is_gone_is_no_error(self):
        nobody = 2**22 + 1  # above what Linux gives (PID_MAX_LIMIT)
        assert not send(ProcessIdentity(nobody, 1, boot_id()), signal.SIGKILL)

    def test_without_pidfd_the_start_time_still_protects(self, start, monkeypatch):
        def missing(pid: int) -> int:
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(os, "pidfd_open", missing)
        process = start()
        identity = identity_of(process.pid)
        assert not send(replace(identity, start_time=1), signal.SIGKILL)
        assert send(identity, signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM


class TestJobProcesses:
    def test_found_by_mark_with_this_or_an_older_attempt(self, start, mark):
        ours = [start(mark=mark), start(mark=replace(mark, attempt=1))]
        start(mark=replace(mark, attempt=3))
        start(mark=replace(mark, job=8))
        start(mark=replace(mark, state=Path("/elsewhere")))
        start()
        wait_until(lambda: pids(job_processes(mark)) == {process.pid for process in ours})

    def test_found_below_a_marked_one_although_it_lost_its_own_mark(self, start, mark):
        """As programs do that write their title over their environment."""
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {SLEEP!r}], env={{'A': '1'}})"
        parent = start(code, mark=mark)
        wait_until(lambda: len(job_processes(mark)) == 2)
        assert stop_tree(lambda: job_processes(mark), term_s=0.0) == []
        assert parent.wait() == -signal.SIGKILL
        assert not [found for found in all_processes() if found.parent == parent.pid]

    def test_found_as_descendants_unless_they_are_of_another_job(self, start, mark):
        before = pids(job_processes(mark, root=os.getpid()))  # helpers that other tests left with this process
        unmarked = start()
        start(mark=replace(mark, job=8))
        wait_until(lambda: pids(job_processes(mark, root=os.getpid())) >= {unmarked.pid})
        wait_until(lambda: pids(job_processes(mark, root=os.getpid())) - before == {unmarked.pid})

    def test_what_another_job_started_is_not_ours(self, start, mark):
        """A wrapper that starts another job's wrapper must not stop it with its own script."""
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {SLEEP!r}], env={{'A': '1'}})"
        before = pids(job_processes(mark, root=os.getpid()))
        other = start(code, mark=replace(mark, job=8))
        wait_until(lambda: any(look_at.parent == other.pid for look_at in all_processes()))
        assert pids(job_processes(mark, root=os.getpid())) <= before


def all_processes() -> list[Process]:
    """Return every process of the machine."""
    return [found for name in os.listdir("/proc") if name.isdigit() and (found := look(int(name)))]


class TestStopTree:
    def test_a_friendly_tree_ends_at_once(self, start, mark):
        process = start("import os; os.fork(); " + SLEEP, mark=mark)
        wait_until(lambda: len(job_processes(mark)) == 2)
        assert stop_tree(lambda: job_processes(mark), term_s=3600.0) == []  # whose end it does not wait for
        assert process.wait() == -signal.SIGTERM

    def test_what_ignores_sigterm_is_killed_when_its_time_is_over(self, start, mark):
        code = "import os, signal; signal.signal(15, signal.SIG_IGN); os.fork() or os.setsid(); " + SLEEP
        process = start(code, mark=mark)
        wait_until(lambda: len(job_processes(mark)) == 2)
        begun = time.monotonic()
        assert stop_tree(lambda: job_processes(mark), term_s=1.0) == []
        assert time.monotonic() - begun >= 1.0
        assert process.wait() == -signal.SIGKILL

    def test_a_tree_that_grows_while_it_is_stopped_ends(self, start, mark):
        """Each process forks on SIGTERM and ends; a list made once would miss the children."""
        code = (
            "import os, signal, time\n"
            "def again(*_):\n"
            "    if depth < 5 and os.fork():\n        os._exit(0)\n"
            "    globals().update(depth=depth + 1)\n"
            "depth = 0; signal.signal(15, again)\n"
            "while True: time.sleep(100)"
        )
        start(code, mark=mark)
        wait_until(lambda: len(job_processes(mark)) == 1)
        assert stop_tree(lambda: job_processes(mark), term_s=2.0) == []
        assert job_processes(mark) == []


class TestLaunch:
    def test_it_has_a_session_of_its_own_no_terminal_and_the_mark(self, state, mark, tmp_path):
        code = (
            "import os, sys; print(os.getsid(0) == os.getpid(), os.read(0, 1), os.environ['LEKTRACK_JOB_ID'],"
            " oct(os.umask(0)), os.getcwd())"
        )
        process = launch(["-c", code], {**os.environ, **mark.environment(tmp_path)}, tmp_path / "out")
        assert process.wait(20) == 0
        from backend.project.settings import REPOSITORY

        assert (tmp_path / "out").read_text() == f"True b'' 7 0o22 {REPOSITORY}\n"
        assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
