"""Jobs from submit to end, as real processes: how they end, how they are stopped, what a kill of their parts does."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.jobs.job import Job
from backend.jobs.job_states import JobState
from backend.jobs.process import KILL_S, TERM_S, Sight, identity_of, look, observe
from backend.jobs.schedule import scheduling_pass
from backend.jobs.store import JobStore
from backend.jobs.wrapper import TICK_S
from backend.project.manifest import verify
from backend.project.settings import load_settings
from tests.jobs.conftest import installation
from tests.jobs.tools import kill_all, processes_of, python, said, scheduling, spec, stays, wait_for, wait_until

RUNNING, STOPPING = JobState.RUNNING, JobState.STOPPING
FAILED, STOPPED, LOST, SUCCEEDED = JobState.FAILED, JobState.STOPPED, JobState.LOST, JobState.SUCCEEDED


def started(store: JobStore, job: Job) -> Job:
    """Wait until a job's script has begun its work."""
    wait_for(store, job, RUNNING)
    wait_until(lambda: job.output is None or any(job.output.glob("0*.txt")))
    return store.get(job.id)


FAILURES = {
    "exit 1": ("raise SystemExit(1)", 1, "it ended with exit code 1 and said nothing"),
    "an exception": ("print('x'); raise KeyError('masks')", 1, "it ended with exit code 1: KeyError: 'masks'"),
    "SIGKILL": ("import os; os.kill(os.getpid(), 9)", -9, "it was killed from outside (SIGKILL), most often because"),
    "SIGTERM": ("import os; os.kill(os.getpid(), 15)", -15, "it crashed with SIGTERM"),
    "SIGABRT": ("import os; os.abort()", -6, "it crashed with SIGABRT"),
    "out of memory": ("raise MemoryError", 1, "the machine's memory ran out: MemoryError"),
    "a missing module": (
        "import no_such_module",
        1,
        "a Python package is missing or broken; run setup.sh again",
    ),
    "bad input": (
        "from backend.project.errors import InputError\nfrom backend.jobs.script import run_script\n"
        "def main(argv): raise InputError('--to-frame 900 is beyond the video, which has 500 frames')\n"
        "run_script('export_frames', main)",
        2,
        "the input was refused: --to-frame 900 is beyond the video, which has 500 frames",
    ),
    "a full disk": ("open('/dev/full', 'wb', 0).write(b'1')", 1, "no space is left on the disk"),
    "a worker that ends": (
        "import os; from concurrent.futures import ProcessPoolExecutor\n"
        "with ProcessPoolExecutor(2) as pool: list(pool.map(os._exit, [3]))",
        1,
        "it ended with exit code 1: concurrent.futures.process.BrokenProcessPool",
    ),
    "a worker that is killed": (
        "import os; from concurrent.futures import ProcessPoolExecutor\n"
        "def end(n): os.kill(os.getpid(), 9)\n"
        "with ProcessPoolExecutor(2) as pool: list(pool.map(end, [3]))",
        1,
        "it ended with exit code 1: concurrent.futures.process.BrokenProcessPool",
    ),
}


