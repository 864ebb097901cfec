"""The supervisor assigns chunks to workers and replaces those that die or hang; their chunks are processed again."""

import errno
import logging
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from backend.pipeline.chunk_plan import VideoPlan, Work
from backend.pipeline.messages import Beat, Failed, Ready, Refused, Saved
from backend.pipeline.network import Load, ModelChoice, NetworkFacts
from backend.pipeline.worker import WorkerOptions, worker_process
from backend.project.errors import InputError

POLL_S = 0.5
CHUNKS_PER_WORKER = 2  # chunks a worker has: the open one, and the next, whose first batches are decoded meanwhile
MAX_TRIES = 3  # a chunk is done again at most twice
MAX_STARTS = 3  # of a worker that never gets as far as saving a chunk
END_S = 3.0  # from asking a process to end to killing it
NO_RETRY_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # trying again at once does not help
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """The longest silence of a worker, in seconds, before it counts as hung."""

    start_s: float = 900.0  # loading the network, compiling it with the first batch
    silent_s: float = 300.0


@dataclass
class _WorkerHandle:
    """The supervisor's side of one worker."""

    options: WorkerOptions
    process: BaseProcess
    connection: Connection
    last_message_s: float
    facts: NetworkFacts | None = None
    assigned: deque[Work] = field(default_factory=deque)
    frames: int = 0  # of the open chunk that went through the network
    has_run: bool = False  # it has put a batch through the network
    starts: int = 1


