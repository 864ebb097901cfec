"""Every page opens without an exception box, on a fresh copy of the code without a settings file, too."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.project.settings import REPOSITORY, load_settings
from gui.steps import STEPS
from tests.e2e.test_first_hour import SLOW_MS, go
from tests.web.servers import Server, app_server, running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


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
