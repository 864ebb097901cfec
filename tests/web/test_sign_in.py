"""Signing in by link, form and token; what the cookie is; signing out; a token that is changed."""

import asyncio
import html
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from backend.project.settings import Settings
from backend.web.gate import Gate
from backend.web.sign_in import MAX_WAITING, WRONG_TOKEN_DELAY_S, Brake, safe_target
from backend.web.token import LOOK_AGAIN_S, rotate_token
from tests.web.conftest import server_of
from tests.web.in_process import at_the_gate_and_live
from tests.web.servers import Server, installation, running

PAGE = {"Accept": "text/html,application/xhtml+xml"}


LEADING_AWAY = {
    "two slashes and dots": "//evil.example/%2e%2e",
    "a backslash": "/%5Cevil.example",
    "two slashes": "//evil.example",
    "two slashes in code": "/%2F%2Fevil.example",
}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A browser-like client: keeps cookies, does not follow redirects by itself."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=PAGE, timeout=20) as found:
        yield found


def test_the_link_signs_in_and_takes_the_token_out_of_the_address(server: Server, client: httpx.Client) -> None:
    answer = client.get(f"/deep/page?a=1&token={server.token}&b=%C3%A9")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/deep/page?a=1&b=%C3%A9"
    assert client.get("/").status_code == 200


def test_the_cookie_is_out_of_reach_of_scripts_and_does_not_give_the_token_away(
    server: Server, client: httpx.Client
) -> None:
    cookie = client.get("/", params={"token": server.token}).headers["set-cookie"]
    name, *attributes = cookie.split("; ")
    assert re.fullmatch(r"lektrack-[0-9a-f]{8}=[0-9a-f]{64}", name)
    assert attributes == ["Path=/", "Max-Age=2592000", "HttpOnly", "SameSite=Lax"]
    assert server.token not in cookie


def test_a_wrong_link_shows_the_sign_in_page(server: Server, client: httpx.Client) -> None:
    began = time.monotonic()
    answer = client.get("/deep", params={"token": "wrong", "x": '"><script>'})
    assert answer.status_code == 401 and "no longer" in answer.text
    assert time.monotonic() - began >= WRONG_TOKEN_DELAY_S
    assert "set-cookie" not in answer.headers
    assert html.escape("/deep?x=%22%3E%3Cscript%3E") in answer.text and "<script>" not in answer.text


