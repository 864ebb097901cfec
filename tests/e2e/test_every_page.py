"""Every page opens without an exception box: on a fresh copy of the code, and on a small project with all results."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.project.paths import Project
from backend.project.settings import REPOSITORY, load_settings
from gui.steps import STEPS
from tests.e2e.small_sample import make_small_sample
from tests.e2e.test_first_hour import SLOW_MS, go
from tests.web.servers import Server, app_server, running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


VIEWS = {  # of pages with several: the view, and a text that it shows
    "Create COCO JSON": {"Browse": "Possible mistakes", "Augmentation preview": "New samples"},
    "Inference": {"Progress": "No jobs in the last 24 hours.", "Results": re.compile(r"\d+ birds? at")},
    "Track": {"Results": re.compile("Expected identity error")},
    "Statistics": {
        "Results": "Birds in each zone over time",
        "Compare": "Lines: one standard error",
        "Tables": "Download these rows (CSV)",
        "Methods and files": "Methods text for your paper",
    },
}


@pytest.fixture
def fresh_app(tmp_path: Path) -> Iterator[Server]:
    """The app of a fresh clone: its project folder is ``data/`` of the copy, its state folder is empty."""
    for name in ("backend", "gui", "segannot", "board", "docs", ".streamlit"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    state = tmp_path / ".lektrack"
    state.mkdir(mode=0o700)
    server = app_server(state)
    server.folder = tmp_path
    with running(server):
        yield server


def open_every_page(page: Page) -> dict[str, str]:
    """Open every page by the sidebar and see that it draws without an exception; return the help link of each."""
    links = {}
    for step in STEPS:
        go(page, step.title)
        page.wait_for_timeout(300)
        expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=SLOW_MS)
        expect(page.get_by_test_id("stException")).to_have_count(0)
        help_link = page.get_by_test_id("stMain").get_by_role("link", name="Help", exact=False).first
        links[step.key] = help_link.evaluate("link => link.href")
    return links


def test_every_page_opens_on_an_empty_installation_and_a_folder_can_be_allowed(fresh_app: Server, page: Page, tmp_path):
    page.goto(fresh_app.sign_in_url)
    links = open_every_page(page)
    for step in STEPS:
        page.goto(links[step.key])
        expect(page.locator("h2:target")).to_have_text(step.title, timeout=SLOW_MS)
        expect(page.locator("h2:target")).to_be_in_viewport()
    page.goto(fresh_app.base_url)
    assert not (fresh_app.state / "settings.toml").exists()
    videos = tmp_path / "own videos"
    videos.mkdir()
    go(page, "Settings")
    page.get_by_role("textbox", name="Allowed folders, one per line").fill(str(videos))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible(timeout=SLOW_MS)
    assert load_settings(fresh_app.state).allowed_roots == (videos,)


def test_every_page_and_view_opens_on_a_project_with_all_results(
    running_app: Server, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_small_sample(Project(tmp_path / "project"), monkeypatch)
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(running_app.sign_in_url)
    open_every_page(page)
    for title, views in VIEWS.items():
        go(page, title)
        for view, content in views.items():
            page.get_by_test_id("stMain").get_by_role("radio", name=view, exact=True).click(timeout=SLOW_MS)
            expect(page.get_by_text(content).first).to_be_visible(timeout=SLOW_MS)
            expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=SLOW_MS)
            expect(page.get_by_test_id("stException")).to_have_count(0)
