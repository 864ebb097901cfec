"""Every page draws without an error: in an empty project, and with a sound and a broken video in it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.jobs import JobSpec, JobStore, scheduling_pass
from backend.project.paths import Project
from backend.project.settings import REPOSITORY, Notify, Settings, load_settings
from backend.video.library import add_video
from gui.steps import STEPS
from tests.gui.pages import button, opened
from tests.videos import write_video


@pytest.fixture
def two_videos(installed: Project, tmp_path: Path) -> Project:
    """A project with a sound video and a broken one."""
    videos = tmp_path / "videos"
    write_video(videos / "lek north.mp4", 30)
    (videos / "torn.mp4").write_bytes(b"\0" * 1000)
    add_video(installed, videos / "lek north.mp4", [videos], camera="north")
    add_video(installed, videos / "torn.mp4", [videos])
    return installed


KEYS = [step.key for step in STEPS]


@pytest.mark.parametrize("key", KEYS)
def test_a_page_draws_in_an_empty_project(installed, key):
    assert opened(key).title[0].value == next(step.title for step in STEPS if step.key == key)


def test_settings_can_be_saved_where_nobody_has_saved_any(fresh):
    app = opened("settings")
    button(app, "Save").click().run()
    assert not app.exception and not app.error
    assert load_settings() == Settings()


@pytest.mark.parametrize("kind", [Settings, Notify])
def test_the_default_of_a_setting_has_the_type_of_the_setting(kind):
    given = kind.model_validate(kind().model_dump())
    assert {name: type(value) for name, value in kind()} == {name: type(value) for name, value in given}


@pytest.mark.parametrize("key", KEYS)
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


def test_a_wrong_setting_is_refused_in_one_line_and_nothing_is_saved(installed):
    app = opened("settings")
    file = installed.root.parent / "state" / "settings.toml"
    before = file.read_bytes()
    app.text_input[0].set_value("relative/path")
    button(app, "Save").click().run()
    assert len(app.error) == 1
    assert "project_folder" in app.error[0].value and "absolute path" in app.error[0].value
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("folder", "words"),
    [("nosuch/project", "there is no folder"), ("state/project", "must lie beside each other")],
)
def test_a_project_folder_that_was_mistyped_or_would_show_the_token_is_refused(installed, folder: str, words: str):
    file = installed.root.parent / "state" / "settings.toml"
    before = file.read_bytes()
    app = opened("settings")
    app.text_input[0].set_value(str(installed.root.parent / folder))
    button(app, "Save").click().run()
    assert len(app.error) == 1
    assert app.error[0].value.startswith("project_folder: ") and words in app.error[0].value
    assert file.read_bytes() == before
    app.text_input[0].set_value(str(installed.root.parent / "another"))
    button(app, "Save").click().run()
    assert not app.error and str(installed.root.parent / "another") in file.read_text()


def test_a_failed_job_says_why_in_words_and_can_be_retried(installed):
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
    button(app, "Retry").click().run()
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
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)
