"""An installation of its own for every test of a page."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.project.paths import Project
from backend.project.settings import Settings, save_settings
from gui.widgets.context import job_store
from tests.ports import own_ports


@pytest.fixture(autouse=True)
def _same_main() -> Iterator[None]:
    """Streamlit puts the page in place of ``__main__``, which processes that later tests start would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Return an empty project of an installation without GPUs; the folder ``videos`` beside it is allowed."""
    state, videos = tmp_path / "state", tmp_path / "videos"
    state.mkdir()
    videos.mkdir()
    monkeypatch.setenv("LEKTRACK_STATE", str(state))
    monkeypatch.setattr("backend.jobs.slots._gpus", lambda: ())
    save_settings(Settings(project_folder=tmp_path / "project", allowed_roots=(videos,), **own_ports()), state)
    job_store.clear()
    yield Project(tmp_path / "project")
    job_store.clear()


@pytest.fixture
def fresh(installed: Project) -> Project:
    """Return an installation where nobody has saved settings yet: there is no ``settings.toml``, all are defaults."""
    (installed.root.parent / "state" / "settings.toml").unlink()
    return installed
