"""What a file picker shows: one folder at a time, never outside the allowed roots."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backend.dataset.sources import IMAGES
from backend.project.errors import InputError
from backend.project.paths import resolve_under
from backend.video.containers import VIDEO_SUFFIXES

KINDS: dict[str, tuple[str, ...]] = {
    "video": VIDEO_SUFFIXES,
    "image": IMAGES,
    "json": (".json",),
    "weights": (".safetensors", ".pth", ".pt", ".pkl"),
    "table": (".csv", ".parquet", ".txt"),
    "tracks": (".slp", ".h5", ".hdf5", ".txt", ".csv"),
    "folder": (),
}
MAX_ENTRIES = 5000  # a folder of a million frames must not freeze the page


@dataclass(frozen=True)
class Entry:
    """One line of a listing. ``size`` in bytes (0 for folders), ``modified`` in seconds since 1970."""

    name: str
    path: Path
    is_folder: bool
    size: int
    modified: float


@dataclass(frozen=True)
class Listing:
    """A folder's content: folders first, then the files of the kind, by name.

    ``trail`` leads from the allowed root to the folder itself; ``hidden`` counts entries beyond `MAX_ENTRIES`.
    """

    folder: Path
    trail: tuple[Path, ...]
    entries: tuple[Entry, ...]
    hidden: int


def list_folder(folder: Path | str, roots: Iterable[Path], kind: str) -> Listing:
    """List ``folder``, which must lie under ``roots``, showing folders and the files of ``kind`` (a key of `KINDS`).

    Dot files are left out, and so are links that lead out of the roots.

    Raises
    ------
    InputError
        If the folder is outside the roots, not there, or may not be read.
    """
    roots = [Path(os.path.realpath(root)) for root in roots]
    real = resolve_under(folder, roots)
    root = max((root for root in roots if real.is_relative_to(root)), key=lambda path: len(path.parts))
    steps = real.relative_to(root).parts
    trail = tuple(root.joinpath(*steps[:count]) for count in range(len(steps) + 1))
    try:
        found = [entry for raw in os.scandir(real) if (entry := _entry(raw, roots, KINDS[kind])) is not None]
    except OSError as error:
        raise InputError(f"folder {str(real)!r} cannot be shown: {error.strerror}") from error
    found.sort(key=lambda entry: (not entry.is_folder, entry.name.casefold()))
    return Listing(real, trail, tuple(found[:MAX_ENTRIES]), max(0, len(found) - MAX_ENTRIES))


def _entry(raw: os.DirEntry, roots: list[Path], suffixes: tuple[str, ...]) -> Entry | None:
    if raw.name.startswith("."):
        return None
    try:
        if raw.is_symlink():
            resolve_under(raw.path, roots)
        is_folder = raw.is_dir()
        if not is_folder and not (raw.is_file() and raw.name.lower().endswith(suffixes) and suffixes):
            return None
        status = raw.stat()
    except (InputError, OSError):
        return None  # a link out of the roots, a dangling one, or a file that vanished meanwhile
    return Entry(raw.name, Path(raw.path), is_folder, 0 if is_folder else status.st_size, status.st_mtime)
