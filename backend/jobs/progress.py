"""Progress of a script: a bar when run by hand, a small file for the pages when run as a job."""

import os
import sys
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from tqdm import tqdm

from backend.project.atomic import atomic_write

PROGRESS_FILE = "progress.json"
WRITE_EVERY_S = 0.5
RATE_WINDOW_S = 30.0  # the rate forgets what is older, so that an ETA follows a machine that slows down
DEFAULT_LIMIT_S = 300.0


class ProgressRecord(BaseModel):
    """The content of ``progress.json``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: str
    done: int = 0
    total: int | None = None
    message: str = ""
    rate: float | None = None  # units of `done` a second
    eta_s: float | None = None
    heartbeat: float  # time.time() of the last sign of life
    limit_s: float  # longest silence that is normal in this stage

    @property
    def share(self) -> float | None:
        """Share done, 0 to 1; None while the total is not known."""
        return None if not self.total else min(1.0, self.done / self.total)


class Progress:
    """Reports stages one after the other; use it as a context manager.

    In a job (``$LEKTRACK_JOB_FOLDER`` is set) it replaces ``progress.json`` in that folder at most twice a second.
    Elsewhere it draws a tqdm bar on stderr, if that is a terminal.
    """

    def __init__(self, folder: Path | None = None):
        job_folder = os.environ.get("LEKTRACK_JOB_FOLDER")
        self._folder = folder or (Path(job_folder) if job_folder else None)
        self._bar: tqdm | None = None
        self._written = 0.0
        self._begin("starting", None, DEFAULT_LIMIT_S)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._write(force=True)
        if self._bar is not None:
            self._bar.close()

    def stage(self, name: str, total: int | None = None, limit_s: float = DEFAULT_LIMIT_S, done: int = 0) -> None:
        """Begin a stage of ``total`` units, ``done`` of which were there before.

        A silence of more than ``limit_s`` seconds makes the job's wrapper take the script for hung.
        """
        self._begin(name, total, limit_s, done)
        if self._folder is None:
            if self._bar is not None:
                self._bar.close()
            self._bar = tqdm(total=total, desc=name, initial=done, disable=not sys.stderr.isatty())
        self._write(force=True)

    def update(self, done: int, message: str | None = None) -> None:
        """Report that ``done`` units of this stage are finished; also counts as a heartbeat."""
        self._done = done
        if message is not None:
            self._message = message
        now = time.monotonic()
        self._history.append((now, done))
        while len(self._history) > 2 and now - self._history[0][0] > RATE_WINDOW_S:
            self._history.pop(0)
        if self._bar is not None:
            self._bar.n = done
            if message is not None:
                self._bar.set_postfix_str(message, refresh=False)
            self._bar.refresh()
        self._write()

    def beat(self) -> None:
        """Send a heartbeat: the script is alive although no unit was finished."""
        self._write()

    def _begin(self, name: str, total: int | None, limit_s: float, done: int = 0) -> None:
        self._stage, self._total, self._limit_s, self._done, self._message = name, total, limit_s, done, ""
        self._history = [(time.monotonic(), done)]

    def _write(self, force: bool = False) -> None:
        now = time.monotonic()
        if self._folder is None or (not force and now - self._written < WRITE_EVERY_S):
            return
        self._written = now
        (start, first), (end, last) = self._history[0], self._history[-1]
        rate = (last - first) / (end - start) if last > first and end > start else None
        eta_s = (self._total - self._done) / rate if rate and self._total is not None else None
        record = ProgressRecord(
            stage=self._stage,
            done=self._done,
            total=self._total,
            message=self._message,
            rate=rate,
            eta_s=eta_s,
            heartbeat=time.time(),
            limit_s=self._limit_s,
        )
        atomic_write(self._folder / PROGRESS_FILE, record.model_dump_json(), durable=False)


def read_progress(folder: Path) -> ProgressRecord | None:
    """Return the last progress written to ``folder``; None where there is none that can be read."""
    try:
        return ProgressRecord.model_validate_json((folder / PROGRESS_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
