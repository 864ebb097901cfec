"""Small files in a job's folder besides log and progress: specification, claim, exit record.

The table is the truth; these outlive a wrapper that dies before it can tell the table, and a damaged table.
"""

import json
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from backend.jobs.job import JobSpec
from backend.jobs.job_states import JobState
from backend.jobs.process import ProcessIdentity
from backend.project.atomic import atomic_write
from backend.project.errors import InputError

SPEC_FILE = "job.json"
CLAIM_FILE = "wrapper.json"
EXIT_FILE = "exit.json"
FURTHEST_FILE = "furthest.json"
LOG_FILE = "log"
WRAPPER_LOG_FILE = "wrapper.log"


class ExitRecord(BaseModel):
    """How one attempt ended."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = 1
    attempt: int
    state: JobState
    exit_code: int | None
    reason: str
    ended: datetime


class ClaimRecord(BaseModel):
    """Which process claimed an attempt."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = 1
    attempt: int
    pid: int
    start_time: int
    boot_id: str
    port: int | None = None
    gpu_ids: tuple[int, ...] = ()

    @property
    def identity(self) -> ProcessIdentity:
        """The wrapper."""
        return ProcessIdentity(self.pid, self.start_time, self.boot_id)


class FurthestRecord(BaseModel):
    """How far any attempt of a job that was cut off has come: units done by stage."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = 1
    done: dict[str, int] = {}


Record = TypeVar("Record", bound=BaseModel)


def write_record(folder: Path, name: str, record: BaseModel) -> None:
    """Replace the record ``name`` in a job's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / name, record.model_dump_json(indent=1) + "\n")


def read_record(folder: Path, name: str, model: type[Record], attempt: int | None = None) -> Record | None:
    """Return a record, None where there is none that can be read or where it is of another ``attempt``."""
    try:
        record = model.model_validate_json((folder / name).read_bytes())
    except (OSError, ValidationError):
        return None
    return record if attempt is None or record.attempt == attempt else None


def write_spec(folder: Path, spec: JobSpec, created: datetime) -> None:
    """Write the specification, to be read by people and to rebuild a damaged table."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {field.name: getattr(spec, field.name) for field in fields(JobSpec)}
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in table.items()}
    # escaped, because an argument may be a file name that is not valid UTF-8
    atomic_write(
        folder / SPEC_FILE, json.dumps({"format": 1, "created": created.isoformat(), **plain}, indent=1) + "\n"
    )


def read_spec(folder: Path) -> tuple[JobSpec, datetime] | None:
    """Return specification and submission time; None where they cannot be read."""
    try:
        table: dict[str, Any] = json.loads((folder / SPEC_FILE).read_bytes())
        created = datetime.fromisoformat(table["created"])
        known = {field.name: table[field.name] for field in fields(JobSpec) if field.name in table}
        return JobSpec(**known), created
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
