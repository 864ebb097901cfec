"""One writer an output folder, held by the kernel."""

import os
import signal
import subprocess
import sys

import pytest

from backend.project.errors import InputError
from backend.project.locks import file_lock, output_lock

HOLD = (
    "import sys, time; from pathlib import Path; from backend.project.locks import output_lock\n"
    "with output_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(100)"
)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_folder_is_made_and_held_once(tmp_path):
    with output_lock(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
        with pytest.raises(InputError, match="is being written by another process"), output_lock(tmp_path / "a" / "b"):
            pass
    with output_lock(tmp_path / "a" / "b"):
        pass


@pytest.mark.parametrize("name", ["taken", "taken/below", "taken/far/below"])
def test_a_file_in_the_way_is_refused_in_one_line(tmp_path, name):
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match=r"taken.* cannot be made: .*taken is a file"), output_lock(tmp_path / name):
        pass


def test_another_process_is_refused_at_once(tmp_path, holder):
    with pytest.raises(InputError, match=str(tmp_path / "out")), output_lock(tmp_path / "out"):
        pass
    assert holder.poll() is None, "it waited for the holder"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_goes_with_its_holder_however_that_ends(tmp_path, holder, number):
    os.kill(holder.pid, number)
    holder.wait()
    with output_lock(tmp_path / "out"):
        pass


def test_of_many_at_once_one_wins(tmp_path):
    code = HOLD.replace("time.sleep(100)", "time.sleep(2)")
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(5)
    ]
    outcomes = [process.communicate() for process in started]
    assert sorted(out for out, _ in outcomes) == [b""] * 4 + [b"held\n"]
    assert sum(b"is being written by another process" in err for _, err in outcomes) == 4


def test_a_program_that_the_holder_starts_does_not_keep_the_lock(tmp_path):
    with output_lock(tmp_path):
        code = "import time; print('up', flush=True); time.sleep(100)"
        child = subprocess.Popen([sys.executable, "-c", code], close_fds=False, stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"up\n"
    try:
        with output_lock(tmp_path):
            pass
    finally:
        child.kill()
        child.communicate()


def test_a_file_lock_can_be_shared_but_not_with_one_who_holds_it_alone(tmp_path):
    path = tmp_path / "lock"
    with file_lock(path, shared=True), file_lock(path, shared=True), pytest.raises(BlockingIOError), file_lock(path):
        pass
    with file_lock(path), pytest.raises(BlockingIOError), file_lock(path, shared=True):
        pass
