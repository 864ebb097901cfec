"""Work over processes comes back in order, never runs far ahead, and fails when a worker fails."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from backend.dataset.pool import AHEAD, BATCH, _undisturbed, map_in_order


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise KeyError(f"no {number}")


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_come_in_order_and_tasks_are_taken_a_little_ahead_only():
    taken = []

    def tasks() -> Iterator[int]:
        for number in range(200):
            taken.append(number)
            yield number

    results = map_in_order(square, tasks(), workers=2)
    assert next(results) == 0
    assert len(taken) <= BATCH * AHEAD * 2
    assert list(results) == [number**2 for number in range(1, 200)]


def test_one_worker_is_this_process():
    assert list(map_in_order(lambda number: (number, os.getpid()), range(3), workers=1)) == [
        (number, os.getpid()) for number in range(3)
    ]


@pytest.mark.parametrize(("function", "error"), [(refuse, KeyError), (die, RuntimeError)])
def test_a_worker_that_fails_or_dies_is_an_error(function, error):
    with pytest.raises(error):
        list(map_in_order(function, range(20), workers=2))


def test_a_stop_that_another_thread_hears_waits_until_the_worker_is_there():
    order, end = [], threading.Event()
    caught, tell = os.pipe()
    os.set_blocking(tell, False)
    other = threading.Thread(target=end.wait)  # its signals are not blocked
    other.start()
    before = signal.signal(signal.SIGTERM, lambda *_: order.append("stop"))
    woken = signal.set_wakeup_fd(tell)  # a byte for each signal that arrives, in whatever thread
    try:
        with _undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            os.read(caught, 1)
            order.append("there")
        assert order == ["there", "stop"]
        signal.raise_signal(signal.SIGTERM)
        assert order == ["there", "stop", "stop"], "afterwards it is heard as before"
    finally:
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGTERM, before)
        os.close(caught)
        os.close(tell)
        end.set()
        other.join()