HANG = (
    "import time; from backend.jobs.progress import Progress\n"
    "with Progress() as progress:\n"
    "    progress.stage('reading', total=10, limit_s=0.5); progress.update(3)\n"
    "    time.sleep(1000)"
)
STRANGER = (
    "import sys\nfrom http.server import *\n"
    "class Yes(BaseHTTPRequestHandler):\n"
    "    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'{}')\n"
    "HTTPServer(('127.0.0.1', int(sys.argv[4])), Yes).serve_forever()"
)
SLOW_ENDS = {
    "it hangs": python(HANG),
    "it hangs and can resume": python(HANG, resumable=True),
    "it never reports": python("import time; time.sleep(1000)", start_limit_s=0.5),
    "it is slow and said so": python(HANG.replace("0.5", "60").replace("1000", "2.5")),
    "a service never answers": python("import time; time.sleep(100)", service=True, start_limit_s=1.0),
    "a service ends first": python("raise SystemExit('no such model')", service=True),
    "a stranger answers": python(STRANGER, service=True, start_limit_s=2.0),
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> Iterator[dict[str, Job]]:
    """All of `SLOW_ENDS` and `FAILURES`, run side by side: most of them only wait."""
    with installation(tmp_path_factory.mktemp("ended"), cpu_slots=6) as folder, scheduling(JobStore(folder)):
        store = JobStore(folder)
        specs = SLOW_ENDS | {name: python(code) for name, (code, _, _) in FAILURES.items()}
        jobs = {name: store.submit(each) for name, each in specs.items()}
        yield {name: wait_for(store, job, timeout_s=90) for name, job in jobs.items()}


class TestFailures:
    """Each way to fail is shown as what it is, with the last error line."""

    @pytest.mark.parametrize("name", FAILURES)
    def test_a_failure_says_what_it_was(self, ended, name):
        _, exit_code, words = FAILURES[name]
        assert (ended[name].state, ended[name].exit_code) == (FAILED, exit_code)
        assert ended[name].reason.startswith(words)
        assert ended[name].ended is not None


class TestEndings:
    """What makes a success."""

    def test_without_an_output_exit_code_0_is_success(self, scheduled):
        job = wait_for(scheduled, scheduled.submit(python("print('said')")))
        assert (job.state, job.exit_code, job.reason) == (SUCCEEDED, 0, "")
        assert scheduled.log_tail(job.id) == "said"

    def test_with_an_output_its_manifest_must_verify(self, scheduled, tmp_path):
        good, forgot, none, torn = (tmp_path / name for name in ("good", "forgot", "none", "torn"))
        tear = (
            "import sys; from pathlib import Path; from tests.jobs.scripts.chunks import main\n"
            f"main([{str(torn)!r}, '3', '0']); Path({str(torn / '000001.txt')!r}).write_text('torn')"
        )
        jobs = [
            scheduled.submit(spec("chunks", good, 3, 0, output=good)),
            scheduled.submit(spec("chunks", forgot, 3, 0, "--forget", output=forgot)),
            scheduled.submit(python("print('nothing to do')", output=none)),
            scheduled.submit(python(tear, output=torn)),
        ]
        ends = [wait_for(scheduled, job) for job in jobs]
        assert [job.state for job in ends] == [SUCCEEDED, FAILED, FAILED, FAILED]
        assert [job.exit_code for job in ends] == [0, 0, 0, 0]
        assert f"{forgot} is not complete" in ends[1].reason
        assert f"{none} has no manifest.json: nothing was finished there" in ends[2].reason
        assert f"{torn / '000001.txt'} is missing or has another size" in ends[3].reason

    def test_its_wrapper_shows_at_once_that_a_job_ended_and_waits_for_no_pass(self, store):
        job = store.submit(python(""))
        scheduling_pass(store)  # starts it; there is no other
        assert wait_for(store, job).state is SUCCEEDED
        assert TICK_S <= 0.5

    def test_a_child_that_outlives_its_script_does_not_outlive_the_job(self, scheduled):
        code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\nprint('parent ends')"
        job = wait_for(scheduled, scheduled.submit(python(code)))
        assert job.state is SUCCEEDED
        wait_until(lambda: not processes_of(scheduled.state, job.id), what="its wrapper has left, too")


class TestEnvironment:
    def test_the_script_sees_what_is_promised_and_its_arguments_as_they_were(self, scheduled, tmp_path):
        hostile = ["-rf", "--", "$(touch pwned)", "a\nb", "'\"", "`id`", "; rm x", "\udcff.mp4", "", "*"]
        code = (
            "import json, os, sys\n"
            "facts = {n: v for n, v in os.environ.items() if n.startswith('LEKTRACK')}\n"
            "facts |= {'cwd': os.getcwd(), 'stdin': sys.stdin.read(), 'umask': os.umask(0), 'group': os.getpgrp() =="
            " os.getpid(), 'argv': sys.argv[1:], 'unbuffered': os.environ['PYTHONUNBUFFERED'],"
            " 'gpus': os.environ.get('CUDA_VISIBLE_DEVICES')}\n"
            f"open({str(tmp_path / 'facts')!r}, 'w').write(json.dumps(facts))"
        )
        job = wait_for(scheduled, scheduled.submit(python(code, *hostile)))
        assert job.state is SUCCEEDED, job.reason
        from backend.project.settings import REPOSITORY

        assert json.loads((tmp_path / "facts").read_text()) == {
            "LEKTRACK_STATE": str(scheduled.state),
            "LEKTRACK_JOB_ID": str(job.id),
            "LEKTRACK_JOB_ATTEMPT": "1",
            "LEKTRACK_JOB_FOLDER": str(job.folder),
            "cwd": str(REPOSITORY),
            "stdin": "",
            "umask": 0o022,
            "group": True,
            "argv": hostile,
            "unbuffered": "1",
            "gpus": None,
        }

    def test_the_wrapper_has_a_session_of_its_own(self, scheduled):
        job = wait_for(scheduled, scheduled.submit(python("import time; time.sleep(100)")), RUNNING)
        assert look(job.pid).session == job.pid != os.getsid(0)

    def test_a_job_for_the_gpu_runs_on_the_processor_of_a_machine_without_one(self, scheduled):
        pytest.importorskip("pynvml")
        from backend.jobs.slots import GpuList
        from backend.project.settings import Settings

        if GpuList().ids(Settings()):
            pytest.skip("this machine has a GPU")
        job = wait_for(scheduled, scheduled.submit(python("import sys; print(sys.argv[1:])", slot="gpu", gpus=2)))
        assert scheduled.log_tail(job.id) == "['--gpu-id', 'cpu']"

    def test_what_a_script_says_is_bounded_and_the_script_never_blocks(self, scheduled):
        code = "for n in range(110_000): print('line', n, 'x' * 100)\nprint('\\x1b[31mthe end\\x1b[0m <script>')"
        job = wait_for(scheduled, scheduled.submit(python(code)))
        assert job.state is SUCCEEDED
        assert (job.folder / "log").stat().st_size <= 10 * 1000**2
        assert scheduled.log_tail(job.id, 1) == "the end <script>"


class TestStop:
    def test_a_friendly_script_ends_in_order_and_can_go_on(self, scheduled, tmp_path):
        out = tmp_path / "out"
        job = started(scheduled, scheduled.submit(spec("chunks", out, 40, 0.05, output=out)))
        scheduled.stop(job.id)
        job = wait_for(scheduled, job)
        assert (job.state, job.exit_code, job.reason) == (STOPPED, 130, "stopped on request")
        kept = {path.name: path.stat().st_mtime_ns for path in out.glob("0*.txt")}
        assert 0 < len(kept) < 40
        assert scheduled.retry(job.id).id == job.id
        job = wait_for(scheduled, job)
        assert (job.state, job.attempts) == (SUCCEEDED, 2)
        assert len(verify(out).files) == 40
        assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
        assert "stopped on request" in (job.folder / "log.attempt-1").read_text()

    def test_nothing_is_left_of_a_tree_that_ignores_sigterm(self, scheduled, tmp_path):
        job = scheduled.submit(spec("stubborn", tmp_path))
        names = ("script", "child", "grandchild", "unmarked")
        wait_until(lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in names))
        pids = [int((tmp_path / name).read_text()) for name in names]
        identities = [identity_of(pid) for pid in pids]
        scheduled.stop(job.id)
        job = wait_for(scheduled, job, timeout_s=60.0)
        assert TERM_S + KILL_S < 15
        assert (job.state, job.exit_code) == (STOPPED, -signal.SIGKILL)
        for identity in identities:
            found = look(identity.pid)
            assert found is None or found.start_time != identity.start_time

    def test_a_wrapper_that_hangs_is_killed_and_its_tree_with_it(self, scheduled, monkeypatch):
        monkeypatch.setattr("backend.jobs.schedule.WRAPPER_STOP_S", 0.5)
        job = wait_for(scheduled, scheduled.submit(python("import time; time.sleep(100)")), RUNNING)
        wait_until(lambda: len(processes_of(scheduled.state, job.id)) == 2)
        os.kill(job.pid, signal.SIGSTOP)
        scheduled.stop(job.id)
        assert wait_for(scheduled, job, timeout_s=10).state is STOPPED
        assert processes_of(scheduled.state, job.id) == []

    def test_a_stop_while_the_output_is_checked_is_heeded(self, scheduled, tmp_path):
        out = tmp_path / "out"
        out.mkdir()
        with open(out / "big.bin", "wb") as file:
            file.truncate(200 * 1000**3)  # sparse: no room, but minutes to read
        code = (
            "import sys; from pathlib import Path; from backend.project.manifest import *\n"
            f"m = begin_manifest(Path({str(out)!r}), 'x', {{}}, {{}}); m.complete = True\n"
            f"m.files['big.bin'] = FinishedFile(size={200 * 1000**3}, sha256='0'); m.write(Path({str(out)!r}))"
        )
        job = scheduled.submit(python(code, output=out))
        wait_until(lambda: (found := scheduled.progress(job.id)) and found.stage == "checking the output")
        scheduled.stop(job.id)
        job = wait_for(scheduled, job, timeout_s=5)
        assert (job.state, job.reason) == (STOPPED, "stopped while its output was checked")