class Supervisor:
    """Runs the workers of one run; use it as a context manager, which ends them however the block ends.

    Parameters
    ----------
    load, choice
        The network, and how it is loaded.
    options
        One for each worker.
    limits
        When a silent worker is replaced.
    """

    def __init__(self, load: Load, choice: ModelChoice, options: Sequence[WorkerOptions], limits: Limits):
        self._load, self._choice, self._limits = load, choice, limits
        self._context = multiprocessing.get_context("spawn")
        self._options = options
        self._handles: list[_WorkerHandle] = []
        self._videos: list[VideoPlan] = []
        self._queue: deque[Work] = deque()
        self._tries: dict[Work, int] = {}
        self.problems: dict[int, str] = {}  # video, and why it cannot be finished

    def __enter__(self) -> "Supervisor":
        try:
            self._handles = [self._start(options) for options in self._options]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.process.terminate()
        deadline = time.monotonic() + END_S
        for handle in self._handles:
            handle.process.join(max(0.0, deadline - time.monotonic()))
            if handle.process.is_alive():
                handle.process.kill()
                handle.process.join(END_S)
            handle.connection.close()

    def wait_until_ready(self, beat: Callable[[], None]) -> NetworkFacts:
        """Wait until every worker has loaded its network, and return what the networks say of themselves.

        Raises
        ------
        InputError
            If the model or a GPU cannot be used, or the workers' number formats differ.
        RuntimeError
            If a worker cannot be started.
        """
        while any(handle.facts is None for handle in self._handles):
            self._listen()
            self._replace_silent()
            beat()
        facts = [handle.facts for handle in self._handles if handle.facts is not None]
        formats = sorted({fact.number_format for fact in facts})
        if len(formats) > 1:
            raise InputError(f"the GPUs compute in different number formats ({', '.join(formats)}); set --amp to one")
        return facts[0]

    def run(
        self,
        videos: Sequence[VideoPlan],
        todo: Sequence[Work],
        saved: Callable[[Work], None],
        beat: Callable[[int], None],
    ) -> None:
        """Have ``todo`` done. ``saved`` is called for each finished chunk, ``beat`` often, with the frames under way.

        A chunk that fails three times takes its video out of the run; `problems` says why, and the other videos go on.

        Raises
        ------
        OSError
            If the disk is full or cannot be written to.
        RuntimeError
            If no worker can be kept alive.
        """
        self._videos, self._queue = list(videos), deque(todo)
        for handle in self._handles:
            self._give_plans(handle)
        while self._queue or any(handle.assigned for handle in self._handles):
            for handle in self._handles:
                self._feed(handle)
            for work in self._listen():
                saved(work)
            self._replace_silent()
            beat(sum(handle.frames for handle in self._handles))
        for handle in self._handles:
            _send(handle, None)

    def _start(self, options: WorkerOptions, starts: int = 1) -> _WorkerHandle:
        ours, theirs = self._context.Pipe()
        arguments = (theirs, self._load, self._choice, options)
        process = self._context.Process(target=worker_process, args=arguments)
        process.start()
        theirs.close()
        return _WorkerHandle(options, process, ours, time.monotonic(), starts=starts)

    def _give_plans(self, handle: _WorkerHandle) -> None:
        _send(handle, self._videos)
        handle.last_message_s = time.monotonic()

    def _feed(self, handle: _WorkerHandle) -> None:
        while handle.facts is not None and self._queue and len(handle.assigned) < CHUNKS_PER_WORKER:
            work = self._queue.popleft()
            if work.video in self.problems:
                continue
            if not handle.assigned:
                handle.last_message_s = time.monotonic()
            handle.assigned.append(work)
            _send(handle, work)

    def _listen(self) -> list[Work]:
        """Take all messages that are there, waiting a moment for the first one. Returns the chunks that were saved."""
        wait([handle.connection for handle in self._handles], POLL_S)
        finished = []
        for index, handle in enumerate(self._handles):
            try:
                while self._handles[index] is handle and handle.connection.poll():
                    finished += self._handle_message(index, handle, handle.connection.recv())
            except (EOFError, ConnectionError):
                handle.process.join(END_S)
                self._replace(index, f"worker on {handle.options.device} died ({_end_of(handle.process)})")
        return finished

    def _handle_message(self, index: int, handle: _WorkerHandle, message: object) -> list[Work]:
        handle.last_message_s = time.monotonic()
        if isinstance(message, Refused):
            raise InputError(message.reason)
        if isinstance(message, Failed):
            if message.errno in NO_RETRY_ERRNOS:
                raise OSError(message.errno, os.strerror(message.errno or 0), message.path)
            self._replace(index, message.reason)
        elif isinstance(message, Ready):
            handle.facts = message.facts
            if self._videos:
                self._give_plans(handle)
        elif isinstance(message, Beat):
            handle.has_run = True
            handle.frames += message.frames
        elif isinstance(message, Saved):
            handle.assigned.remove(message.work)
            handle.frames, handle.starts = 0, 1
            return [message.work]
        return []

    def _replace_silent(self) -> None:
        now = time.monotonic()
        for index, handle in enumerate(self._handles):
            working = handle.has_run and handle.assigned
            limit_s = self._limits.silent_s if working else self._limits.start_s
            idle = handle.facts is not None and not handle.assigned
            if not idle and now - handle.last_message_s > limit_s:
                self._replace(index, f"worker on {handle.options.device} gave no sign of life for {limit_s:.0f} s")

    def _replace(self, index: int, reason: str) -> None:
        """End a worker, put its chunks back and start another one in its place."""
        handle = self._handles[index]
        handle.process.kill()
        handle.process.join(END_S)
        handle.connection.close()
        log.warning("%s", reason)
        for number, work in enumerate(reversed(handle.assigned)):
            if number == len(handle.assigned) - 1:  # the open one; the others were only waiting
                self._count_try(work, reason)
            if work.video not in self.problems:
                self._queue.appendleft(work)
        if handle.starts >= MAX_STARTS and not handle.assigned:
            raise RuntimeError(f"{reason}; it was started {handle.starts} times")
        self._handles[index] = self._start(handle.options, handle.starts + 1 if not handle.assigned else 1)

    def _count_try(self, work: Work, reason: str) -> None:
        self._tries[work] = self._tries.get(work, 0) + 1
        if self._tries[work] >= MAX_TRIES:
            chunk = work.chunk
            self.problems[work.video] = (
                f"frames {chunk.from_frame} to {chunk.to_frame} failed {MAX_TRIES} times, "
                f"the last time because: {reason}"
            )


def _send(handle: _WorkerHandle, message: object) -> None:
    try:
        handle.connection.send(message)
    except (BrokenPipeError, ConnectionResetError):
        log.info("a worker is gone before it got its orders")  # the next look finds it dead


def _end_of(process: BaseProcess) -> str:
    code = process.exitcode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
