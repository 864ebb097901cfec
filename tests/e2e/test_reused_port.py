"""A port that is used again for another video, in a real browser: pages, pictures and unsent strokes are not mixed."""

import sys
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from backend.masks.objects import read_frames, read_objects
from backend.project.paths import Project
from backend.video.library import add_video
from tests.e2e.test_segannot import colour_at, enter, until
from tests.segannot.conftest import SIZE, birds_project, birds_video
from tests.segannot.test_server import annotator
from tests.videos import write_video
from tests.web.servers import Server, running

__all__ = ["birds_project", "birds_video"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
RED, PATIENT_S = (200, 30, 30), 90.0
ADD = "import('/static/api.js').then((api) => {{ api.change('object', {{ kind: 'add', name: '{name}' }}); }})"
SHOWN = "window.segannot?.app.server?.video.name === '{name}' && segannot.shownFrame() === segannot.app.frame"
KEPT = "Object.keys(localStorage).filter((name) => name.startsWith('segannot-queue')).length"
SAVED = "segannot.pending().length === 0"


def red_picture(frame: int, size: tuple[int, int]) -> np.ndarray:
    return np.full((size[1], size[0], 3), RED, np.uint8)


def shows(page: Page, name: str, waiting: int = 0) -> None:
    """Wait until the page has loaded itself again for a video and shows its frame."""
    expect(page.locator("#video")).to_have_text(name, timeout=1000 * PATIENT_S)
    until(page, SHOWN.format(name=name), PATIENT_S)
    until(page, f"segannot.pending().length === {waiting}", PATIENT_S)
    assert page.title().startswith(name)


def is_red(page: Page) -> bool:
    return bool(np.abs(np.subtract(colour_at(page, 20, 20), RED)).max() < 30)


def test_an_open_page_goes_over_to_the_other_video_and_what_was_not_sent_waits_for_its_own(
    birds_project: Project, page: Page, tmp_path: Path
) -> None:
    red = write_video(tmp_path / "red.mp4", 20, size=SIZE, picture=red_picture)
    add_video(birds_project, red, [tmp_path])
    birds = annotator(birds_project)
    command = [sys.executable, "-m", "segannot", "--video", "red", "--port", str(birds.port)]
    other = Server(command, birds.state, birds.port)
    names = ("birds", "red")
    with running(birds):
        enter(page, birds)
        page.evaluate(ADD.format(name="sent"))
        until(page, "segannot.app.server.objects.length === 1 && segannot.pending().length === 0", PATIENT_S)
        shows(page, names[0])
        assert not is_red(page)
    for name in ("first", "second"):
        page.evaluate(ADD.format(name=name))
    until(page, "segannot.pending().length === 2", PATIENT_S)
    with running(other):
        shows(page, names[1])
        assert is_red(page)
        assert page.evaluate("segannot.app.server.objects.length") == 0
        window = page.context.new_page()
        window.goto(other.base_url)
        shows(window, names[1])
        window.evaluate(ADD.format(name="red bird"))
        until(window, f"segannot.app.server.objects.length === 1 && {SAVED}", PATIENT_S)
        assert is_red(window)
        window.close()
    with running(birds):
        shows(page, names[0])
        until(page, "segannot.app.server.objects.length === 3", PATIENT_S)
        assert not is_red(page)
    for video, birds_there in (("birds", ["sent", "first", "second"]), ("red", ["red bird"])):
        folder = birds_project.segannot(video)
        assert [entry.name for entry in read_objects(folder)] == birds_there
        assert not read_frames(folder)


def test_two_windows_do_not_overwrite_what_the_other_has_not_sent(birds_project: Project, page: Page) -> None:
    birds = annotator(birds_project)
    with running(birds):
        enter(page, birds)
        window = page.context.new_page()
        window.goto(birds.base_url)
        shows(window, "birds")
    for each, name in ((page, "first"), (window, "second"), (page, "third")):
        each.evaluate(ADD.format(name=name))
        until(each, f"segannot.pending().some((entry) => entry.body.name === '{name}')", PATIENT_S)
    assert page.evaluate(KEPT) == 3
    window.close()
    page.goto("about:blank")
    with running(birds):
        page.goto(birds.base_url)
        shows(page, "birds")
        until(page, "segannot.app.server.objects.length === 3", PATIENT_S)
        assert page.evaluate(KEPT) == 0
    names = [entry.name for entry in read_objects(birds_project.segannot("birds"))]
    assert names == ["first", "second", "third"]