class TestSilence:
    def test_a_script_that_hangs_fails_and_says_where(self, ended):
        job = ended["it hangs"]
        assert job.state is FAILED
        assert job.reason.startswith("it hung: no sign of life for ")
        assert job.reason.endswith("in 'reading' (0.5 s are allowed)")

    def test_one_that_can_resume_is_tried_again_twice_and_then_fails(self, ended):
        job = ended["it hangs and can resume"]
        assert (job.state, job.attempts, job.cut_offs) == (FAILED, 3, 2)
        assert "it hung" in job.reason

    def test_one_that_never_reports_has_its_own_limit(self, ended):
        assert ended["it never reports"].state is FAILED
        assert ended["it never reports"].reason.endswith("in 'starting' (0.5 s are allowed)")

    def test_a_slow_stage_that_said_so_is_left_alone(self, ended):
        assert ended["it is slow and said so"].state is SUCCEEDED


class TestService:
    def test_it_counts_as_running_once_it_answers_and_as_stopped_in_the_end(self, scheduled):
        job = scheduled.submit(spec("server", "--after", 1, service=True))
        wait_until(lambda: scheduled.get(job.id).pid is not None)
        assert scheduled.get(job.id).state is JobState.STARTING
        job = wait_for(scheduled, job, RUNNING)
        first, last = load_settings(scheduled.state).port_range
        assert first <= job.port <= last
        scheduled.stop(job.id)
        job = wait_for(scheduled, job, timeout_s=15)
        assert (job.state, job.reason) == (STOPPED, "stopped on request")

    def test_its_own_end_is_neither_success_nor_failure_and_is_told(self, scheduled):
        well = scheduled.submit(spec("server", "--die-after", 4, service=True))
        badly = scheduled.submit(spec("server", "--die-after", 4, "--code", 7, service=True))
        wait_for(scheduled, well, RUNNING)
        wait_for(scheduled, badly, RUNNING)
        well, badly = wait_for(scheduled, well), wait_for(scheduled, badly)
        assert (well.state, well.reason) == (STOPPED, "ended by itself")
        assert badly.state is STOPPED
        assert badly.reason.startswith("ended by itself: it ended with exit code 7")

    def test_one_that_never_answers_has_failed(self, ended):
        silent, gone = ended["a service never answers"], ended["a service ends first"]
        assert (silent.state, silent.reason) == (FAILED, "it did not answer within 1 s")
        assert (gone.state, gone.exit_code) == (FAILED, 1)
        assert gone.reason == "it ended before it answered: it ended with exit code 1: no such model"

    def test_a_stranger_that_answers_on_the_port_does_not_pass_for_it(self, ended):
        assert (ended["a stranger answers"].state, ended["a stranger answers"].attempts) == (FAILED, 1)