def test_a_stale_link_does_not_sign_out(server: Server, client: httpx.Client) -> None:
    client.get("/", params={"token": server.token})
    answer = client.get("/deep", params={"token": "stale"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/deep")
    assert client.get("/").status_code == 200


def test_a_person_gets_a_page_and_a_program_gets_json(server: Server, client: httpx.Client) -> None:
    page = client.get("/deep?x=1")
    assert page.status_code == 401 and 'action="/-/sign-in"' in page.text and 'value="/deep?x=1"' in page.text
    answer = client.get("/deep", headers={"Accept": "application/json"})
    assert answer.status_code == 401 and answer.json()["error"]["status"] == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_form_signs_in_and_leads_back(server: Server, client: httpx.Client) -> None:
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    wrong = client.post("/-/sign-in", data={"token": "wrong", "next": "/deep?x=1"}, headers=own)
    assert wrong.status_code == 401 and "not the token" in wrong.text and 'value="/deep?x=1"' in wrong.text
    right = client.post("/-/sign-in", data={"token": f" {server.token} ", "next": "/deep?x=1"}, headers=own)
    assert (right.status_code, right.headers["location"]) == (303, "/deep?x=1")
    assert client.get("/").status_code == 200
    assert client.get("/-/sign-in").status_code == 303


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example"])
def test_signing_in_never_leads_elsewhere(server: Server, client: httpx.Client, target: str) -> None:
    answer = client.post("/-/sign-in", data={"token": server.token, "next": target})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@at_the_gate_and_live("path", LEADING_AWAY, "two slashes")
def test_a_link_never_leads_elsewhere(server: Server, path: str) -> None:
    location = server.ask(path=f"{path}?token={server.token}").headers["location"]
    assert re.match(r"/[^/\\]", location)


def test_a_foreign_page_cannot_send_the_form(server: Server, client: httpx.Client) -> None:
    answer = client.post("/-/sign-in", data={"token": server.token}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_the_form_takes_a_few_kilobytes_only(server: Server, client: httpx.Client) -> None:
    assert client.post("/-/sign-in", data={"token": "x" * 10_000}).status_code == 413
    assert client.post("/-/sign-in", content=b"&" * 4000 + b"\xff\xfe=%00").status_code == 401
    assert client.put("/-/sign-in").status_code == 405


@at_the_gate_and_live("scheme", {name: name for name in ("Bearer", "bearer", "BEARER")}, "Bearer")
def test_a_program_signs_in_by_header(server: Server, scheme: str) -> None:
    assert server.ask(headers=[("Authorization", f"{scheme} {server.token}")]).status == 200


def test_half_a_proof_is_none(server: Server) -> None:
    name, value = server.cookie.split("=")
    for header in (
        ("Authorization", f"Bearer {server.token[:-1]}"),
        ("Authorization", f"Basic {server.token}"),
        ("Authorization", server.token),
        ("Authorization", "Bearer "),
        ("Authorization", "Bearer \xff\xfe"),
        ("Cookie", f"{name}="),
        ("Cookie", f"{name}={server.token}"),
        ("Cookie", f"lektrack-00000000={value}"),
        ("Cookie", f"x{name}={value}"),
        ("Cookie", f"{name}={value.upper()}"),
        ("Cookie", f"{name}={value}0"),
    ):
        assert server.ask(headers=[header]).status == 401, header
    twice = ("Authorization", f"Bearer {server.token}")
    assert server.ask(headers=[twice, twice]).status == 401


def test_the_token_in_the_address_is_for_links_only(server: Server) -> None:
    own = ("Origin", f"http://127.0.0.1:{server.port}")
    assert server.ask("POST", f"/?token={server.token}", [own]).status == 401
    stream = "/_stcore/stream" if server.kind == "app" else "/stream"
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    key = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    assert server.ask(path=f"{stream}?token={server.token}", headers=[*upgrade, key, own]).status == 401


def test_the_cookie_is_found_among_others(server: Server) -> None:
    many = "; ".join(f"other{number}=x" for number in range(50))
    stale = server.cookie.split("=")[0] + "=stale"
    assert server.ask(headers=[("Cookie", f"{many}; {stale}; {server.cookie}")]).status == 200
    assert server.ask(headers=[("Cookie", many), ("Cookie", server.cookie)]).status == 200


def test_signing_out_needs_the_button(server: Server, client: httpx.Client) -> None:
    assert client.get("/-/sign-out").status_code == 401
    client.get("/", params={"token": server.token})
    page = client.get("/-/sign-out")
    assert page.status_code == 200 and "set-cookie" not in page.headers and "<button" in page.text
    assert client.post("/-/sign-out").status_code == 403
    answer = client.post("/-/sign-out", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 303 and "Max-Age=0" in answer.headers["set-cookie"]
    assert client.get("/").status_code == 401
    assert client.delete("/-/sign-out", headers={"Authorization": f"Bearer {server.token}"}).status_code == 405


def test_one_sign_in_holds_for_all_ports_of_an_installation_and_for_no_other(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    state, stranger_state = installation(tmp_path / "one"), installation(tmp_path / "two")
    with (
        running(server_of("service", state)) as first,
        running(server_of("service", state)) as second,
        running(server_of("service", stranger_state)) as stranger,
        httpx.Client(headers=PAGE) as client,
    ):
        client.get(first.sign_in_url)
        assert client.get(first.base_url).status_code == 200
        assert client.get(second.base_url).status_code == 200
        assert client.get(stranger.base_url).status_code == 401
        client.get(stranger.sign_in_url)
        assert [client.get(each.base_url).status_code for each in (first, second, stranger)] == [200, 200, 200]


def test_a_new_token_signs_everybody_out_and_closes_open_websockets(tmp_path: Path) -> None:
    with running(server_of("service", installation(tmp_path))) as server, httpx.Client(headers=PAGE) as client:
        client.get(server.sign_in_url)
        url = f"ws://127.0.0.1:{server.port}/stream"
        own = {"Origin": f"http://127.0.0.1:{server.port}", "Cookie": server.cookie}
        with connect(url, additional_headers=own) as socket:
            socket.send("a")
            assert socket.recv(timeout=5) == "a"
            rotate_token(server.state)
            with pytest.raises(ConnectionClosed):
                for _ in range(200):
                    socket.send("b")
                    socket.recv(timeout=5)
                    time.sleep(2 * LOOK_AGAIN_S / 200)
        answer = client.get(server.base_url)
        assert answer.status_code == 401 and "the token was changed" in answer.text
        assert client.get(server.sign_in_url).status_code == 303
        assert client.get(server.base_url).status_code == 200


def test_wrong_tokens_do_not_pile_up() -> None:
    brake = Brake()
    brake.waiting = MAX_WAITING
    assert not asyncio.run(brake.wait())
    brake.waiting = 0
    assert asyncio.run(brake.wait()) and brake.waiting == 0


@pytest.mark.parametrize("target", ["/", "/a/b?c=d&e=%20", "/" + "a" * 2000])
def test_paths_of_ours_are_kept(target: str) -> None:
    assert safe_target(target, "/home") == target


@pytest.mark.parametrize(
    "target",
    [
        "",
        "a",
        "//a",
        "/\\a",
        "/a b",
        "/é",
        quote("/a") + "\n",
        "/" + "a" * 3000,
        "//evil.example",
        "https://evil.example",
    ]
    + ["/\\evil.example", "\\\\evil", "/a\r\nX: y", "javascript:alert(1)", "/\\evil"],
)
def test_other_targets_fall_back(target: str) -> None:
    assert safe_target(target, "/home") == "/home"


def test_the_gate_is_a_middleware_for_starlette(tmp_path: Path) -> None:
    gate = Middleware(Gate, settings=Settings(), port=80, state=tmp_path, token="a-token-given-by-the-caller")
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("inside"))], middleware=[gate])

    async def ask(token: str) -> tuple[int, str]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            answer = await client.get("/", headers={"Authorization": f"Bearer {token}"})
            return answer.status_code, answer.headers.get("x-frame-options", "")

    assert asyncio.run(ask("a-token-given-by-the-caller")) == (200, "DENY")
    assert asyncio.run(ask("another")) == (401, "DENY")
