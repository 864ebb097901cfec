"""The page Track: what it says of a result, and where something is missing."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from backend.project.atomic import atomic_json
from backend.project.paths import Project
from backend.project.settings import Settings, save_settings
from backend.tracking.schemas import SUMMARY
from gui.widgets.context import job_store
from tests.board.boards import small_project

APP = Path(__file__).parents[2] / "gui" / "app.py"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A project with one tracked video, in which nothing is started."""
    monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("backend.jobs.slots._gpus", lambda: ())
    (tmp_path / "state").mkdir()
    save_settings(Settings(project_folder=tmp_path / "project"), tmp_path / "state")
    job_store.clear()
    yield small_project(tmp_path / "project")
    job_store.clear()


def results() -> AppTest:
    """Open the results of the page."""
    app = AppTest.from_file(str(APP), default_timeout=60).switch_page("app_pages/track.py")
    app.session_state["asked-track-view"] = "Results"
    return app.run()


def test_a_run_without_its_summary_is_shown_with_one_line_about_it(project: Project) -> None:
    app = results()
    assert not app.exception
    (problem,) = app.error
    assert "summary.json is missing" in problem.value
    assert any(heading.value == "Doubts (4)" for heading in app.subheader)


def test_what_a_result_is_worth_is_said_in_plain_words(project: Project) -> None:
    facts = {"birds": 3, "described": True, "expected_error": 0.021, "corrections_that_do_not_apply": []}
    atomic_json(project.track_output("lek", "tracks-a") / SUMMARY, facts)
    app = results()
    assert not app.exception and not app.error
    assert any("3 birds. Expected identity error 2.1 % of bird-time" in text.value for text in app.markdown)