class TestKills:
    def test_a_killed_wrapper_takes_its_script_along_and_the_job_goes_on(self, scheduled, tmp_path):
        out, says = tmp_path / "out", tmp_path / "says"
        job = scheduled.submit(spec("chunks", out, 20, 0.1, "--say", says, output=out, resumable=True))
        job = started(scheduled, job)
        os.kill(job.pid, signal.SIGKILL)
        wait_until(lambda: scheduled.get(job.id).attempts == 2)
        job = wait_for(scheduled, job)
        assert (job.state, job.attempts, job.cut_offs) == (SUCCEEDED, 2, 1)
        assert [line["what"] for line in said(says)] == ["begin", "begin", "end"]
        assert len(verify(out).files) == 20

    def test_one_that_cannot_resume_is_lost_and_nothing_of_it_is_left(self, scheduled, tmp_path):
        out = tmp_path / "out"
        job = started(scheduled, scheduled.submit(spec("chunks", out, 200, 0.1, output=out)))
        os.kill(job.pid, signal.SIGKILL)
        job = wait_for(scheduled, job)
        assert job.state is LOST
        assert "its wrapper process ended without a record" in job.reason
        assert processes_of(scheduled.state, job.id) == []

    def test_one_that_somebody_stopped_is_not_queued_again(self, scheduled, tmp_path):
        job = scheduled.submit(spec("stubborn", tmp_path, "marked", resumable=True))
        wait_until(lambda: (tmp_path / "grandchild").exists())
        job = wait_for(scheduled, job, RUNNING)
        scheduled.stop(job.id)
        os.kill(job.pid, signal.SIGKILL)
        assert wait_for(scheduled, job, timeout_s=15).state is STOPPED
        assert processes_of(scheduled.state, job.id) == []

    def test_sigterm_to_a_wrapper_is_a_shutdown_and_not_a_persons_stop(self, scheduled, tmp_path):
        out = tmp_path / "out"
        job = started(scheduled, scheduled.submit(spec("chunks", out, 20, 0.1, output=out, resumable=True)))
        os.kill(job.pid, signal.SIGTERM)
        job = wait_for(scheduled, job)
        assert (job.state, job.attempts) == (SUCCEEDED, 2)
        assert "stopped on request" in (job.folder / "log.attempt-1").read_text()

    def test_killing_the_script_alone_is_a_failure_with_its_reason(self, scheduled, tmp_path):
        out = tmp_path / "out"
        job = started(scheduled, scheduled.submit(spec("chunks", out, 200, 0.1, output=out, resumable=True)))
        (script,) = [p for p in processes_of(scheduled.state, job.id) if p.pid != job.pid]
        os.kill(script.pid, signal.SIGKILL)
        job = wait_for(scheduled, job)
        assert (job.state, job.exit_code) == (FAILED, -signal.SIGKILL)
        assert "SIGKILL" in job.reason

    def test_the_queue_goes_on_while_any_wrapper_lives(self, store, tmp_path):
        """Nothing but wrappers: whoever submitted is gone, and the first of the queue is killed."""
        says = tmp_path / "says"
        outs = [tmp_path / str(number) for number in range(6)]
        with scheduling(store):
            keeper = wait_for(store, store.submit(python("import time; time.sleep(1000)")), RUNNING)
            jobs = [store.submit(spec("chunks", o, 5, 0.1, "--say", says, output=o, resumable=True)) for o in outs]
            first = wait_for(store, jobs[0], RUNNING)
        os.kill(first.pid, signal.SIGKILL)
        ends = [wait_for(store, job, timeout_s=40) for job in jobs]
        assert [job.state for job in ends] == [SUCCEEDED] * 6
        assert ends[0].attempts == 2
        store.stop(keeper.id)
        assert wait_for(store, keeper).state is STOPPED

    def test_the_last_wrapper_hands_the_queue_on(self, store, tmp_path):
        outs = [tmp_path / str(number) for number in range(6)]
        with scheduling(store):
            jobs = [store.submit(spec("chunks", out, 1, 0.05, output=out)) for out in outs]
            wait_for(store, jobs[0], RUNNING)
        assert [wait_for(store, job, timeout_s=40).state for job in jobs] == [SUCCEEDED] * 6


