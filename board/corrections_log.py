"""The corrections log while a board writes to it: a decision is on the disk before the page says that it is saved."""

from collections.abc import Sequence
from pathlib import Path

from backend.project.append_log import AppendLog
from backend.tracking.tracks.edits import Edit, edit_line, read_log


class CorrectionsLog:
    """The open log at ``path``, with all its acts in memory. For one process at a time: the caller holds the lock.

    Raises
    ------
    InputError
        If a line is damaged. A last line or decision that was cut short is removed instead.
    """

    def __init__(self, path: Path):
        self.acts: tuple[Edit, ...] = read_log(path)
        self._log = AppendLog(path)
        self._log.cut(sum(len(line) + 1 for line in path.read_bytes().split(b"\n")[: len(self.acts)]))

    @property
    def version(self) -> int:
        """Number of lines."""
        return len(self.acts)

    def append(self, acts: Sequence[Edit]) -> None:
        """Append acts as one decision and flush them to the disk.

        Raises
        ------
        OSError
            If they cannot be written completely; the log is then as it was before.
        """
        if [act.id for act in acts] != list(range(self.version + 1, self.version + 1 + len(acts))):
            raise ValueError(f"acts {[act.id for act in acts]} do not follow line {self.version}")
        self._log.append(b"".join(map(edit_line, acts)))
        self.acts = (*self.acts, *acts)

    def close(self) -> None:
        """Close the file."""
        self._log.close()
