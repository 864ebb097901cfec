"""Heartbeat of a job: time since its script last reported progress, and the limit of it."""

import time
from pathlib import Path

from backend.jobs.progress import read_progress


class Silence:
    """How long a script has given no sign of life.

    Measured by this process's own clock from the last change of ``progress.json``, so that setting the machine's clock
    does no harm; time in which this process itself did not run (a paused container) does not count.
    """

    def __init__(self, folder: Path, start_limit_s: float):
        self._folder = folder
        self._last: object = None
        self._stage, self._limit_s = "starting", start_limit_s
        self._changed = self._looked = time.monotonic()

    def too_long(self, look_every_s: float) -> str:
        """Return what to say of a silence above the stage's limit; empty while all is well."""
        now = time.monotonic()
        self._changed += max(0.0, now - self._looked - look_every_s)
        self._looked = now
        record = read_progress(self._folder)
        if record is not None and record != self._last:
            self._last, self._changed = record, now
            self._stage, self._limit_s = record.stage, record.limit_s
        if now - self._changed <= self._limit_s:
            return ""
        silent_s = now - self._changed
        return f"it hung: no sign of life for {silent_s:.0f} s in '{self._stage}' ({self._limit_s:g} s are allowed)"
