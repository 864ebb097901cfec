"""Work on a video split over processes: started anew (spawn), given one stretch at a time, gone with their parent.

A worker that raises or dies ends the whole with an error that names it; results are yielded as they come.
"""

import bisect
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
MIN_STRETCH = 8  # frames


class Crew:
    """A fixed number of processes. Use as a context manager: at its end, however it comes, no process is left.

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

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._members.values():
            process.kill()  # they write nothing that could be torn
        for connection, process in self._members.items():
            process.join(END_S)
            connection.close()
        self._members.clear()

    def run(self, stretches: Sequence[Sequence[int]]) -> Iterator[Any]:
        """Hand out ``stretches`` (frame numbers) and yield the results in the order in which they are ready.

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
    """Cut ascending ``frames`` into runs for ``workers`` processes, at key frames (``keys``) where it can be.

    Several runs a worker keep all of them busy to the end; a run that begins inside a GOP costs the decoding of the
    frames before it.
    """
    if not frames:
        return []
    length = max(MIN_STRETCH, -(-len(frames) // (workers * STRETCHES_A_WORKER)))
    starts = sorted(keys)
    cuts = [0]
    while len(frames) - cuts[-1] > length * 3 // 2:
        first, last = cuts[-1] + length // 2 + 1, cuts[-1] + length * 3 // 2
        at_key = [place for place in range(first, last) if _enters(frames[place - 1], frames[place], starts)]
        cuts.append(min(at_key, key=lambda place: abs(place - cuts[-1] - length), default=cuts[-1] + length))
    return [list(frames[begin:end]) for begin, end in zip(cuts, [*cuts[1:], len(frames)], strict=True)]


def _enters(before: int, here: int, starts: list[int]) -> bool:
    """Whether a key frame lies after ``before``, up to ``here``."""
    return bisect.bisect_right(starts, before) < bisect.bisect_right(starts, here)


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
