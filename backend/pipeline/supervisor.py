"""Hands chunks to the workers and looks after them: one that dies or falls silent is replaced, its chunk done again."""

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

LOOK_EVERY_S = 0.5
IN_HAND = 2  # chunks a worker has: the open one, and the next, whose first batches are decoded meanwhile
MOST_TRIES = 3  # a chunk is done again at most twice
MOST_STARTS = 3  # of a worker that never gets as far as saving a chunk
END_S = 3.0  # from asking a process to end to killing it
NO_USE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # trying again at once does not help
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """The longest silence of a worker, in seconds, before it counts as hung."""

    start_s: float = 900.0  # loading the network, compiling it with the first batch
    silent_s: float = 300.0


@dataclass
class _Hand:
    """One worker as its supervisor sees it."""

    options: WorkerOptions
    process: BaseProcess
    connection: Connection
    heard: float
    facts: NetworkFacts | None = None
    given: deque[Work] = field(default_factory=deque)
    frames: int = 0  # of the open chunk that went through the network
    proven: bool = False  # it has put a batch through the network
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
        self._hands: list[_Hand] = []
        self._videos: list[VideoPlan] = []
        self._queue: deque[Work] = deque()
        self._tries: dict[Work, int] = {}
        self.problems: dict[int, str] = {}  # video, and why it cannot be finished

    def __enter__(self) -> "Supervisor":
        try:
            self._hands = [self._start(each) for each in self._options]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for hand in self._hands:
            hand.process.terminate()
        deadline = time.monotonic() + END_S
        for hand in self._hands:
            hand.process.join(max(0.0, deadline - time.monotonic()))
            if hand.process.is_alive():
                hand.process.kill()
                hand.process.join(END_S)
            hand.connection.close()

    def wait_until_ready(self, beat: Callable[[], None]) -> NetworkFacts:
        """Wait until every worker has loaded its network, and return what the networks say of themselves.

        Raises
        ------
        InputError
            If the model or a GPU cannot be used, or the workers' number formats differ.
        RuntimeError
            If a worker cannot be started.
        """
        while any(hand.facts is None for hand in self._hands):
            self._listen()
            self._replace_silent()
            beat()
        facts = [hand.facts for hand in self._hands if hand.facts is not None]
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
        for hand in self._hands:
            self._give_plans(hand)
        while self._queue or any(hand.given for hand in self._hands):
            for hand in self._hands:
                self._feed(hand)
            for work in self._listen():
                saved(work)
            self._replace_silent()
            beat(sum(hand.frames for hand in self._hands))
        for hand in self._hands:
            _send(hand, None)

    def _start(self, options: WorkerOptions, starts: int = 1) -> _Hand:
        ours, theirs = self._context.Pipe()
        arguments = (theirs, self._load, self._choice, options)
        process = self._context.Process(target=worker_process, args=arguments)
        process.start()
        theirs.close()
        return _Hand(options, process, ours, time.monotonic(), starts=starts)

    def _give_plans(self, hand: _Hand) -> None:
        _send(hand, self._videos)
        hand.heard = time.monotonic()

    def _feed(self, hand: _Hand) -> None:
        while hand.facts is not None and self._queue and len(hand.given) < IN_HAND:
            work = self._queue.popleft()
            if work.video in self.problems:
                continue
            if not hand.given:
                hand.heard = time.monotonic()
            hand.given.append(work)
            _send(hand, work)

    def _listen(self) -> list[Work]:
        """Take all messages that are there, waiting a moment for the first one. Returns the chunks that were saved."""
        wait([hand.connection for hand in self._hands], LOOK_EVERY_S)
        finished = []
        for place, hand in enumerate(self._hands):
            try:
                while self._hands[place] is hand and hand.connection.poll():
                    finished += self._hear(place, hand, hand.connection.recv())
            except (EOFError, ConnectionError):
                hand.process.join(END_S)
                self._replace(place, f"worker on {hand.options.device} died ({_end_of(hand.process)})")
        return finished

    def _hear(self, place: int, hand: _Hand, message: object) -> list[Work]:
        hand.heard = time.monotonic()
        if isinstance(message, Refused):
            raise InputError(message.reason)
        if isinstance(message, Failed):
            if message.errno in NO_USE:
                raise OSError(message.errno, os.strerror(message.errno or 0), message.path)
            self._replace(place, message.reason)
        elif isinstance(message, Ready):
            hand.facts = message.facts
            if self._videos:
                self._give_plans(hand)
        elif isinstance(message, Beat):
            hand.proven = True
            hand.frames += message.frames
        elif isinstance(message, Saved):
            hand.given.remove(message.work)
            hand.frames, hand.starts = 0, 1
            return [message.work]
        return []

    def _replace_silent(self) -> None:
        now = time.monotonic()
        for place, hand in enumerate(self._hands):
            working = hand.proven and hand.given
            limit_s = self._limits.silent_s if working else self._limits.start_s
            idle = hand.facts is not None and not hand.given
            if not idle and now - hand.heard > limit_s:
                self._replace(place, f"worker on {hand.options.device} gave no sign of life for {limit_s:.0f} s")

    def _replace(self, place: int, why: str) -> None:
        """End a worker, put its chunks back and start another one in its place."""
        hand = self._hands[place]
        hand.process.kill()
        hand.process.join(END_S)
        hand.connection.close()
        log.warning("%s", why)
        for number, work in enumerate(reversed(hand.given)):
            if number == len(hand.given) - 1:  # the open one; the others were only waiting
                self._count_try(work, why)
            if work.video not in self.problems:
                self._queue.appendleft(work)
        if hand.starts >= MOST_STARTS and not hand.given:
            raise RuntimeError(f"{why}; it was started {hand.starts} times")
        self._hands[place] = self._start(hand.options, hand.starts + 1 if not hand.given else 1)

    def _count_try(self, work: Work, why: str) -> None:
        self._tries[work] = self._tries.get(work, 0) + 1
        if self._tries[work] >= MOST_TRIES:
            chunk = work.chunk
            self.problems[work.video] = (
                f"frames {chunk.from_frame} to {chunk.to_frame} failed {MOST_TRIES} times, the last time because: {why}"
            )


def _send(hand: _Hand, message: object) -> None:
    try:
        hand.connection.send(message)
    except (BrokenPipeError, ConnectionResetError):
        log.info("a worker is gone before it got its orders")  # the next look finds it dead


def _end_of(process: BaseProcess) -> str:
    code = process.exitcode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
