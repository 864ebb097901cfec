"""The log of acts: one JSON object a line, appended and flushed to the disk before anybody is told it is saved.

A line that a kill cut short is the open act; opening the log removes it. Nothing else is ever changed in the file.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backend.project.atomic import fsync_folder
from backend.project.errors import InputError


class Journal:
    """The open log at ``path``. One process at a time (the folder's lock sees to that)."""

    def __init__(self, path: Path):
        self.path = path
        is_new = not path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if is_new:
            fsync_folder(path.parent)
        self._end = os.fstat(self._file).st_size

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)

    def scan(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield ``(place, record)`` of every line, and remove a last line that was cut short.

        Raises
        ------
        InputError
            If a line that is not the last one is damaged: the log was changed by something else.
        """
        place = 0
        with open(self.path, "rb") as file:
            for line in file:
                record = _parsed(line)
                if record is None:
                    if place + len(line) < self._end:
                        raise InputError(f"{self.path} is damaged at byte {place}; put a copy of the folder in place")
                    break
                yield place, record
                place += len(line)
        if place < self._end:
            os.truncate(self._file, place)
            os.fsync(self._file)
            self._end = place

    def read(self, place: int) -> dict[str, Any]:
        """Return the record that begins at byte ``place``."""
        with open(self.path, "rb") as file:
            file.seek(place)
            return json.loads(file.readline())

    def append(self, record: dict[str, Any]) -> int:
        """Add a record, flush it to the disk, and return its place.

        Raises
        ------
        OSError
            If the disk does not take it whole; the log is then as it was.
        """
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        place = self._end
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            os.truncate(self._file, place)
            error.filename = os.fspath(self.path)
            raise
        self._end = place + len(line)
        return place


def _parsed(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
