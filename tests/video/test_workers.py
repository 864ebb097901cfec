"""Work split over processes: complete, in any number of them, and never silent when one fails."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from backend.project.errors import InputError
from backend.video.workers import WorkerPool, cut_stretches

REPOSITORY = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def doubler(trouble: str = ""):
    def double(stretch):
        for frame in stretch:
            if frame == 13 and trouble:
                raise_trouble(trouble)
            yield 2 * frame

    yield double


def raise_trouble(kind: str) -> None:
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        os._exit(3)
    raise {"input": InputError("bad frame"), "disk": OSError(28, "No space left on device", "/x")}.get(
        kind, ZeroDivisionError("oh")
    )


@contextlib.contextmanager
def broken_start():
    raise ValueError("cannot begin")
    yield


def stretches() -> list[list[int]]:
    return [list(range(begin, begin + 5)) for begin in range(0, 40, 5)]


@pytest.mark.parametrize("workers", [1, 3], ids="{} workers".format)
def test_every_frame_is_done_once(workers):
    with WorkerPool(workers, doubler) as crew:
        assert sorted(crew.run(stretches())) == [2 * frame for frame in range(40)]
        assert sorted(crew.run(stretches()[:2])) == [2 * frame for frame in range(10)]
    assert no_workers_left()


def no_workers_left() -> bool:
    children = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return not [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    "trouble, error, says",
    [
        (
            "killed",
            RuntimeError,
            "worker . of 2, on frames 10 to 14, died .killed by SIGKILL; was there too little memory",
        ),
        ("exit", RuntimeError, "worker . of 2, on frames 10 to 14, died .exit code 3"),
        ("other", RuntimeError, "worker . of 2, on frames 10 to 14, failed: ZeroDivisionError: oh"),
        ("input", InputError, "^bad frame$"),
        ("disk", OSError, "No space left on device: '/x'"),
    ],
)
def test_a_worker_that_fails_ends_the_whole_and_is_named(trouble, error, says):
    with pytest.raises(error, match=says), WorkerPool(2, doubler, trouble) as crew:
        list(crew.run(stretches()))
    assert no_workers_left()


def test_a_worker_that_cannot_begin_is_named():
    with pytest.raises(RuntimeError, match="failed: ValueError: cannot begin"), WorkerPool(2, broken_start) as crew:
        list(crew.run(stretches()))


def test_workers_are_gone_when_their_parent_was_killed(tmp_path):
    program = (
        "from tests.video.test_workers import *\n"
        "if __name__ == '__main__':\n"
        "    with WorkerPool(2, doubler) as crew:\n"
        "        for n, _ in enumerate(crew.run([[1, 2], [3, 4]])):\n"
        "            pass\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None and parent.stdout.readline() == b"ready\n"
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) >= 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert not psutil.wait_procs(family, timeout=10)[1]


def test_stretches_hold_every_frame_once_in_order():
    for count, every, workers, gop in [
        (1, 1, 4, 12),
        (100, 1, 2, 25),
        (999, 3, 8, 250),
        (50, 1, 16, 250),
        (7, 40, 2, 12),
    ]:
        frames = list(range(5, 5 + count * every, every))
        cut = cut_stretches(frames, range(0, frames[-1] + 1, gop), workers)
        assert [frame for stretch in cut for frame in stretch] == frames
    assert cut_stretches([], [0], 2) == []


@pytest.mark.parametrize("gop, workers, runs", [(25, 4, 14), (12, 2, 8), (1, 8, 32)], ids=str)
def test_stretches_begin_at_key_frames_where_there_are_enough(gop, workers, runs):
    cut = cut_stretches(list(range(1000)), range(0, 1000, gop), workers)
    assert all(stretch[0] % gop == 0 for stretch in cut)
    assert runs - 2 <= len(cut) <= runs + 2
    assert max(map(len, cut)) <= 2 * 1000 / len(cut)


def test_two_long_gops_are_whole_for_two_workers_and_shared_by_more():
    frames, keys = list(range(500)), [0, 250]
    assert [stretch[0] for stretch in cut_stretches(frames, keys, 2)] == [0, 250]
    assert len(cut_stretches(frames, keys, 8)) >= 8


def test_one_long_gop_is_shared_but_not_into_crumbs():
    assert 4 <= len(cut_stretches(list(range(250)), [0], 8)) <= 8


def test_time_is_not_wasted_when_there_is_nothing_to_do():
    begin = time.monotonic()
    with WorkerPool(4, doubler) as crew:
        assert list(crew.run([])) == []
    assert time.monotonic() - begin < 0.5
