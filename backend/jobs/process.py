"""Processes: identify, start, signal and stop them. Nothing else in Lektrack starts or signals a process.

Linux only: one read of ``/proc/PID/stat`` gives state, parent and start time together. The start time is in clock
ticks after boot; a wall-clock one (as psutil computes it) moves when the machine's clock is set.
"""

import contextlib
import ctypes
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import IO

from backend.project.settings import REPOSITORY

STATE_VARIABLE = "LEKTRACK_STATE"
ID_VARIABLE = "LEKTRACK_JOB_ID"
ATTEMPT_VARIABLE = "LEKTRACK_JOB_ATTEMPT"
FOLDER_VARIABLE = "LEKTRACK_JOB_FOLDER"

TERM_S = 10.0  # from SIGTERM to SIGKILL
KILL_S = 4.0  # from SIGKILL to giving up; together below the 15 s that are promised
YOUNG_TICKS = 500  # 5 s: so long a process may be between fork and exec, where its environment reads as empty
PR_SET_CHILD_SUBREAPER = 36

# A child between fork and exec still shows its parent's environment. Starting one and looking for a job's processes
# exclude each other in this process, so that a wrapper that starts another one does not take it for its own script.
_starting = threading.Lock()


class Sight(StrEnum):
    """Result of looking for a process."""

    ALIVE = "alive"
    ZOMBIE = "zombie"
    GONE = "gone"
    STRANGER = "stranger"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class ProcessIdentity:
    """Identity of a process: distinguishes it from all earlier and later ones with the same pid."""

    pid: int
    start_time: int  # clock ticks after boot
    boot_id: str


@dataclass(frozen=True)
class JobMark:
    """Environment variables that mark a job's processes. The mark belongs to one installation, job and attempt."""

    state: Path
    job: int
    attempt: int

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the variables that carry the mark, and the job's folder."""
        return {
            STATE_VARIABLE: str(self.state),
            ID_VARIABLE: str(self.job),
            ATTEMPT_VARIABLE: str(self.attempt),
            FOLDER_VARIABLE: str(folder),
        }


NO_MARK = JobMark(Path("/"), 0, 0)  # of a process that carries none


@dataclass(frozen=True)
class Process:
    """State of a process at one moment."""

    pid: int
    parent: int
    session: int
    start_time: int
    state: str  # letter of proc(5)

    @property
    def is_alive(self) -> bool:
        """Whether it can still do anything: a zombie cannot."""
        return self.state not in "ZXx"


@cache
def boot_id() -> str:
    """Return the kernel's boot id, which changes with every boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identity_of(pid: int) -> ProcessIdentity:
    """Return the identity of a living process; ProcessLookupError if there is none."""
    process = look(pid)
    if process is None:
        raise ProcessLookupError(errno.ESRCH, f"no process {pid}")
    return ProcessIdentity(pid, process.start_time, boot_id())


def look(pid: int) -> Process | None:
    """Return what ``/proc`` says of ``pid``; None if there is no such process; PermissionError if it is hidden."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the command's name stands in brackets and may hold anything, so count from the last one
    state, parent, _group, session, *rest = text[text.rindex(b")") + 2 :].split()
    return Process(pid, int(parent), int(session), int(rest[15]), state.decode())


def observe(identity: ProcessIdentity, mark: JobMark) -> Sight:
    """Tell whether the process of ``identity`` lives and belongs to the job of ``mark``.

    UNREADABLE is the very process (its start time is right), whose environment may not be read. A process that is
    hidden from us altogether belongs to somebody else, and ours do not.
    """
    if identity.boot_id != boot_id():
        return Sight.GONE
    try:
        process = look(identity.pid)
    except PermissionError:
        return Sight.STRANGER
    if process is None:
        return Sight.GONE
    if process.start_time != identity.start_time:
        return Sight.STRANGER
    if not process.is_alive:
        return Sight.ZOMBIE
    try:
        found = _mark_of(process)
    except PermissionError:
        return Sight.UNREADABLE
    return Sight.ALIVE if found is None or found == mark else Sight.STRANGER


