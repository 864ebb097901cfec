"""The log of acts: one JSON object per line, on the disk before the page says that it is saved.

A line that a kill cut short was never acknowledged; opening the log removes it. Other lines never change.
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
        """Close the file."""
        self._log.close()

    def scan(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield ``(offset, record)`` of every line, and remove a last line that was cut short.

        Raises
        ------
        InputError
            If another line than the last is damaged: something else has changed the log.
        """
        offset = 0
        with open(self.path, "rb") as file:
            for line in file:
                record = _parsed(line)
                if record is None:
                    if offset + len(line) < self._log.end:
                        raise InputError(f"{self.path} is damaged at byte {offset}; restore the folder from a backup")
                    break
                yield offset, record
                offset += len(line)
        self._log.cut(offset)

    def read(self, offset: int) -> dict[str, Any]:
        """Return the record that begins at byte ``offset``."""
        with open(self.path, "rb") as file:
            file.seek(offset)
            return json.loads(file.readline())

    def cut(self, offset: int) -> None:
        """Remove the records from byte ``offset`` on: lines of an unfinished act."""
        self._log.cut(offset)

    def append(self, record: dict[str, Any]) -> int:
        """Add a record, flush it to the disk, and return its offset, bytes.

        Raises
        ------
        OSError
            If it cannot be written completely; the log is then as it was before.
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
