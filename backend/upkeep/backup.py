"""Backups while everything runs: a folder of plain files with a checksum each, hard links where nothing changed.

``lektrack-YYYYMMDD-HHMMSS/`` holds ``project/``, ``state/``, with videos also ``videos/SLUG/``, and ``backup.json``.
Every file of Lektrack is replaced in one step or only appended to, so a copy of an open file is whole; a log is cut
after its last whole line. Manifests are copied before the files that they list, which are finished by then. The job
table is copied by SQLite itself. The sign-in token stays out: who finds a backup must not find the way in.
"""

import contextlib
import hashlib
import logging
import os
import shutil
import sqlite3
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from backend.jobs.database import DATABASE, JOBS_FOLDER
from backend.project.atomic import TEMPORARY, atomic_file, atomic_write, replace_folder
from backend.project.disk import check_space
from backend.project.errors import InputError
from backend.project.locks import LOCK, file_lock
from backend.project.manifest import MANIFEST, sha256, versions
from backend.project.paths import Project
from backend.project.settings import first_problem, load_settings, state_folder
from backend.video.library import list_videos

INDEX = "backup.json"
PREFIX, PARTIAL = "lektrack-", ".partial"
STATE_FILES = ("settings.toml",)
INSTALLATION = "installation"  # the state folder's own name, never restored: a copy is another installation
BLOCK = 1024**2
APPENDED = (".jsonl",)  # logs whose last line may be half written at this moment

log = logging.getLogger(__name__)

Report = Callable[[int, int], None]  # bytes done, bytes in all


class SavedFile(BaseModel):
    """One file of a backup; ``modified_ns`` is of the original and tells whether it has changed since."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    modified_ns: int
    sha256: str


class Backup(BaseModel):
    """The content of ``backup.json``. ``videos`` names the file of each video that the backup holds.

    ``installation`` tells whose it is: in containers all have the same ``project`` and ``state``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    made: datetime
    versions: dict[str, str]
    project: str
    state: str
    installation: str = ""
    videos: dict[str, str] = {}
    links: dict[str, str] = {}
    files: dict[str, SavedFile]


def back_up(
    destination: Path,
    state: Path | None = None,
    with_videos: bool = False,
    keep: int | None = None,
    report: Report = lambda done, total: None,
) -> Path:
    """Back an installation up into a new folder of ``destination`` and return it; with ``keep``, delete older ones.

    Only backups of the same installation are linked to or deleted; others may lie beside them.

    Raises
    ------
    InputError
        If the project folder is not there or empty, a folder in it cannot be read, or the destination is missing, lies
        inside what is backed up, has no room, or is being written by another backup.
    """
    state = state or state_folder()
    project = load_settings(state).project_folder
    destination = _checked(destination, project, state)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(file_lock(destination / ".lektrack-backup.lock"))
        except BlockingIOError as error:
            raise InputError(f"{destination}: another backup is being written there; wait for it") from error
        for left in destination.glob(f"{PREFIX}*{PARTIAL}"):
            shutil.rmtree(left)  # of a backup that was killed
        folder = _Writer(destination, project, state, with_videos, report).run()
        if keep is not None:
            for old in list(_backups_of(installation_id(state), destination))[: -max(1, keep)]:
                shutil.rmtree(old)
    return folder


def backups(destination: Path) -> list[Path]:
    """Return the whole backups in a folder, oldest first."""
    found = [path.parent for path in destination.glob(f"{PREFIX}*/{INDEX}") if path.parent.suffix != PARTIAL]
    return sorted(found)


def installation_id(state: Path) -> str:
    """Return what tells this installation from others, made when it is asked for first."""
    path = state / INSTALLATION
    if not path.is_file():
        atomic_write(path, f"{uuid.uuid4().hex}\n")
    return path.read_text().strip()


def _backups_of(installation: str, destination: Path) -> dict[Path, Backup]:
    """Return the whole backups of one installation, oldest first; one that is damaged stays and is told."""
    found = {}
    for folder in backups(destination):
        try:
            backup = read_backup(folder)
        except InputError as error:
            log.warning("%s; it is left as it is", error)
            continue
        if backup.installation == installation:
            found[folder] = backup
    return found


