"""The log of acts: one JSON object a line, appended and flushed to the disk before anybody is told it is saved.

A line that a kill cut short was never acknowledged; opening the log removes it. Nothing that was is ever changed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backend.project.append_log import AppendLog
from backend.project.errors import InputError


class Journal:
    """The open log at ``path``. One process at a time (the folder's lock sees to that)."""

    def __init__(self, path: Path):
        self.path = path
        self._log = AppendLog(path)

    def close(self) -> None:
        """Give the file back."""
        self._log.close()

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
                    if place + len(line) < self._log.end:
                        raise InputError(f"{self.path} is damaged at byte {place}; put a copy of the folder in place")
                    break
                yield place, record
                place += len(line)
        self._log.cut(place)

    def read(self, place: int) -> dict[str, Any]:
        """Return the record that begins at byte ``place``."""
        with open(self.path, "rb") as file:
            file.seek(place)
            return json.loads(file.readline())

    def cut(self, place: int) -> None:
        """Remove the records from byte ``place`` on: lines of an act that was not ended."""
        self._log.cut(place)

    def append(self, record: dict[str, Any]) -> int:
        """Add a record, flush it to the disk, and return its place.

        Raises
        ------
        OSError
            If the disk does not take it whole; the log is then as it was.
        """
        return self._log.append(json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n")


def _parsed(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
