"""Changes that the server cannot carry out, in a real browser: said, kept, and discarded only when a person says so."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from backend.masks.objects import read_objects
from backend.project.paths import Project
from tests.e2e.test_segannot import enter, until
from tests.segannot.conftest import birds_project, birds_video
from tests.segannot.test_server import annotator
from tests.web.servers import Server, running

__all__ = ["birds_project", "birds_video"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
PATIENT_S = 90.0
FULL = "there is no space left on the server's disk; make room there, and it goes on"


@pytest.fixture
def server(birds_project: Project) -> Iterator[Server]:
    """SegAnnot on the video of two birds."""
    with running(annotator(birds_project)) as started:
        yield started


def add(page: Page, name: str) -> None:
    change = f"api.change('object', {{ kind: 'add', name: '{name}' }})"
    page.evaluate(f"import('/static/api.js').then((api) => {{ {change}; }})")


def refuse(page: Page, status: int, message: str, name: str) -> None:
    """Let the server answer ``status`` to every change that names ``name``."""

    def answer(route: Route) -> None:
        if json.loads(route.request.post_data or "{}").get("name") == name:
            body = json.dumps({"error": {"status": status, "message": message}})
            route.fulfill(status=status, content_type="application/json", body=body)
        else:
            route.continue_()

    page.route("**/api/object*", answer)


def test_a_full_disk_is_said_and_what_was_done_is_saved_once_there_is_room(
    server: Server, page: Page, birds_project: Project
) -> None:
    enter(page, server)
    page.get_by_role("button", name="Close").click()
    refuse(page, 507, FULL, "first")
    for name in ("first", "second"):
        add(page, name)
    expect(page.locator("#message")).to_contain_text(f"Not saved: {FULL}", timeout=1000 * PATIENT_S)
    expect(page.get_by_text("2 not saved")).to_have_attribute("title", FULL)
    expect(page.get_by_role("button", name="Discard this change")).to_be_hidden()
    page.unroute("**/api/object*")
    until(page, "segannot.pending().length === 0 && segannot.app.server.objects.length === 2", PATIENT_S)
    expect(page.get_by_text("All saved")).to_be_visible()
    assert [entry.name for entry in read_objects(birds_project.segannot("birds"))] == ["first", "second"]


def test_a_change_that_fails_again_and_again_can_be_discarded_and_the_rest_is_saved(
    server: Server, page: Page, birds_project: Project
) -> None:
    enter(page, server)
    page.get_by_role("button", name="Close").click()
    refuse(page, 500, "this failed", "broken")
    for name in ("broken", "whole"):
        add(page, name)
    discard = page.get_by_role("button", name="Discard this change")
    expect(discard).to_be_visible(timeout=1000 * PATIENT_S)
    expect(page.get_by_text("2 not saved")).to_be_visible()
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    discard.click()
    assert asked and page.evaluate("segannot.pending().length") == 2
    page.once("dialog", lambda dialog: dialog.accept())
    discard.click()
    until(page, "segannot.pending().length === 0 && segannot.app.server.objects.length === 1", PATIENT_S)
    expect(discard).to_be_hidden()
    assert [entry.name for entry in read_objects(birds_project.segannot("birds"))] == ["whole"]
