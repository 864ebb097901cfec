"""Every route of every server refuses whoever is not signed in, and says so with all headers."""

import re

import pytest

from tests.web.conftest import routes_of
from tests.web.servers import HANDSHAKE, Server

# what Streamlit is known to answer; if one of these is gone the list below is not the whole list
EXPECTED = {
    "app": {"/", "/_stcore/health", "/_stcore/metrics", "/_stcore/stream", "/_stcore/host-config"},
    "service": {"/", "/api/edit", "/stream"},
    "segannot": {"/", "/api/state", "/api/draw", "/api/turn", "/api/propagate", "/api/masks/{frame:int}"},
    "board": {"/", "/api/state", "/api/act", "/api/turn", "/api/preview", "/api/rows/{first:int}/{last:int}"},
}


@pytest.fixture
def routes(server: Server) -> list[dict]:
    """All routes of the server's kind."""
    return routes_of(server.kind)


def concrete(path: str) -> str:
    """Return a path that the route's pattern matches."""
    return re.sub(r"{[^}]*}", "x", path)


def test_the_list_of_routes_is_whole(server: Server, routes: list[dict]) -> None:
    assert EXPECTED.get(server.kind, set()) < {route["path"] for route in routes}
    assert any("upload" in route["path"] for route in routes) is (server.kind == "app")


def test_every_route_refuses_without_sign_in(server: Server, routes: list[dict]) -> None:
    own = [("Origin", f"http://127.0.0.1:{server.port}"), ("Sec-Fetch-Site", "same-origin")]
    asked = 0
    for route in routes:
        path = concrete(route["path"])
        for method in route["methods"] or ["GET"]:
            for body in (b"", b"{}") if method in ("POST", "PUT", "DELETE") else (b"",):
                headers = [*own, *HANDSHAKE] if not route["methods"] else own
                answer = server.ask(method, path, headers, body=body)
                assert answer.status == 401, (method, path)
                assert "set-cookie" not in answer.headers
                asked += 1
    assert asked >= 6


@pytest.mark.parametrize(
    "path", ["/static/js/x.js", "/favicon.png", "/media/x.png", "/-/ready", "/-/sign-out", "/-/name", "/-/x"]
)
def test_files_and_our_own_paths_refuse_without_sign_in(server: Server, path: str) -> None:
    assert server.ask(path=path).status == 401


def test_get_changes_nothing_on_any_route(server: Server, routes: list[dict]) -> None:
    for route in routes:
        if "GET" not in route["methods"] and route["methods"]:
            answer = server.ask_signed_in("GET", concrete(route["path"]))
            assert answer.status in (200, 404, 405), route  # 200 is Streamlit's start page
