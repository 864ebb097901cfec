"""Map a function over many tasks in several processes: results in order, memory bounded, a dead worker is an error.

Workers are started anew (``spawn``), so nothing of the caller's state or threads is inherited. They end when the
caller ends, however it ends.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TypeVar

import cv2

Task = TypeVar("Task")
Result = TypeVar("Result")
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
BATCH = 8  # tasks that travel together
AHEAD = 3  # batches a worker that may be under way or waiting


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def worker_count(wanted: int, tasks: int, worthwhile: int) -> int:
    """Return how many processes to use: ``wanted``; if that is 0, one per core, but no more than pay.

    A process takes seconds to start; ``worthwhile`` is the number of tasks that take as long.
    """
    return max(1, min(wanted or cores(), -(-tasks // (BATCH if wanted else worthwhile))))


def map_in_order(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int, batch: int = BATCH
) -> Iterator[Result]:
    """Yield ``function(task)`` for each task, in order, computed by ``workers`` processes (1: in this one).

    ``function`` must be importable (a module's function, or `functools.partial` of one); so must tasks and results be
    picklable. A closed generator ends the workers.

    Raises
    ------
    RuntimeError
        If a worker died (killed, out of memory).
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    rest = iter(tasks)
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin)
    try:
        waiting: deque[Future] = deque()
        while work := list(islice(rest, batch)):
            with _undisturbed():
                waiting.append(pool.submit(partial(_run, function), work))
            if len(waiting) >= workers * AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RuntimeError("a worker process died (killed, or out of memory); nothing was written") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold back stop signals: one that arrives while a worker is being started would leave half a worker behind.

    A blocked signal is blocked for the worker, too, and for this thread; but another thread may hear it, and Python
    then calls the handler here all the same. So the handlers wait as well.
    """
    if threading.current_thread() is not threading.main_thread():  # no handler is ever called here
        yield
        return
    heard: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    handlers = {name: signal.signal(name, lambda number, _: heard.append(number)) for name in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    for number in heard:
        signal.raise_signal(number)


def _run(function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    return [function(task) for task in tasks]


def _begin() -> None:
    """Make this process a worker: one thread, ignoring Ctrl-C (the caller hears it), gone with the caller."""
    cv2.setNumThreads(1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # held back by the caller while it started us
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