def read_backup(folder: Path) -> Backup:
    """Return the index of a backup; InputError if ``folder`` is not a whole one."""
    try:
        return Backup.model_validate_json((folder / INDEX).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{folder} is not a backup: it has no {INDEX}") from error
    except ValidationError as error:
        raise InputError(f"{folder / INDEX} is broken ({first_problem(error)})") from error


def verify_backup(folder: Path, report: Report = lambda done, total: None) -> Backup:
    """Read every file of a backup and compare it with its checksum; InputError names the first that differs."""
    backup = read_backup(folder)
    total, done = sum(file.size for file in backup.files.values()), 0
    for name, file in backup.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != file.size or sha256(path) != file.sha256:
            raise InputError(f"{path} is missing or is not what was backed up; use another backup")
        done += file.size
        report(done, total)
    return backup


class _Writer:
    """Writes one backup."""

    def __init__(self, destination: Path, project: Path, state: Path, with_videos: bool, report: Report):
        self.destination, self.project, self.state = destination, project, state
        self.with_videos, self.report = with_videos, report
        self.installation = installation_id(state)
        earlier = _backups_of(self.installation, destination)
        self.earlier = max(earlier, default=None)
        self.known = earlier[self.earlier].files if self.earlier else {}
        self.links: dict[str, str] = {}
        self.files: dict[str, SavedFile] = {}

    def run(self) -> Path:
        """Write the backup and return its folder."""
        videos = self._videos()
        wanted = self._wanted(videos)
        total = sum(_size(path) for _, path in wanted)
        check_space(self.destination, sum(_size(path) for name, path in wanted if not self._unchanged(name, path)))
        final = self._name()
        folder = final.with_name(final.name + PARTIAL)
        folder.mkdir()
        done = 0
        for name, path in wanted:
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                self._save(folder, name, path)
                done += self.files[name].size
            self.report(min(done, total), total)
        self._save_jobs_table(folder)
        index = Backup(
            made=datetime.now(UTC),
            versions=versions(),
            project=str(self.project),
            state=str(self.state),
            installation=self.installation,
            videos=videos,
            links=self.links,
            files=self.files,
        )
        atomic_write(folder / INDEX, index.model_dump_json(indent=1) + "\n")
        replace_folder(folder, final)
        return final

    def _videos(self) -> dict[str, str]:
        """Return name in the backup of each video that lies elsewhere and goes in."""
        if not self.with_videos:
            return {}
        records = [record for record in list_videos(Project(self.project)) if Path(record.path).is_file()]
        inside = os.path.realpath(self.project)  # what lies there is copied in any case
        elsewhere = [each for each in records if not Path(os.path.realpath(each.path)).is_relative_to(inside)]
        return {record.slug: f"videos/{record.slug}/{Path(record.path).name}" for record in elsewhere}

    def _wanted(self, videos: dict[str, str]) -> list[tuple[str, Path]]:
        """Return name and path of each file, manifests and commit marks before what they vouch for."""
        paths = {record.slug: Path(record.path) for record in list_videos(Project(self.project))}
        found = [(f"project/{path.relative_to(self.project)}", path) for path in self._walk(self.project)]
        if not found and not self.links:
            raise InputError(f"the project folder {self.project} is empty; is its disk mounted?")
        found.sort(key=lambda each: not (each[1].name.endswith(MANIFEST) or each[1].name.startswith("frames_")))
        state = [self.state / name for name in STATE_FILES if (self.state / name).is_file()]
        if (self.state / JOBS_FOLDER).is_dir():
            state += self._walk(self.state / JOBS_FOLDER)
        found += [(f"state/{path.relative_to(self.state)}", path) for path in state]
        return found + [(name, paths[slug]) for slug, name in videos.items()]

    def _walk(self, root: Path) -> Iterator[Path]:
        """Yield the regular files below ``root``; links to elsewhere are kept as links, caches and locks left out."""
        for folder, below, names in os.walk(root, onerror=_unreadable):
            here = Path(folder)
            below[:] = sorted(name for name in below if not self._stays_out(here / name, root))
            for name in sorted([*names, *(each for each in below if (here / each).is_symlink())]):
                path = here / name
                if path.is_symlink() and not path.is_relative_to(self.project):
                    continue  # nothing of ours in the state folder is a link
                if path.is_symlink():
                    self.links[f"project/{path.relative_to(self.project)}"] = os.readlink(path)
                elif name != LOCK and not TEMPORARY.match(name) and stat.S_ISREG(path.lstat().st_mode):
                    yield path

    def _stays_out(self, folder: Path, root: Path) -> bool:
        """Tell whether a folder below ``root`` is the project's cache or, with the token, the state folder."""
        return root == self.project and (folder == root / ".cache" or folder.resolve() == self.state.resolve())

    def _unchanged(self, name: str, path: Path) -> bool:
        known = self.known.get(name)
        try:
            now = path.stat()
        except FileNotFoundError:
            return True
        return known is not None and (known.size, known.modified_ns) == (now.st_size, now.st_mtime_ns)

    def _save(self, folder: Path, name: str, path: Path) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.earlier is not None and self._unchanged(name, path):
            try:
                os.link(self.earlier / name, target)
            except OSError:  # a file system without hard links, or the earlier copy is gone
                self.files[name] = _copy(path, target)
            else:
                self.files[name] = self.known[name]
        else:
            self.files[name] = _copy(path, target)

    def _save_jobs_table(self, folder: Path) -> None:
        """Let SQLite copy the job table: one moment of it, whatever is being written."""
        source, target = self.state / DATABASE, folder / "state" / DATABASE
        if not source.is_file():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            contextlib.closing(sqlite3.connect(source)) as live,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a write-ahead log beside it
        self.files[f"state/{DATABASE}"] = SavedFile(size=target.stat().st_size, modified_ns=0, sha256=sha256(target))

    def _name(self) -> Path:
        while True:
            path = self.destination / f"{PREFIX}{time.strftime('%Y%m%d-%H%M%S')}"
            if not path.exists():
                return path
            time.sleep(0.2)


def _copy(source: Path, target: Path) -> SavedFile:
    """Copy what ``source`` is at this moment, flushed to the disk."""
    digest = hashlib.sha256()
    with open(source, "rb") as read, atomic_file(target) as written:
        before = os.fstat(read.fileno())
        left = before.st_size  # a log may grow meanwhile
        if source.suffix in APPENDED:
            left = _whole_lines(source, left)
        size = left
        while left and (block := read.read(min(BLOCK, left))):
            written.write(block)
            digest.update(block)
            left -= len(block)
    shutil.copystat(source, target, follow_symlinks=True)
    return SavedFile(size=size - left, modified_ns=before.st_mtime_ns, sha256=digest.hexdigest())


def _whole_lines(path: Path, size: int) -> int:
    """Return the length of the first ``size`` bytes of a log up to the end of its last whole line."""
    with open(path, "rb") as file:
        end = size
        while end > 0:
            begin = max(0, end - 65536)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0


def _unreadable(error: OSError) -> None:
    """Refuse a folder that would be missing from the backup; one that was deleted since it was listed may go."""
    if not isinstance(error, FileNotFoundError):
        raise InputError(f"{error.filename} cannot be read ({error.strerror}); a backup without it would not be whole")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _checked(destination: Path, project: Path, state: Path) -> Path:
    if not project.is_dir():
        raise InputError(f"the project folder {project} is not there; is its disk mounted?")
    if not destination.is_dir():
        raise InputError(f"--dest {destination} is not a folder; make it first")
    real = destination.resolve()
    for source in (project.resolve(), state.resolve()):
        if real == source or source in real.parents:
            raise InputError(f"--dest {destination} lies inside {source}, which is backed up; choose another place")
    return real
