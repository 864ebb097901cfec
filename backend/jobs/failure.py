"""Reasons why a job failed, in plain words for the user."""

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from backend.jobs.script import BAD_INPUT, STOPPED

LINES = 60  # of the log's end are looked at

OUR_ERROR = re.compile(r"^[\w.-]+: error: (.+)$")  # how `run_script` ends
PYTHON_ERROR = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Warning)\b(?::.*)?$")

# What a log says, and what that means. The first that fits counts.
MEANINGS = (
    (re.compile(r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"),
     "the GPU's memory is too small for this; use a smaller batch or picture size"),
    (re.compile(r"\bMemoryError\b|out of memory|[Cc]annot allocate memory|std::bad_alloc"),
     "the machine's memory ran out"),
    (re.compile(r"No space left on device|Disk quota exceeded|database or disk is full"),
     "no space is left on the disk; make room, then retry goes on where it stopped"),
    (re.compile(r"^(?:ModuleNotFoundError|ImportError)\b|: (?:ModuleNotFoundError|ImportError)\b|No module named"),
     "a Python package is missing or broken; run setup.sh again"),
    (re.compile(r"Input/output error"), "the disk or network drive reports an error"),
)  # fmt: skip


@dataclass(frozen=True)
class Ending:
    """How a script ended. ``exit_code`` is negative for the signal that ended it."""

    exit_code: int
    log_tail: str
    memory_kills: int = 0  # processes that the kernel killed for memory while the script ran


def reason(ending: Ending) -> str:
    """Return one sentence or two for an attempt that failed: what happened, and the last error line."""
    line = last_error(ending.log_tail)
    said = f": {line}" if line else ""
    number = _signal(ending.exit_code)
    if number == signal.SIGKILL:
        sure = "the kernel killed it" if ending.memory_kills else "it was killed from outside (SIGKILL), most often"
        return f"{sure} because the machine's memory ran out{said}"
    meaning = next((words for pattern, words in MEANINGS if pattern.search(line)), None)
    if number is not None:
        return f"it crashed with {_signal_name(number)}" + (f" ({meaning})" if meaning else "") + said
    if ending.exit_code == BAD_INPUT:
        return f"the input was refused{said}"
    if ending.exit_code == STOPPED:
        return f"it was stopped from outside{said}"
    if meaning:
        return f"{meaning}{said}"
    return f"it ended with exit code {ending.exit_code}{said or ' and said nothing'}"


def last_error(log_tail: str) -> str:
    """Return the line of a log's end that names the error; the last line if none does."""
    lines = [line.strip() for line in log_tail.split("\n")[-LINES:] if line.strip()]
    for pattern in (OUR_ERROR, PYTHON_ERROR):
        for line in reversed(lines):
            found = pattern.match(line)
            if found:
                return found[1] if pattern is OUR_ERROR else line
    return lines[-1] if lines else ""


def memory_kills() -> int:
    """Return how many processes the kernel has killed for memory since boot."""
    try:
        lines = Path("/proc/vmstat").read_text().split("\n")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _signal(exit_code: int) -> int | None:
    """Return the signal an exit code stands for; shells and Python's own children report 128 + signal."""
    if exit_code < 0:
        return -exit_code
    return exit_code - 128 if exit_code in (128 + signal.SIGKILL, 128 + signal.SIGSEGV, 128 + signal.SIGABRT) else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
