"""Launchers start the wrapper process of a job: here on this machine (`LocalLauncher`).

Another launcher, such as one for a cluster scheduler, is a second class with the methods of `Launcher`.
"""

import os
import threading
from subprocess import Popen
from typing import Protocol

from backend.jobs.job import Job
from backend.jobs.job_files import WRAPPER_LOG_FILE
from backend.jobs.process import JobMark, launch
from backend.jobs.slots import VISIBLE_VARIABLE, visible_gpus


class Launcher(Protocol):
    """Starts wrappers and knows which of those it started have ended."""

    def start(self, job: Job, mark: JobMark) -> None:
        """Start the wrapper of one attempt; OSError if that cannot be done."""

    def ended(self) -> set[JobMark]:
        """Return the attempts whose wrapper was started here and has ended since the last call."""


class LocalLauncher:
    """Starts wrappers as processes of this machine. Also reaps them, so that the starter has no zombies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: dict[JobMark, Popen[bytes]] = {}

    def start(self, job: Job, mark: JobMark) -> None:
        """Start the wrapper of one attempt; OSError if that cannot be done."""
        job.folder.mkdir(parents=True, exist_ok=True)
        # CUDA counts GPUs by speed unless told otherwise, NVML by bus; slots are NVML's
        environment = {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "PYTHONUNBUFFERED": "1"}
        if visible_gpus() is not None:
            environment[VISIBLE_VARIABLE] = str(visible_gpus())
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        arguments = ["-m", "backend.jobs.wrapper", str(mark.job), str(mark.attempt)]
        process = launch(arguments, environment | mark.environment(job.folder), job.folder / WRAPPER_LOG_FILE)
        with self._lock:
            self._started[mark] = process

    def ended(self) -> set[JobMark]:
        """Return the attempts whose wrapper was started here and has ended since the last call."""
        with self._lock:
            over = {mark for mark, process in self._started.items() if process.poll() is not None}
            for mark in over:
                del self._started[mark]
        return over


LOCAL = LocalLauncher()
