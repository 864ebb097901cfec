"""The jobs from the command line, as a person or a script of theirs would use them."""

import json
import os
import signal
import subprocess
import sys

import pytest

from backend.jobs.job_states import JobState
from tests.jobs.tools import python, wait_for


def run(*arguments: str) -> subprocess.CompletedProcess:
    """Run ``python -m backend.jobs``."""
    return subprocess.run([sys.executable, "-m", "backend.jobs", *arguments], capture_output=True, text=True)


def test_a_job_from_submit_to_retry(store, tmp_path):
    """Nothing else runs: what is submitted starts all the same."""
    flag = tmp_path / "flag"
    code = (
        f"import pathlib, sys; print(sys.argv[1:]); sys.exit(0 if pathlib.Path({str(flag)!r}).exists() else 'no flag')"
    )
    submitted = run("submit", "try", "--title", "Try it", "--video", "north", "--", "-c", code, "--a", "--", "$(b)")
    assert (submitted.returncode, submitted.stdout, submitted.stderr) == (0, "1\n", "")
    job = wait_for(store, store.get(1))
    assert (job.state, job.title, job.videos) == (JobState.FAILED, "Try it", ("north",))
    assert job.command == ("-c", code, "--a", "--", "$(b)")
    assert run("list").stdout == "     1 failed           Try it  (it ended with exit code 1: no flag)\n"
    assert run("log", "1").stdout == "['--a', '--', '$(b)']\nno flag\n"
    flag.touch()
    assert run("retry", "1").returncode == 0
    assert wait_for(store, job).state is JobState.SUCCEEDED
    shown = json.loads(run("show", "1", "--json").stdout)
    assert (shown["id"], shown["state"], shown["attempts"], shown["exit_code"]) == (1, "succeeded", 2, 0)
    assert "state          succeeded" in run("show", "1").stdout


def test_stop_and_list_as_json(store):
    assert run("submit", "nap", "--", "-c", "import time; time.sleep(100)").stdout == "1\n"
    job = wait_for(store, store.get(1), JobState.RUNNING)
    assert run("stop", "1").stdout == "job 1 is stopping\n"
    assert wait_for(store, job).state is JobState.STOPPED
    (listed,) = json.loads(run("list", "--json", "--state", "stopped").stdout)
    assert (listed["id"], listed["reason"]) == (1, "stopped on request")
    assert json.loads(run("list", "--json", "--state", "failed").stdout) == []


def test_a_list_is_true_although_nothing_of_ours_was_running(store):
    run("submit", "nap", "--", "-c", "import time; time.sleep(100)")
    job = wait_for(store, store.get(1), JobState.RUNNING)
    os.kill(job.pid, signal.SIGKILL)
    assert "1 lost" in run("list").stdout


def test_a_list_works_with_settings_that_are_not_allowed(store):
    store.submit(python(""))
    (store.state / "settings.toml").write_text("cpu_slots = 0\n")
    listed = run("list")
    assert "1 queued" in listed.stdout
    assert "jobs: warning: nothing can start: settings.toml: cpu_slots" in listed.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "7"], "there is no job 7"),
        (["log", "7"], "there is no job 7"),
        (["stop", "x"], "invalid int value: 'x'"),
        (["frob"], "invalid choice: 'frob'"),
        ([], "required: do"),
        (["submit", "try"], "command is empty; give what follows the interpreter"),
        (["submit", "A b", "--", "-c", ""], "kind 'A b' is not allowed"),
        (["submit", "try", "--after", "9", "--", "-c", ""], "after: there is no job 9"),
        (["submit", "try", "--gpus", "0", "--", "-c", ""], "gpus 0 is not allowed: use 1 to 64"),
        (["list", "--state", "gone"], "invalid choice: 'gone'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_refusal_is_one_line_and_exit_code_2(store, arguments, words):
    ended = run(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert words in ended.stderr
    assert store.list() == []


def test_an_output_that_is_taken_is_refused(store, tmp_path):
    code = "import time; time.sleep(100)"
    assert run("submit", "nap", "--output", str(tmp_path), "--", "-c", code).returncode == 0
    again = run("submit", "nap", "--output", str(tmp_path / "." / "x" / ".."), "--", "-c", code)
    assert again.returncode == 2
    assert again.stderr == f"jobs: error: {tmp_path} is the output of job 1 (nap); wait for it or stop it first\n"


def test_help_says_what_is_allowed():
    for command in ("", "submit"):
        ended = run(*command.split(), "--help")
        assert ended.returncode == 0
        assert "backend.jobs" in ended.stdout
