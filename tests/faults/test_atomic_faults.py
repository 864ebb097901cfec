"""A file is whole or not there: kills at random moments, and errors of the disk at every single call."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.project.atomic import TEMPORARY, remove_temporary
from tests.faults.writer import BLOCK, check, content

WRITER = [sys.executable, "-m", "tests.faults.writer"]
NEW = b"new" * 3 * BLOCK
ERRORS = {"ENOSPC": (28, "No space left on device"), "EIO": (5, "Input/output error")}


def kill_at_random_moments(path: Path, kills: int, seed: int) -> None:
    """Kill a writer ``kills`` times; after each, the file must be whole and not older than before."""
    moments = random.Random(seed)
    path.write_bytes(content(0))
    torn = 0
    for _ in range(kills):
        writer = subprocess.Popen([*WRITER, "loop", str(path)], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"up\n"
        time.sleep(moments.uniform(0, 0.03))
        writer.kill()
        writer.communicate()
        assert writer.returncode == -signal.SIGKILL
        check(path.read_bytes())
        left = [name for name in os.listdir(path.parent) if name != path.name]
        assert all(TEMPORARY.match(name) for name in left)
        torn += len(left)
        assert remove_temporary(path.parent) == len(left)
        assert os.listdir(path.parent) == [path.name]
    print(f"{kills} kills, {torn} of them while a temporary file was open")
    assert torn > 0, "no kill hit a write: the test proves nothing"


def test_thirty_kills_leave_no_torn_file(tmp_path):
    kill_at_random_moments(tmp_path / "file", kills=30, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_hundred_kills_leave_no_torn_file(tmp_path):
    kill_at_random_moments(tmp_path / "file", kills=500, seed=2)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_of_the_disk_at_any_call_leaves_the_old_file_whole(tmp_path, shim, error):
    number, words = ERRORS[error]
    contents = []
    for at in range(1, 50):
        folder = tmp_path / str(at)
        folder.mkdir()
        path = folder / "file"
        path.write_bytes(b"old")
        environment = {**os.environ, "LD_PRELOAD": str(shim), "LEKTRACK_FAULT_FOLDER": str(folder)}
        environment |= {"LEKTRACK_FAULT_AT": str(at), "LEKTRACK_FAULT_ERRNO": str(number)}
        ended = subprocess.run([*WRITER, "once", str(path)], env=environment, capture_output=True, text=True)
        if ended.returncode == 0:
            break
        # an error while the caller writes may be one of reading; only a full disk is surely that of this file
        named = {f": {path}\n", f": {folder}\n"} | ({"\n"} if error == "EIO" else set())
        assert ended.returncode == 1
        assert ended.stderr.removeprefix(f"writer: error: {words}") in named
        assert os.listdir(folder) == ["file"]
        contents.append(path.read_bytes())
    assert len(contents) >= 5, "writes, the flush of the file, the renaming, the flush of the folder"
    assert contents[:-1] == [b"old"] * (len(contents) - 1)
    assert contents[-1] == NEW, "the flush of the folder comes when the new file is in place"
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("limit", [0, 1, 8192, 100_000, 629_999])
def test_a_file_that_may_not_grow_leaves_the_old_one_whole(tmp_path, limit):
    """The kernel itself refuses here (RLIMIT_FSIZE), so this runs where no C compiler is."""

    def confine() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    path = tmp_path / "file"
    path.write_bytes(b"old")
    ended = subprocess.run([*WRITER, "once", str(path)], capture_output=True, text=True, preexec_fn=confine)
    assert ended.returncode == 1
    assert ended.stderr.endswith(f"writer: error: File too large: {path}\n")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", ERRORS)
def test_an_error_at_the_last_steps_leaves_the_old_file_whole(tmp_path, call, error):
    number, words = ERRORS[error]
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import os, sys; from backend.jobs.script import run_script; from tests.faults.writer import main\n"
        f"def fail(*_): raise OSError({number}, {words!r})\n"
        f"os.{call} = fail; sys.argv = ['writer', 'once', {str(path)!r}]; run_script('writer', main)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (1, f"writer: error: {words}: {path}\n")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
