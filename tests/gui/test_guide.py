"""The user guide as a page of the app: sections, pictures, sign-in, path prefix."""

import re
from collections.abc import Iterator

import pytest

from gui.guide import GUIDE, anchor, guide_page
from gui.steps import STEPS
from tests.gui.pages import opened
from tests.web.servers import Server, app_server, installation, running


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app under a path prefix."""
    state = installation(tmp_path_factory.mktemp("app"), path_prefix="/lab", public_address="https://lek.example.org")
    with running(app_server(state, base="/lab")) as server:
        yield server


def whole_page() -> str:
    return guide_page(GUIDE, GUIDE.stat().st_mtime)


def test_every_page_of_the_app_has_a_section_of_its_own():
    headings = re.findall(r'<h2 id="([^"]+)">', whole_page())
    assert {anchor(step.title) for step in STEPS} <= set(headings)
    assert len(headings) == len(set(headings))


def test_lists_and_tables_are_drawn_as_such_and_every_picture_exists():
    page = whole_page()
    assert not re.search(r"<p>[^<]*\n(-|\d+\.|\|) ", page)
    pictures = re.findall(r'<img alt="[^"]+" src="([^"]+)"', page)
    assert pictures and all((GUIDE.parent / name).is_file() for name in pictures)
    assert len(pictures) == page.count("<img")


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.key)
def test_the_help_link_of_a_page_leads_to_its_section(installed, step):
    captions = " ".join(caption.value for caption in opened(step.key).caption)
    assert f"](/guide/#{anchor(step.title)})" in captions


def test_the_guide_and_its_pictures_are_behind_the_sign_in_and_under_the_prefix(app: Server):
    for path in ("/lab/guide/", "/lab/guide/pictures/home.png", "/lab/guide/guide.css"):
        assert app.ask(path=path).status == 401, path
        assert app.ask_signed_in(path=path).status == 200, path
    page = app.ask_signed_in(path="/lab/guide/")
    assert b"<h1" in page.body and "script-src 'none'" in page.headers["content-security-policy"]
    moved = app.ask_signed_in(path="/lab/guide")
    assert moved.status == 308 and moved.headers["location"] == "/lab/guide/"


@pytest.mark.parametrize(
    "name",
    ["pictures/none.png", "admin-guide.md", "pictures/../user-guide.md", "../README.md", "pictures/%2e%2e/x.png", "x/"],
)
def test_nothing_but_the_guide_is_given_out(app: Server, name: str):
    assert app.ask_signed_in(path=f"/lab/guide/{name}").status in (400, 404)


def test_the_guide_is_only_read(app: Server):
    assert app.ask_signed_in("POST", "/lab/guide/").status == 405
