"""Failures are shown as what they are. The outputs here are what Python and torch really print."""

import signal
import subprocess
import sys

import pytest

from backend.jobs.failure import Ending, last_error, memory_kills, reason

TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n'


@pytest.mark.parametrize(
    ("exit_code", "log", "said"),
    [
        (2, "warm up\nexport_frames: error: /v.mp4: no such file", "the input was refused: /v.mp4: no such file"),
        (1, TRACEBACK + "KeyError: 'masks'\n", "it ended with exit code 1: KeyError: 'masks'"),
        (1, TRACEBACK + "numpy.linalg.LinAlgError: Singular matrix", "exit code 1: numpy.linalg.LinAlgError: Singular"),
        (1, TRACEBACK + "KeyError: 1\n/usr/lib/x.py:3: UserWarning: leaked\n  warn()", "exit code 1: KeyError: 1"),
        (3, "", "it ended with exit code 3 and said nothing"),
        (-9, "frame 17", "killed from outside (SIGKILL), most often because the machine's memory ran out: frame 17"),
        (137, "", "killed from outside (SIGKILL), most often because the machine's memory ran out"),
        (-11, "frame 17", "it crashed with SIGSEGV: frame 17"),
        (139, "", "it crashed with SIGSEGV"),
        (-6, "std::bad_alloc", "it crashed with SIGABRT (the machine's memory ran out): std::bad_alloc"),
        (-35, "", "it crashed with signal 35"),
        (1, "train: error: out of memory", "the machine's memory ran out: out of memory"),
        (1, TRACEBACK + "MemoryError", "the machine's memory ran out: MemoryError"),
        (
            1,
            TRACEBACK + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.",
            "the GPU's memory is too small for this; use a smaller batch or picture size: torch.OutOfMemoryError",
        ),
        (1, "train: error: ImportError: libcudart.so.13: cannot open", "a Python package is missing or broken"),
        (1, "export_frames: error: No space left on device: /data/x.png", "no space is left on the disk"),
        (1, "export_frames: error: Disk quota exceeded: /data/x.png", "no space is left on the disk"),
        (1, "export_frames: error: Input/output error: /data/x.png", "the disk or network drive reports an error"),
        (130, "export_frames: stopped on request", "it was stopped from outside: export_frames: stopped on request"),
    ],
)
def test_an_ending_in_plain_words(exit_code, log, said):
    assert said in reason(Ending(exit_code, log))


def test_when_the_kernel_killed_for_memory_it_is_said_for_sure():
    assert reason(Ending(-9, "x", memory_kills=1)) == "the kernel killed it because the machine's memory ran out: x"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nothing_of_that_name", "a Python package is missing or broken"),
        ("raise MemoryError", "memory ran out"),
        ("x = bytearray(10**18)", "memory ran out"),
        ("open('/dev/full', 'w', buffering=1).write('x' * 100000)", "no space is left on the disk"),
        ("raise SystemExit('one line')", "it ended with exit code 1: one line"),
        ("import os; os.abort()", "it crashed with SIGABRT"),
        ("1 / 0", "it ended with exit code 1: ZeroDivisionError: division by zero"),
    ],
)
def test_what_python_really_prints_is_understood(code, said):
    ended = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert said in reason(Ending(ended.returncode, ended.stdout))


def test_the_error_line_is_found_above_later_noise():
    noise = "\n".join(f"worker {number} ended" for number in range(30))
    assert last_error(f"a\nmask2coco: error: the line\n{noise}") == "the line"
    assert last_error("only\nnoise\n\n") == "noise"
    assert last_error("") == ""


def test_the_kernels_count_can_be_read():
    assert memory_kills() >= 0


def test_every_signal_has_words():
    for number in signal.valid_signals():
        assert reason(Ending(-number, ""))
