"""The error for a frame that cannot be decoded."""

from pathlib import Path

from backend.project.errors import InputError


class DamagedFrameError(InputError):
    """A frame is in the file but cannot be decoded correctly. No other picture is returned instead.

    Attributes
    ----------
    path, frame
        The file, and the frame's number (0-based, display order). Frames before and after it may still be read.
    """

    def __init__(self, path: Path, frame: int, reason: str):
        super().__init__(f"{path}: frame {frame} is damaged ({reason}); export or process the ranges around it")
        self.path = path
        self.frame = frame
        self.reason = reason

    def __reduce__(self) -> tuple[type["DamagedFrameError"], tuple[Path, int, str]]:
        """Let the error travel from a worker process."""
        return DamagedFrameError, (self.path, self.frame, self.reason)
