"""Every page draws without an error: in an empty project, and with a sound and a broken video in it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from backend.jobs import JobSpec, JobStore, scheduling_pass
from backend.project.paths import Project
from backend.project.settings import Settings, save_settings
from backend.video.library import add_video
from gui.steps import STEPS
from gui.widgets.context import job_store
from tests.videos import write_video

APP = Path(__file__).parents[2] / "gui" / "app.py"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project of an installation of its own."""
    state = tmp_path / "state"
    state.mkdir()
    monkeypatch.setenv("LEKTRACK_STATE", str(state))
    videos = tmp_path / "videos"
    videos.mkdir()
    save_settings(Settings(project_folder=tmp_path / "project", allowed_roots=(videos,)), state)
    job_store.clear()
    yield Project(tmp_path / "project")
    job_store.clear()


@pytest.fixture
def two_videos(project, tmp_path):
    """A project with a sound video and a broken one."""
    videos = tmp_path / "videos"
    write_video(videos / "lek north.mp4", 30)
    (videos / "torn.mp4").write_bytes(b"\0" * 1000)
    add_video(project, videos / "lek north.mp4", [videos], camera="north")
    add_video(project, videos / "torn.mp4", [videos])
    return project


def opened(key: str) -> AppTest:
    """Return the app with one page drawn."""
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    if key != "home":
        app.switch_page(f"app_pages/{key}.py").run()
    assert not app.exception, app.exception
    return app


BUILT = [step.key for step in STEPS if step.is_built]


@pytest.mark.parametrize("key", BUILT)
def test_a_page_draws_in_an_empty_project(project, key):
    assert opened(key).title[0].value == next(step.title for step in STEPS if step.key == key)


@pytest.mark.parametrize("key", BUILT)
def test_a_page_draws_with_a_sound_and_a_broken_video(two_videos, key):
    assert opened(key).title


def test_home_shows_the_steps_of_each_video_and_why_one_is_broken(two_videos):
    app = opened("home")
    assert any("lek north" in text.value and "north" in text.value for text in app.markdown)
    assert len(app.error) == 1


def test_export_offers_sound_videos_only_and_cannot_leave_the_video(two_videos):
    app = opened("export")
    assert app.selectbox[0].options == ["lek north (30 frames)"]
    first, end = app.number_input[0], app.number_input[1]
    assert (first.min, first.max, end.min, end.max) == (0, 29, 1, 30)


def test_a_wrong_setting_is_refused_in_one_line_and_nothing_is_saved(project):
    app = opened("settings")
    before = Settings(project_folder=project.root)
    app.text_input[0].set_value("relative/path")
    next(button for button in app.button if button.label == "Save").click()
    app.run()
    assert len(app.error) == 1
    assert "project_folder" in app.error[0].value and "absolute path" in app.error[0].value
    assert str(before.project_folder) in (project.root.parent / "state" / "settings.toml").read_text()


def test_a_failed_job_says_why_in_words_and_can_be_retried(project):
    store = JobStore()
    title = "a [job](x) with <b>marks</b>"
    job = store.submit(JobSpec(kind="test", title=title, command=("-c", "raise ValueError('no such bird')")))
    end = time.monotonic() + 60
    while not store.get(job.id).state.is_over:
        assert time.monotonic() < end
        scheduling_pass(store)
        time.sleep(0.1)
    app = opened("jobs")
    app.segmented_control[0].set_value("Failed").run()
    assert any(r"a \[job\]\(x\) with \<b\>marks" in text.value for text in app.markdown)
    assert any("no such bird" in text.value for text in app.error)
    retry = next(button for button in app.button if button.label == "Retry")
    retry.click().run()
    assert not app.exception
    assert store.get(job.id).state.is_over is False
    store.stop(job.id)


def test_pages_do_without_torch():
    """It would take 700 MB and three seconds of every start of the app."""
    code = """
import importlib, pkgutil, sys, gui.widgets
for module in pkgutil.iter_modules(gui.widgets.__path__):
    importlib.import_module(f"gui.widgets.{module.name}")
    assert "torch" not in sys.modules, module.name
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=APP.parents[1])
