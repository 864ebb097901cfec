"""One writer to an output folder. The kernel drops the lock when the writer dies, however it dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from backend.project.errors import InputError

LOCK = ".lock"


@contextlib.contextmanager
def output_lock(folder: Path) -> Iterator[None]:
    """Hold ``folder`` (made if need be) for this process and its forked children.

    Raises
    ------
    InputError
        If another process holds it, or a file is where the folder should be.
    """
    make_folder(folder)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(file_lock(folder / LOCK))
        except BlockingIOError as error:
            raise InputError(f"{folder} is being written by another process; wait for it or stop it first") from error
        yield


def is_locked(folder: Path) -> bool:
    """Whether some process holds `output_lock` of ``folder``; asks the kernel and never holds the lock itself."""
    try:
        inode = (folder / LOCK).stat().st_ino
        held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return False
    return any("FLOCK" in words and any(word.endswith(f":{inode}") for word in words) for words in held)


def make_folder(folder: Path) -> None:
    """Make a folder for output, and those above it, if they are not there; InputError where a file is in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        taken = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        raise InputError(f"{folder} cannot be made: {taken} is a file; choose another folder") from error


@contextlib.contextmanager
def file_lock(path: Path, wait: bool = False, shared: bool = False) -> Iterator[None]:
    """Hold the lock file ``path``; where another process holds it, wait or raise BlockingIOError.

    Any number may hold it ``shared`` at a time, while nobody holds it alone.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
