"""Append-only log: a line is on the disk before `append` returns.

What a kill or a power cut left behind the last line's end was never acknowledged.
"""

import os
from contextlib import suppress
from pathlib import Path

from backend.project.atomic import fsync_folder


class AppendLog:
    """The file at ``path``, made where there is none. One process at a time: the caller holds a lock.

    Attributes
    ----------
    end
        Bytes of the file.
    """

    def __init__(self, path: Path):
        self.path = path
        is_new = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if is_new:
            fsync_folder(path.parent)
        self.end = os.fstat(self._file).st_size

    def cut(self, end: int) -> None:
        """Remove what lies behind byte ``end``, if anything."""
        if end < self.end:
            self.end = end
            self._cut_to_end()

    def append(self, lines: bytes) -> int:
        """Add whole lines, flush them to the disk, and return the byte at which they begin.

        Raises
        ------
        OSError
            If the disk does not take them whole; the file is then as it was, or will be before anything is added.
        """
        place, written = self.end, 0
        try:
            if os.fstat(self._file).st_size != place:
                self._cut_to_end()  # the disk refused that when it refused what lies there
            while written < len(lines):
                written += os.write(self._file, lines[written:])
            os.fsync(self._file)
        except OSError as error:
            error.filename = os.fspath(self.path)
            with suppress(OSError):
                self._cut_to_end()
            raise
        self.end += len(lines)
        return place

    def _cut_to_end(self) -> None:
        os.truncate(self._file, self.end)
        os.fsync(self._file)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)
