"""Cleaning: what can be deleted, how much space it frees, and what it costs. Only named kinds are deleted."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from backend.jobs import ACTIVE, JobStore
from backend.project.atomic import TEMPORARY
from backend.project.errors import InputError
from backend.project.manifest import read_manifest
from backend.project.settings import load_settings, state_folder
from backend.project.state_files import set_aside

HALF_WRITTEN_S = 3600.0  # a temporary file that is older and whose writer is gone will never be finished
OLD_JOB_DAYS = 90


@dataclass(frozen=True)
class Rubbish:
    """Files or jobs of one kind. ``delete`` removes them; ``bytes`` is what that frees."""

    kind: str
    meaning: str
    count: int
    bytes: int
    delete: Callable[[], None]


def rubbish(state: Path | None = None) -> list[Rubbish]:
    """Return what can be deleted, by kind; see `MEANINGS`."""
    state = state or state_folder()
    project = load_settings(state).project_folder
    store = JobStore(state)
    old = [job.id for job in store.list(limit=1_000_000) if job.state.is_over and _is_old(job.ended)]
    kinds: dict[str, list[Path]] = {
        "cache": [project / ".cache"] if (project / ".cache").is_dir() else [],
        "half-written": [*_half_written(project), *_half_written(state)],
        "checkpoints": _finished_checkpoints(project),
        "set-aside": [*set_aside(state), *set_aside(project / "videos")],
    }
    found = [
        Rubbish(kind, MEANINGS[kind], len(paths), _bytes(paths), lambda paths=paths: _delete(paths))
        for kind, paths in kinds.items()
    ]
    folders = [store.folder(id) for id in old]
    return [*found, Rubbish("jobs", MEANINGS["jobs"], len(old), _bytes(folders), lambda: _forget(store, old))]


MEANINGS = {
    "cache": "thumbnails, indexes of videos, proxies, compiled kernels: made again when they are needed",
    "half-written": "left by programs that were killed; never read",
    "checkpoints": "of finished trainings: these cannot be trained further; their best weights stay",
    "set-aside": "state files that could not be read, kept for a person to look at",
    "jobs": f"list entries and logs of jobs that ended over {OLD_JOB_DAYS} days ago; their results stay",
}


def clean(kinds: Iterable[str], state: Path | None = None) -> list[Rubbish]:
    """Delete the named kinds and return what was deleted.

    Raises
    ------
    InputError
        If a kind is not known, or a job is waiting or at work that could be using what is deleted.
    """
    wanted = list(dict.fromkeys(kinds))
    for kind in wanted:
        if kind not in MEANINGS:
            raise InputError(f"--delete {kind} is not known; choose from {', '.join(MEANINGS)}")
    active = JobStore(state).list(states=ACTIVE)
    if active:
        job = active[-1]
        raise InputError(f"job {job.id} ({job.title}) is {job.state}; clean when nothing is waiting or at work")
    chosen = [each for each in rubbish(state) if each.kind in wanted]
    for each in chosen:
        each.delete()
    return chosen


def _is_old(ended: datetime | None) -> bool:
    return ended is not None and datetime.now(UTC) - ended > timedelta(days=OLD_JOB_DAYS)


def _half_written(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            match = TEMPORARY.match(name)
            path = Path(folder, name)
            if match and not psutil.pid_exists(int(match[1])) and time.time() - path.lstat().st_mtime > HALF_WRITTEN_S:
                yield path


def _finished_checkpoints(project: Path) -> list[Path]:
    found = []
    for path in sorted(project.glob("training/*/checkpoints")):
        with contextlib.suppress(InputError):
            manifest = read_manifest(path.parent)
            if manifest is not None and manifest.complete and (path.parent / "model.safetensors").is_file():
                found.append(path)
    return found


def _bytes(paths: Iterable[Path]) -> int:
    return sum(_bytes_below(path) for path in paths)


def _bytes_below(path: Path) -> int:
    if not path.is_dir():
        return path.lstat().st_size if path.exists() else 0
    return sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(path) for name in names)


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _forget(store: JobStore, ids: Iterable[int]) -> None:
    for id in ids:
        with contextlib.suppress(InputError):  # waited for by a job that was queued again
            store.remove(id)
