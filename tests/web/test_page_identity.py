"""A port that is used again: a server refuses what an old page sends for another video, and no cache mixes the two."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.web.page_identity import work_id
from tests.board.boards import board_server, small_project
from tests.segannot.conftest import birds_project, birds_video
from tests.segannot.test_server import annotator
from tests.web.servers import Server, running

__all__ = ["birds_project", "birds_video"]
ACTS = {
    "segannot": ("object", {"kind": "add"}),
    "board": ("act", {"kind": "reviewed", "frame": 0, "to": 5}),
}


@pytest.fixture(params=ACTS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[], Server]]:
    """Return the kind of a server and what makes it, always for the same work."""
    if request.param == "segannot":
        project = request.getfixturevalue("birds_project")
        return request.param, lambda: annotator(project)
    project = small_project(tmp_path / "project")
    return request.param, lambda: board_server(project)


def test_what_names_other_work_is_refused_and_only_what_names_it_is_kept(made: tuple) -> None:
    kind, server_of = made
    path, body = ACTS[kind]
    with running(server_of()) as server:
        state = server.ask_signed_in(path="/api/state").json
        body = json.dumps({**body, "version": state["version"], "key": "one"}).encode()
        refused = server.ask_signed_in("POST", f"/api/{path}?of=0123456789abcdef", body=body)
        assert (refused.status, refused.json["error"]["message"]) == (
            409, "this page belongs to another video or run; reload it. Nothing was changed"
        )  # fmt: skip
        assert server.ask_signed_in(path="/api/frames/0?width=64&of=0123456789abcdef").status == 409
        assert server.ask_signed_in(path="/api/state").json["version"] == state["version"]
        for named, kept in ((f"&of={state['of']}", "private, max-age=3600"), ("", "no-store")):
            answer = server.ask_signed_in(path=f"/api/frames/0?width=64{named}")
            assert (answer.status, answer.headers["cache-control"]) == (200, kept)
        assert server.ask_signed_in("POST", f"/api/{path}?of={state['of']}", body=body).status == 200
    with running(server_of()) as again:
        assert again.ask_signed_in(path="/api/state").json["of"] == state["of"]


def test_work_differs_by_project_video_and_run() -> None:
    given = [("a", "x"), ("a", "y"), ("b", "x"), ("ax",), ("a", "x", "1")]
    assert len({work_id(*facts) for facts in given}) == len(given)
    assert work_id("a", {"size": 1, "hash": "h"}) == work_id("a", {"hash": "h", "size": 1})