class TestFullDisk:
    def test_the_end_is_recorded_once_there_is_room(self, scheduled, tmp_path):
        """The kernel refuses every write of the wrapper, as on a full disk; its script ends meanwhile."""
        flag = tmp_path / "flag"
        code = f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.05)\nprint('the end')"
        job = wait_for(scheduled, scheduled.submit(python(code)), RUNNING)
        wait_until(lambda: len(processes_of(scheduled.state, job.id)) == 2)
        before = resource.prlimit(job.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        flag.touch()
        log = job.folder / "wrapper.log"
        wait_until(lambda: "cannot be recorded" in log.read_text() or len(processes_of(scheduled.state, job.id)) == 1)
        stays(lambda: scheduled.get(job.id).state is RUNNING, seconds=1.5)  # it tries again each second
        resource.prlimit(job.pid, resource.RLIMIT_FSIZE, before)
        job = wait_for(scheduled, job)
        assert (job.state, job.exit_code) == (SUCCEEDED, 0)


class TestApp:
    """The app is a process that runs `start_scheduler`; here it is nothing else."""

    CODE = (
        "import time; from backend.jobs import *; start_scheduler(JobStore()); print('up', flush=True); time.sleep(99)"
    )

    def app(self) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-c", self.CODE], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"up\n"
        return process

    def test_jobs_outlive_it_and_the_next_one_shows_the_truth_within_three_seconds(self, store, tmp_path):
        out, lost_out = tmp_path / "out", tmp_path / "lost"
        app = self.app()
        goes_on = started(store, store.submit(spec("chunks", out, 30, 0.1, output=out)))
        lost = started(store, store.submit(spec("chunks", lost_out, 600, 0.1, output=lost_out)))
        app.kill()
        app.communicate()
        os.kill(goes_on.pid, signal.SIGSTOP)  # so that the app has to find out, not another wrapper
        os.kill(lost.pid, signal.SIGKILL)
        assert store.get(goes_on.id).state is RUNNING
        app = self.app()
        assert wait_for(store, lost, timeout_s=3.0).state is LOST
        os.kill(goes_on.pid, signal.SIGCONT)
        job = wait_for(store, goes_on)
        assert (job.state, job.attempts) == (SUCCEEDED, 1)
        app.kill()
        app.communicate()

    def test_no_zombie_stays_in_it(self, store):
        app = self.app()
        jobs = [store.submit(python("")) for _ in range(5)]
        for job in jobs:
            wait_for(store, job)
        wait_until(lambda: not children(app.pid), timeout_s=5)
        app.kill()
        app.communicate()

    def test_a_terminal_that_is_hung_up_takes_no_job_along(self, store, tmp_path):
        terminal = (
            "import os, pty, signal, sys, time\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\npid, _ = pty.fork()\n"
            f"if pid == 0: os.execv(sys.executable, [sys.executable, '-c', {self.CODE!r}])\n"
            "print(pid, flush=True); time.sleep(1000)"
        )
        holder = subprocess.Popen([sys.executable, "-c", terminal], stdout=subprocess.PIPE)
        app = identity_of(int(holder.stdout.readline()))
        out = tmp_path / "out"
        job = started(store, store.submit(spec("chunks", out, 30, 0.1, output=out)))
        holder.kill()  # whoever holds the terminal is gone: SIGHUP to the session in it
        holder.communicate()
        wait_until(lambda: observe(app, store.mark(job)) in (Sight.GONE, Sight.ZOMBIE))
        job = wait_for(store, job)
        assert (job.state, job.attempts) == (SUCCEEDED, 1)


def children(pid: int) -> list[int]:
    """Return the children of a process, zombies included."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_kill_of_everything_at_once_leaves_nothing_behind_and_all_of_it_resumes(store, tmp_path):
    outs = [tmp_path / str(number) for number in range(3)]
    with scheduling(store):
        jobs = [store.submit(spec("chunks", out, 15, 0.1, output=out, resumable=True)) for out in outs]
        for job in jobs:
            started(store, job)
    kill_all(store.state)
    assert {job.state for job in store.list()} == {RUNNING}
    with scheduling(store):
        ends = [wait_for(store, job) for job in jobs]
    assert [(job.state, job.attempts) for job in ends] == [(SUCCEEDED, 2)] * 3
