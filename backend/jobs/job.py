"""A job's specification (`JobSpec`) and its row in the job table (`Job`)."""

import math
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from backend.jobs.job_states import JobState, Slot
from backend.project.errors import InputError
from backend.project.paths import check_name

MAX_ARGUMENT_BYTES = 128 * 1024 - 1  # MAX_ARG_STRLEN of Linux: a longer one cannot be handed to a program
MAX_GPUS = 64


@dataclass(frozen=True)
class JobSpec:
    """A job to be submitted. Raises InputError for what cannot be run.

    Parameters
    ----------
    kind
        What it is, for filters and icons: the script's name, such as ``export_frames``.
    title
        What people read: ``Export frames 0-500 of lek-north``.
    command
        Arguments after the Python interpreter. They are handed over as they are, never through a shell.
        Paths in it are absolute, because the script runs in the repository's root.
    output
        Folder that no other active job may have. Its manifest decides whether the job succeeded.
    after
        Ids of jobs that must succeed first. If one of them does not, this job fails with that reason.
    resumable
        Whether it may be queued again by itself after it was cut off.
    service
        A long-lived server. It gets ``--host H --port P`` and runs once ``ready_path`` answers. It takes no CPU slot.
    start_limit_s
        Longest silence before a script first reports progress, or before a service answers.
    """

    kind: str
    title: str
    command: tuple[str, ...]
    output: Path | None = None
    project: Path | None = None
    videos: tuple[str, ...] = ()
    user: str = ""
    slot: Slot = Slot.CPU
    gpus: int = 1
    after: tuple[int, ...] = ()
    resumable: bool = False
    service: bool = False
    ready_path: str = "/-/ready"
    start_limit_s: float = 600.0

    def __post_init__(self) -> None:
        check_name(self.kind, "kind")
        if self.slot not in set(Slot):
            raise InputError(f"slot {self.slot!r} is not one of {', '.join(Slot)}")
        coerced = {
            "title": _one_line(self.title) or self.kind,
            "user": _one_line(self.user),
            "command": tuple(_argument(part) for part in self.command),
            "output": Path(self.output) if self.output else None,
            "project": Path(self.project) if self.project else None,
            "videos": tuple(self.videos),
            "after": tuple(dict.fromkeys(self.after)),
            "slot": Slot.NONE if self.service and self.slot == Slot.CPU else Slot(self.slot),
        }
        for name, value in coerced.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        if not self.command:
            raise InputError("command is empty; give what follows the interpreter, such as -m backend.export_frames")
        if not 1 <= self.gpus <= MAX_GPUS:
            raise InputError(f"gpus {self.gpus} is not allowed: use 1 to {MAX_GPUS}")
        if not (math.isfinite(self.start_limit_s) and self.start_limit_s > 0):
            raise InputError(f"start_limit_s {self.start_limit_s} is not allowed: use a number of seconds above 0")
        if not self.ready_path.startswith("/"):
            raise InputError(f"ready_path {self.ready_path!r} must start with '/'")


@dataclass(frozen=True, kw_only=True)
class Job(JobSpec):
    """A row of the job table, with its specification. Times are UTC."""

    id: int
    state: JobState
    created: datetime
    started: datetime | None = None  # the newest attempt
    ended: datetime | None = None
    stop_asked: datetime | None = None
    attempts: int = 0  # started so far
    cut_offs: int = 0  # queued again by itself since submit or retry
    exit_code: int | None = None  # negative: the signal that ended the script
    reason: str = ""  # plain words; empty while all is well
    pid: int | None = None  # the wrapper's; None until it has claimed the job
    start_time: int | None = None  # clock ticks after boot
    boot_id: str | None = None
    port: int | None = None
    gpu_ids: tuple[int, ...] = ()
    folder: Path

    def __post_init__(self) -> None:
        """Trust the table: everything was checked when it was submitted."""

    @property
    def spec(self) -> JobSpec:
        """The specification as submitted."""
        return JobSpec(**{field.name: getattr(self, field.name) for field in fields(JobSpec)})


def _one_line(text: str) -> str:
    """Return ``text`` as one printable line that SQLite can store."""
    plain = " ".join(text.encode("utf-8", "replace").decode().split())
    return "".join(character for character in plain if character.isprintable())[:300]


def _argument(value: Any) -> str:
    text = str(value)
    if "\0" in text or len(text.encode("utf-8", "surrogateescape")) > MAX_ARGUMENT_BYTES:
        raise InputError(f"argument {ascii(text[:80])} is longer than {MAX_ARGUMENT_BYTES} bytes or holds a NUL byte")
    return text
