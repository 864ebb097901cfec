"""Atomic files: written completely or not at all. Everything in Lektrack is written through this module."""

import contextlib
import errno
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # only writing gives these
TEMPORARY = re.compile(r"^\..+\.(\d+)-[0-9a-f]{8}\.tmp$")


@contextlib.contextmanager
def atomic_file(path: Path | str, durable: bool = True, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """Open a binary file for writing that takes its name only when the block ends without an error.

    Parameters
    ----------
    path
        The final file. Its folder must exist. An old file of that name stays whole until the moment of replacement.
    durable
        Flush file and folder to the disk before returning. False only for what may be lost, such as progress.
    mode
        Permissions from the first moment on, less the umask; 0o600 for secrets.

    Raises
    ------
    OSError
        From the disk (ENOSPC, EIO, EACCES), with the temporary file removed and the old file untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    is_ours = True
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            is_ours = False
            yield file
            is_ours = True
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and (is_ours or (error.filename is None and error.errno in DISK_FULL)):
            error.filename, error.filename2 = os.fspath(path), None  # a failed write knows no name, but people need it
        raise
    if durable:
        fsync_folder(path.parent)


def atomic_write(path: Path | str, data: bytes | str, durable: bool = True, mode: int = 0o666) -> None:
    """Replace ``path`` by ``data`` (text as UTF-8) in one step; see `atomic_file`."""
    with atomic_file(path, durable, mode) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def atomic_json(path: Path | str, value: Any, durable: bool = True) -> None:
    """Replace ``path`` by ``value`` as indented JSON. NaN and infinities are refused (ValueError)."""
    atomic_write(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", durable)


def replace_folder(partial: Path, final: Path) -> None:
    """Let the finished folder ``partial`` take the name ``final``, which is not there or an empty folder."""
    os.replace(partial, final)
    fsync_folder(final.parent)


def move_aside(path: Path, reason: str) -> Path:
    """Rename ``path`` to ``NAME.reason-YYYYMMDD-HHMMSS`` beside it, content untouched, and return the new path."""
    aside = path.with_name(f"{path.name}.{reason}-{time.strftime('%Y%m%d-%H%M%S')}")
    os.replace(path, aside)
    fsync_folder(path.parent)
    return aside


def fsync_folder(folder: Path) -> None:
    """Make a new or replaced name in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = os.fspath(folder)
        raise
    finally:
        os.close(descriptor)


def remove_temporary(folder: Path, name: str | None = None) -> int:
    """Remove what a killed writer left in ``folder`` (not below it) and return how many files that were.

    With ``name``, only what was to become that file. Call it only while holding the folder's or the file's lock: a
    temporary file of a living writer would go too.
    """
    start = "." if name is None else f".{name}."
    torn = [entry for entry in os.scandir(folder) if TEMPORARY.match(entry.name) and entry.name.startswith(start)]
    for entry in torn:
        os.unlink(entry.path)
    return len(torn)
