"""A job's log: bounded in size, quick to read from its end, cleaned of control characters for display."""

import contextlib
import os
import re
from io import FileIO
from pathlib import Path
from typing import BinaryIO

CAP_BYTES = 10 * 1000**2  # a log never grows beyond this
HEAD_BYTES = 1000**2  # of its beginning are kept for good: settings, versions, the first warnings
KEEP_BYTES = 4 * 1000**2  # of its end remain when the cap is reached
TAIL_BYTES = 512 * 1024  # more is never read for showing the end
MAX_LINE = 2000  # characters shown of one line

ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC and other strings, up to their end
    r"|[ -/]*[0-~])",
)
HARMFUL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]")  # control and direction marks


class BoundedLog:
    """Appends to ``path`` and keeps it below `CAP_BYTES`: beginning and end stay, the middle goes.

    A full disk loses log lines, never the job: what cannot be written is dropped and counted.
    """

    def __init__(self, path: Path):
        self._path = path
        self._file: FileIO | None = None
        self._size = 0
        self._dropped = 0

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        try:
            if self._file is None:
                self._file = _open(self._path, "ab")
                self._size = self._file.tell()
            if self._dropped:
                self._append(self._file, b"\n... %d bytes could not be written here ...\n" % self._dropped)
                self._dropped = 0
            self._append(self._file, data)
            if self._size > CAP_BYTES:
                self._file = self._shortened(self._file)
        except OSError:
            self._dropped += len(data)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _append(self, file: FileIO, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = file.write(view)
            self._size += written
            view = view[written:]

    def _shortened(self, long: FileIO) -> FileIO:
        """Write beginning and end to a new file, which takes the log's place, and return it."""
        shorter = self._path.with_name(f".{self._path.name}.shorter")
        with open(self._path, "rb") as old, contextlib.ExitStack() as undo:
            undo.callback(lambda: shorter.unlink(missing_ok=True))
            head = old.read(HEAD_BYTES)
            old.seek(self._size - KEEP_BYTES)
            end = old.read()
            new = undo.enter_context(_open(shorter, "wb"))
            for part in (head, b"\n... %d bytes left out ...\n" % (self._size - len(head) - len(end)), end):
                new.write(part)
            os.replace(shorter, self._path)
            undo.pop_all()
        long.close()
        self._size = new.tell()
        return new


def rotate(path: Path, name: str, keep: int) -> None:
    """Rename the log of an attempt to ``NAME`` beside it and keep the ``keep`` newest ``log.attempt-N``."""
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, path.with_name(name))
    old = sorted(path.parent.glob(f"{path.name}.attempt-*"), key=lambda each: int(each.name.rsplit("-", 1)[1]))
    for each in old[:-keep]:
        each.unlink(missing_ok=True)


def tail(path: Path, lines: int = 200) -> str:
    """Return the last ``lines`` lines of ``path`` as clean text; empty where there is no file.

    At most `TAIL_BYTES` are read, however large the file is.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = _last_bytes(file, size, lines)
    except OSError:
        return ""
    found = clean(data).split("\n")
    while found and not found[-1]:
        found.pop()
    return "\n".join(found[-lines:])


def clean(data: bytes) -> str:
    """Return bytes of a log as text that does no harm where it is shown.

    Invalid UTF-8 becomes U+FFFD; ANSI sequences, control characters and direction marks go; of a line that was
    overwritten with carriage returns (a progress bar) its last state remains; long lines are cut.
    """
    text = ANSI.sub("", data.decode("utf-8", "replace"))
    return "\n".join(_last_state(line) for line in text.split("\n"))


def _open(path: Path, mode: str) -> FileIO:
    return FileIO(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))


def _last_state(line: str) -> str:
    states = [part for part in line.split("\r") if part.strip()]
    line = HARMFUL.sub("", states[-1] if states else "")
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]} ... ({len(line)} characters)"


def _last_bytes(file: BinaryIO, size: int, lines: int) -> bytes:
    """Read backwards until enough lines are there, or `TAIL_BYTES`."""
    block, data = 16 * 1024, b""
    while len(data) < min(size, TAIL_BYTES) and data.count(b"\n") <= lines:
        length = min(block, size - len(data), TAIL_BYTES - len(data))
        file.seek(size - len(data) - length)
        data = file.read(length) + data
        block *= 2
    return data