def snapshot() -> list[Process]:
    """Return all processes of this machine that we may see."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(PermissionError):
                process = look(int(name))
                if process is not None:
                    found.append(process)
    return found


def job_processes(mark: JobMark, root: int | None = None) -> list[Process]:
    """Return the living processes of a job.

    They are all that carry its mark (with this or an older attempt), and the descendants of those and of ``root`` (a
    pid, not returned itself), but for those of other jobs.
    """
    with _starting:
        found = {process.pid: process for process in snapshot()}
        marks = {pid: _mark_or_nothing(process) for pid, process in found.items() if process.is_alive}
    ours = {pid for pid, other in marks.items() if other and _belongs(other, mark)}
    others = {pid for pid, other in marks.items() if other not in (None, NO_MARK) and not _belongs(other, mark)}
    ours = _descendants(ours if root is None else ours | {root}, found, others) - {root}
    return [found[pid] for pid in sorted(ours) if found[pid].is_alive]


def send(process: Process | ProcessIdentity, number: int) -> bool:
    """Signal exactly this process, never one that got its pid since. False if it is gone or may not be signalled."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            return False
        descriptor = None  # kernels before 5.3: the check below is then as close as it gets
    try:
        present = look(process.pid)
        if present is None or present.start_time != process.start_time:
            return False
        if descriptor is None:
            os.kill(process.pid, number)
        else:
            signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return True


def stop_tree(
    find: Callable[[], list[Process]], term_s: float = TERM_S, kill_s: float = KILL_S, poll_s: float = 0.1
) -> list[Process]:
    """Stop all that ``find`` finds: SIGTERM, ``term_s`` later SIGKILL. Returns what even that did not end.

    Everything is looked for again in every round, because a tree that is being stopped may still grow. It has ended
    when two successive looks find nothing: in one alone a process may have forked behind the reader and gone before it.
    """
    begun = time.monotonic()
    asked: set[tuple[int, int]] = set()
    empty = 0
    while True:
        left = find()
        empty = 0 if left else empty + 1
        age_s = time.monotonic() - begun
        if empty == 2 or age_s > term_s + kill_s:
            return left
        for process in left:
            if age_s >= term_s:
                send(process, signal.SIGKILL)
            elif (process.pid, process.start_time) not in asked:
                asked.add((process.pid, process.start_time))
                send(process, signal.SIGTERM)
        time.sleep(poll_s)


def launch(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start Python with ``arguments`` in a session of its own, which a hung-up terminal or a dead parent leaves alone.

    Output is appended to ``log``. The caller polls the returned process now and then, so that no zombie stays.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return _start(arguments, environment, descriptor, start_new_session=True)
    finally:
        os.close(descriptor)


def start_script(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start Python with ``arguments`` in a process group of its own; stdout and stderr come through one pipe."""
    return _start(arguments, environment, subprocess.PIPE, process_group=0)


def become_subreaper() -> None:
    """Make orphaned descendants children of this process: also a grandchild in a session of its own stays in reach."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"child subreaper: {os.strerror(number)}")


def reap_orphans(keep: int) -> None:
    """Reap ended children that nobody waits for, but for ``keep``, whose exit code its owner wants."""
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid == keep:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def _start(
    arguments: Sequence[str], environment: Mapping[str, str], output: int | IO[bytes], **options: bool | int
) -> subprocess.Popen[bytes]:
    with _starting:
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=dict(environment),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            umask=0o022,
            **options,
        )


def _descendants(roots: set[int], found: Mapping[int, Process], others: set[int]) -> set[int]:
    """Return ``roots`` and all below them, without ``others`` and what is below those."""
    children: dict[int, list[int]] = {}
    for process in found.values():
        children.setdefault(process.parent, []).append(process.pid)
    reached: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in others and pid not in reached:
            reached.add(pid)
            waiting += children.get(pid, [])
    return reached


def _belongs(found: JobMark, mark: JobMark) -> bool:
    return found.state == mark.state and found.job == mark.job and found.attempt <= mark.attempt


def _mark_or_nothing(process: Process) -> JobMark | None:
    try:
        return _mark_of(process)
    except PermissionError:
        return None


def _mark_of(process: Process) -> JobMark | None:
    """Return the mark in a process's environment, `NO_MARK` where it has none, None where it cannot be told yet."""
    try:
        with open(f"/proc/{process.pid}/environ", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if not text:
        return None if _ticks_now() - process.start_time < YOUNG_TICKS else NO_MARK
    variables = dict(part.split(b"=", 1) for part in text.split(b"\0") if b"=" in part)
    try:
        return JobMark(
            Path(os.fsdecode(variables[STATE_VARIABLE.encode()])),
            int(variables[ID_VARIABLE.encode()]),
            int(variables[ATTEMPT_VARIABLE.encode()]),
        )
    except (KeyError, ValueError):
        return NO_MARK


def _ticks_now() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
