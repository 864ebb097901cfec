"""An installation of its own for each test, and an end to everything that ran in it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.jobs import schedule
from backend.jobs.store import JobStore
from backend.project.settings import Settings, save_settings
from tests.jobs.tools import kill_all, scheduling
from tests.ports import own_ports


@contextlib.contextmanager
def installation(parent: Path, cpu_slots: int = 4) -> Iterator[Path]:
    """A new state folder with a few CPU slots; what runs there is killed afterwards."""
    folder = parent / "state"
    folder.mkdir(mode=0o700)
    save_settings(Settings(cpu_slots=cpu_slots, project_folder=parent / "project", **own_ports()), folder)
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("LEKTRACK_STATE", str(folder))
        for name in ("LEKTRACK_JOB_ID", "LEKTRACK_JOB_ATTEMPT", "LEKTRACK_JOB_FOLDER"):
            changed.delenv(name, raising=False)
        changed.setattr(schedule, "PASS_EVERY_S", 0.1)  # of the test's own process
        yield folder
    kill_all(folder)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """See `installation`."""
    with installation(tmp_path) as folder:
        yield folder


@pytest.fixture
def store(state: Path) -> JobStore:
    """The job table of the state folder."""
    return JobStore(state)


@pytest.fixture
def scheduled(store: JobStore) -> Iterator[JobStore]:
    """The job table, with the scheduling pass running as in the app."""
    with scheduling(store):
        yield store
