"""A pool of processes that work on stretches of a video: spawned, given one stretch at a time, ended with their parent.

A worker that raises or dies ends the run with an error that names it; results are yielded as they are ready.
"""

import bisect
import heapq
import multiprocessing
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from backend.project.errors import InputError

END_S = 5.0  # a worker that was told to end, or killed, is gone within this
STRETCHES_A_WORKER = 4
SPLITS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
WORTH_SPLITTING = 0.9  # GOPs are parted when that saves a tenth of the time
DECODE_SHARE = 0.3  # of the time of one frame that is decoded and exported


class WorkerPool:
    """A fixed number of processes. A context manager: on exit, also after an error, no process is left.

    Parameters
    ----------
    workers
        How many processes; with one worker or one stretch the work is done in this process.
    make, arguments
        ``make(*arguments)`` is called once in each process and returns a context manager that yields the function which
        turns a stretch into results. Everything is pickled.
    """

    def __init__(self, workers: int, make: Callable[..., Any], *arguments: Any):
        self._context = multiprocessing.get_context("spawn")
        self._target = (make, arguments)
        self._workers = workers
        self._members: dict[Connection, BaseProcess] = {}

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._members.values():
            process.kill()  # they write nothing that could be torn
        for connection, process in self._members.items():
            process.join(END_S)
            connection.close()
        self._members.clear()

    def run(self, stretches: Sequence[Sequence[int]]) -> Iterator[Any]:
        """Process ``stretches`` (lists of frame numbers) and yield the results in the order in which they are ready.

        Raises
        ------
        InputError, OSError
            As raised in a worker.
        RuntimeError
            If a worker raised anything else or died; it says which, and on which frames.
        """
        if self._workers == 1 or len(stretches) == 1:  # not worth a process
            make, arguments = self._target
            with make(*arguments) as function:
                for stretch in stretches:
                    yield from function(stretch)
            return
        waiting, busy = deque(stretches), {}
        for _ in range(min(self._workers, len(waiting)) - len(self._members)):
            self._start()
        for connection in self._members:
            if waiting:
                busy[connection] = waiting.popleft()
                connection.send(busy[connection])
        while busy:
            for connection in wait(list(busy)):
                kind, value = self._receive(connection, busy[connection])
                if kind == "result":
                    yield value
                elif waiting:
                    busy[connection] = waiting.popleft()
                    connection.send(busy[connection])
                else:
                    del busy[connection]

    def _start(self) -> None:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_work, args=(there, *self._target), daemon=True)
        process.start()
        there.close()
        self._members[here] = process

    def _receive(self, connection: Connection, stretch: Sequence[int]) -> tuple[str, Any]:
        number = list(self._members).index(connection) + 1
        doing = f"worker {number} of {len(self._members)}, on frames {stretch[0]} to {stretch[-1]},"
        try:
            kind, value = connection.recv()
        except (EOFError, OSError) as error:
            process = self._members[connection]
            process.join(END_S)
            raise RuntimeError(f"{doing} died ({_how(process.exitcode)})") from error
        if kind == "refused":
            raise value
        if kind == "failed":
            raise RuntimeError(f"{doing} failed: {value}")
        return kind, value


def cut_stretches(frames: Sequence[int], keys: Iterable[int], workers: int) -> list[list[int]]:
    """Cut ascending ``frames`` into runs for ``workers`` processes so that all are soon done.

    A run that begins behind a key frame (``keys``) costs the decoding of the frames between, so GOPs stay whole where
    there are enough of them, and are cut into as many parts as pay where there are not.
    """
    if not frames:
        return []
    starts = sorted({0, *keys})
    gops: dict[int, list[int]] = {}
    for frame in frames:
        gops.setdefault(starts[bisect.bisect_right(starts, frame) - 1], []).append(frame)
    most = min(workers, max(map(len, gops.values())))
    whole = _merge_gops(list(gops.values()), workers)
    parted = [_split_gops(gops.values(), parts) for parts in SPLITS if parts <= most]
    best = min([whole, *parted], key=lambda plan: _time(plan, starts, workers))
    return best if _time(best, starts, workers) < WORTH_SPLITTING * _time(whole, starts, workers) else whole


def _merge_gops(gops: list[list[int]], workers: int) -> list[list[int]]:
    """Return runs of joined short GOPs, `STRETCHES_A_WORKER` for each worker."""
    length = sum(map(len, gops)) / (workers * STRETCHES_A_WORKER)
    runs = [gops[0]]
    for gop in gops[1:]:
        if len(runs[-1]) < length:
            runs[-1] = [*runs[-1], *gop]
        else:
            runs.append(gop)
    return runs


def _split_gops(gops: Iterable[list[int]], parts: int) -> list[list[int]]:
    """Return every GOP cut into ``parts`` runs."""
    cut = []
    for gop in gops:
        bounds = [len(gop) * part // parts for part in range(parts + 1)]
        cut += [gop[begin:end] for begin, end in zip(bounds, bounds[1:], strict=False) if end > begin]
    return cut


def _time(plan: list[list[int]], starts: list[int], workers: int) -> float:
    """Return the expected duration of ``plan`` (frame units); each run goes to the worker that is free first."""
    free = [0.0] * workers
    for run in plan:
        decoded = run[-1] - starts[bisect.bisect_right(starts, run[0]) - 1] + 1
        heapq.heapreplace(free, free[0] + DECODE_SHARE * decoded + (1 - DECODE_SHARE) * len(run))
    return max(free)


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return "no longer answering"
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"killed by {name}; was there too little memory?" if name == "SIGKILL" else f"killed by {name}"
    return f"exit code {exit_code}"


def _work(connection: Connection, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run in the worker: stretches in, results out, until the parent is gone or kills it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the parent hears them, and ends us
    try:
        with make(*arguments) as function:
            while True:
                for result in function(connection.recv()):
                    connection.send(("result", result))
                connection.send(("idle", None))
    except (EOFError, BrokenPipeError):
        sys.exit(0)
    except (InputError, OSError) as error:
        connection.send(("refused", error))
    except Exception as error:  # whatever it is, the parent has to hear of it
        traceback.print_exc()
        connection.send(("failed", f"{type(error).__name__}: {error}"))
