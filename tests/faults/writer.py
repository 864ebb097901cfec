"""What the fault tests run. ``loop PATH``: replace PATH for ever. ``once PATH``: replace it once, as a script does."""

import itertools
import sys
from pathlib import Path

from backend.project.atomic import atomic_file, atomic_write

BLOCK = 70_000  # above the buffer of a file, so that one content is several writes


def content(number: int) -> bytes:
    """Return a text that shows where it was cut or mixed with another one: length, number, and the number all along."""
    body = f"{number:09d}\n".encode() * (1 + number % 7 * 3000)
    return f"{len(body)}\n".encode() + body


def check(data: bytes) -> int:
    """Return the number of a whole content; AssertionError if it is torn."""
    length, _, body = data.partition(b"\n")
    assert len(body) == int(length), "cut"
    number = int(body[:9])
    assert data == content(number), "mixed"
    return number


def main(argv: list[str]) -> None:
    """Write."""
    how, path = argv[0], Path(argv[1])
    if how == "loop":
        print("up", flush=True)
        for number in itertools.count(1):
            atomic_write(path, content(number))
    with atomic_file(path) as file:
        for _ in range(3):
            file.write(b"new" * BLOCK)


if __name__ == "__main__":
    if sys.argv[1] == "loop":
        main(sys.argv[1:])  # without what a script imports: this one is started hundreds of times
    from backend.jobs.script import run_script

    run_script("writer", main)
