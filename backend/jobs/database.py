"""The job database ``jobs.sqlite``: connections, schema, migration, and repair of a damaged file."""

import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.jobs.job import JobSpec
from backend.jobs.job_files import CLAIM_FILE, EXIT_FILE, ClaimRecord, ExitRecord, read_record, read_spec
from backend.jobs.job_states import ACTIVE, JobState
from backend.project.atomic import move_aside
from backend.project.errors import InputError
from backend.project.locks import file_lock

DATABASE = "jobs.sqlite"
JOBS_FOLDER = "jobs"
BUSY_TIMEOUT_S = 15.0

SCHEMA_1 = f"""
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL, title TEXT NOT NULL, command TEXT NOT NULL, output TEXT, project TEXT, videos TEXT NOT NULL,
  user TEXT NOT NULL, slot TEXT NOT NULL, gpus INTEGER NOT NULL, resumable INTEGER NOT NULL, service INTEGER NOT NULL,
  ready_path TEXT NOT NULL, start_limit_s REAL NOT NULL,
  state TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL, stop_asked REAL,
  attempts INTEGER NOT NULL DEFAULT 0, cut_offs INTEGER NOT NULL DEFAULT 0,
  exit_code INTEGER, reason TEXT NOT NULL DEFAULT '',
  pid INTEGER, start_time INTEGER, boot_id TEXT, port INTEGER, gpu_ids TEXT NOT NULL DEFAULT '[]'
);
CREATE TABLE needs (job INTEGER NOT NULL, needed INTEGER NOT NULL, PRIMARY KEY (job, needed)) WITHOUT ROWID;
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE UNIQUE INDEX one_active_job_an_output ON jobs (output)
  WHERE output IS NOT NULL AND state IN ({", ".join(sorted(f"'{state}'" for state in ACTIVE))});
"""

# What leads from one version of the schema (PRAGMA user_version) to the next; the first leads from nothing to 1.
MIGRATIONS = (SCHEMA_1,)

DAMAGE = ("malformed", "not a database")  # what SQLite says of a file it cannot make sense of

log = logging.getLogger(__name__)


class Database:
    """Opens ``jobs.sqlite``. A connection lives for one block, so threads and forked processes never share one."""

    def __init__(self, state: Path):
        self.state = state
        self.path = state / DATABASE
        try:
            self._check()
        except sqlite3.DatabaseError as error:
            self._repair(error)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection on which every statement is its own transaction.

        Raises
        ------
        sqlite3.DatabaseError
            If the file is damaged; it has been set aside then, and the next call works on a rebuilt table.
        """
        try:
            with self._open() as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            self._repair(error)
            raise

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection inside one ``BEGIN IMMEDIATE`` transaction, committed when the block ends well."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        while True:
            # shared, so that the file is not moved away or made anew under a connection
            with self._lock(shared=True), contextlib.closing(self._connect()) as connection:
                if _version(connection) == len(MIGRATIONS):
                    yield connection
                    return
            self._migrate()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        connection.row_factory = sqlite3.Row
        return connection

    def _migrate(self) -> None:
        with self._lock(), contextlib.closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            version = _version(connection)
            if version > len(MIGRATIONS):
                raise InputError(
                    f"{self.path} has version {version}, this Lektrack knows up to {len(MIGRATIONS)}: it was written "
                    "by a newer Lektrack; update this one"
                )
            for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
                for statement in filter(str.strip, script.split(";\n")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
            if version == 0:
                rebuild(connection, self.state / JOBS_FOLDER)
            connection.execute("COMMIT")

    def _check(self) -> None:
        """Read the whole file, so that damage is found when the app starts and not when a row is needed."""
        with self._open() as connection:
            problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(f"malformed: {problem}")

    def _repair(self, error: sqlite3.DatabaseError) -> None:
        """Set a damaged file aside and build a new one; raise any other ``error``."""
        if not any(words in str(error) for words in DAMAGE):
            raise error
        with self._lock():
            with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(self._connect()) as found:
                if found.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok":
                    return  # another process was faster
            for suffix in ("-wal", "-shm", ""):  # the file itself last: a new one must not meet the old write-ahead log
                with contextlib.suppress(FileNotFoundError):
                    aside = move_aside(self.path.with_name(DATABASE + suffix), "corrupt")
                    log.warning("%s is damaged (%s); moved to %s", DATABASE + suffix, error, aside.name)
        self._check()

    def _lock(self, shared: bool = False) -> contextlib.AbstractContextManager[None]:
        return file_lock(self.state / ".jobs.lock", wait=True, shared=shared)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def insert(connection: sqlite3.Connection, spec: JobSpec, created: datetime, **columns: Any) -> int:
    """Add a row and return its id; ``columns`` are those beside the specification, such as ``state``."""
    values = {
        "kind": spec.kind,
        "title": spec.title,
        "command": json.dumps(spec.command),
        "output": None if spec.output is None else str(spec.output),
        "project": None if spec.project is None else str(spec.project),
        "videos": json.dumps(spec.videos),
        "user": spec.user,
        "slot": spec.slot,
        "gpus": spec.gpus,
        "resumable": spec.resumable,
        "service": spec.service,
        "ready_path": spec.ready_path,
        "start_limit_s": spec.start_limit_s,
        "created": created.timestamp(),
        **columns,
    }
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    found = connection.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608
    id = int(found.lastrowid or 0)
    connection.executemany("INSERT INTO needs VALUES (?, ?)", [(id, needed) for needed in spec.after])
    return id


def rebuild(connection: sqlite3.Connection, jobs_folder: Path) -> None:
    """Fill a new table from the job folders, and let ids go on after theirs.

    What ended keeps its end. What was claimed and has no exit record counts as running, so that the next scheduling
    pass looks for its process. What waited is not started behind anybody's back.
    """
    folders = sorted(int(path.name) for path in jobs_folder.glob("[0-9]*") if path.name.isdigit())
    if not folders:
        return
    for id in folders:
        known = read_spec(jobs_folder / str(id))
        if known is not None:
            columns = _state_from_folder(jobs_folder / str(id))
            try:
                insert(connection, *known, id=id, **columns)
            except sqlite3.IntegrityError:  # two active jobs with one output cannot have been
                insert(connection, *known, id=id, **(columns | {"state": JobState.LOST}))
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (folders[-1],))
    log.warning("%s was new or damaged; %d jobs were restored from %s", DATABASE, len(folders), jobs_folder)


def _state_from_folder(folder: Path) -> dict[str, Any]:
    claim = read_record(folder, CLAIM_FILE, ClaimRecord)
    exit_record = read_record(folder, EXIT_FILE, ExitRecord)
    if claim is not None and (exit_record is None or exit_record.attempt < claim.attempt):
        return {
            "state": JobState.RUNNING,
            "attempts": claim.attempt,
            "pid": claim.pid,
            "start_time": claim.start_time,
            "boot_id": claim.boot_id,
            "port": claim.port,
            "gpu_ids": json.dumps(claim.gpu_ids),
        }
    if exit_record is not None:
        return {
            "state": exit_record.state,
            "attempts": exit_record.attempt,
            "ended": exit_record.ended.timestamp(),
            "exit_code": exit_record.exit_code,
            "reason": exit_record.reason,
        }
    reason = "the job table was damaged while this job waited; retry runs it"
    return {"state": JobState.STOPPED, "ended": datetime.now(UTC).timestamp(), "reason": reason}
