"""The corrections log while a board writes to it: appended and on the disk before anybody is told it is saved."""

import os
from collections.abc import Sequence
from pathlib import Path

from backend.project.atomic import fsync_folder
from backend.tracking.acts import Act, act_line, read_log


class CorrectionsLog:
    """The open log at ``path``, with all acts in memory. One process at a time: the caller holds the lock.

    What a power cut left behind the last line's end was never acknowledged, and is removed.

    Raises
    ------
    InputError
        If a line is damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        is_new = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if is_new:
            fsync_folder(path.parent)
        self.acts: tuple[Act, ...] = read_log(path)
        self._end = path.read_bytes().rfind(b"\n") + 1
        if self._end < os.fstat(self._file).st_size:
            os.truncate(self._file, self._end)
            os.fsync(self._file)

    @property
    def version(self) -> int:
        """Number of lines."""
        return len(self.acts)

    def append(self, acts: Sequence[Act]) -> None:
        """Add acts as one decision and flush them to the disk.

        Raises
        ------
        OSError
            If the disk does not take them whole; the log is then as it was.
        """
        if [act.id for act in acts] != list(range(self.version + 1, self.version + 1 + len(acts))):
            raise ValueError(f"acts {[act.id for act in acts]} do not follow line {self.version}")
        lines, written = b"".join(map(act_line, acts)), 0
        try:
            while written < len(lines):
                written += os.write(self._file, lines[written:])
            os.fsync(self._file)
        except OSError as error:
            os.truncate(self._file, self._end)
            error.filename = os.fspath(self.path)
            raise
        self._end += len(lines)
        self.acts = (*self.acts, *acts)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)
