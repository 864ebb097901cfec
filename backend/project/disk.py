"""Free disk space, checked before a job starts."""

import shutil
from pathlib import Path

from backend.project.errors import InputError

RESERVE_BYTES = 512 * 1024**2  # left free for logs, the job table and everybody else


def check_space(folder: Path, need_bytes: int) -> None:
    """Raise InputError if ``need_bytes`` plus the reserve do not fit where ``folder`` is or will be."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if need_bytes + RESERVE_BYTES > free:
        raise InputError(
            f"{folder}: about {as_bytes(need_bytes)} are needed and {as_bytes(RESERVE_BYTES)} kept in reserve, "
            f"but only {as_bytes(free)} are free"
        )


def as_bytes(size: float) -> str:
    """Return ``size`` in bytes as a person reads it: ``3.2 GB`` (powers of 1000, as disks are sold)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
