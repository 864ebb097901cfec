"""The security headers are on every answer of every server: pages, files, errors, refusals, broken requests."""

import re
import socket

import pytest

from backend.web.headers import FIXED, STRICT, content_policy, inline_hashes, secured
from backend.web.serve import MAX_HEADER_BYTES
from tests.web.in_process import at_the_gate_and_live
from tests.web.servers import HANDSHAKE, STREAMS, Server

RAW = {
    "no HTTP at all": b"hello\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "endless headers": b"GET / HTTP/1.1\r\nX: " + b"a" * (MAX_HEADER_BYTES + 1),
    "a WebSocket handshake with a body": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Content-Length: 1\r\n\r\nx",
    "a body length that is no number": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
}


def check(headers: dict[str, str]) -> None:
    for name, value in FIXED.items():
        assert headers.get(name) == value
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "'unsafe-eval'" not in policy
    assert headers["cache-control"].startswith(("private", "no-"))
    assert "server" not in headers
    assert not any(name.startswith("access-control-") for name in headers)


REQUESTS: dict[str, tuple[str, str, list[tuple[str, str]]]] = {
    "a page": ("GET", "/", []),
    "its head": ("HEAD", "/", []),
    "its options": ("OPTIONS", "/", []),
    "no such page": ("GET", "/no/such/page", []),
    "a fault of ours": ("GET", "/api/fail/bug", []),
    "a missing file": ("GET", "/api/fail/missing", []),
    "no JSON": ("POST", "/api/edit", []),
    "readiness": ("GET", "/-/ready", []),
    "signing in": ("GET", "/-/sign-in", []),
    "signing out": ("GET", "/-/sign-out", []),
    "a name": ("GET", "/-/name", []),
    "a wrong token": ("GET", "/?token=wrong", []),
    "a method that is not known": ("TRACE", "/", []),
    "a malformed path": ("GET", "/a%00", []),
    "a foreign origin": ("GET", "/", [("Origin", "http://evil.example")]),
    "a person": ("GET", "/", [("Accept", "text/html")]),
    "a WebSocket": ("GET", "/stream", [*HANDSHAKE]),
    "a WebSocket of an old version": ("GET", "/stream", [*HANDSHAKE[:2], ("Sec-WebSocket-Version", "8")]),
    "a WebSocket without a key": ("GET", "/stream", [*HANDSHAKE[:3], ("Sec-WebSocket-Key", "short")]),
}
AT_THE_PARSER = ("a WebSocket of an old version", "a WebSocket without a key")  # uvicorn answers, not the gate
OF_STREAMLIT: dict[str, tuple[str, str, list[tuple[str, str]]]] = {
    "its icon": ("GET", "/favicon.png", []),
    "its health": ("GET", "/_stcore/health", []),
    "its options": ("GET", "/_stcore/host-config", [("Origin", "http://127.0.0.1:{port}")]),
    "an upload": ("PUT", "/_stcore/upload_file/a/b", []),
    "its WebSocket from a foreign page": ("GET", "/_stcore/stream", [*HANDSHAKE, ("Origin", "null")]),
}


def check_answer(server: Server, request: tuple[str, str, list[tuple[str, str]]], signed_in: bool) -> None:
    method, path, headers = request
    proof = [("Authorization", f"Bearer {server.token}")] if signed_in else []
    filled = [(name, value.format(port=server.port)) for name, value in headers]
    answer = server.ask(method, path, proof + filled)
    opens = signed_in and path == STREAMS.get(server.kind) and headers == [*HANDSHAKE]
    assert (answer.status == 101) is opens
    if opens:  # a connection, not an answer
        assert not {"server", "set-cookie", "access-control-allow-origin"} & set(answer.headers)
    else:
        check(answer.headers)


@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "not signed in"])
@at_the_gate_and_live(
    "asked",
    {name: request for name, request in REQUESTS.items() if name not in AT_THE_PARSER},
    *("a page", "no such page", "a fault of ours", "signing in", "a malformed path", "a foreign origin"),
    *("a person", "a WebSocket"),
)
def test_every_answer_has_them(server: Server, asked: tuple[str, str, list[tuple[str, str]]], signed_in: bool) -> None:
    check_answer(server, asked, signed_in)


@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "not signed in"])
@pytest.mark.parametrize("name", AT_THE_PARSER)
def test_handshakes_that_fail_before_the_gate_have_them(server: Server, name: str, signed_in: bool) -> None:
    check_answer(server, REQUESTS[name], signed_in)


@pytest.mark.parametrize("server", ["app"], indirect=True)
@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "not signed in"])
@pytest.mark.parametrize("asked", OF_STREAMLIT.values(), ids=OF_STREAMLIT)
def test_every_answer_of_streamlit_has_them(
    server: Server, asked: tuple[str, str, list[tuple[str, str]]], signed_in: bool
) -> None:
    check_answer(server, asked, signed_in)


@pytest.mark.parametrize("sent", RAW.values(), ids=RAW)
def test_what_is_not_http_is_answered_with_them(server: Server, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(sent)
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = said.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].startswith("HTTP/1.1 400")
    check(dict(re.split(r":\s*", line, maxsplit=1) for line in lines[1:]))
    assert body.startswith(b'{"error":')


def test_the_strict_policy_allows_nothing_inline_or_foreign() -> None:
    policy = content_policy()
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy
    assert set(STRICT) >= {"default-src", "script-src", "base-uri", "form-action", "frame-ancestors"}


@pytest.mark.parametrize("server", ["app"], indirect=True)
def test_streamlits_policy_is_loosened_where_it_must_be_only(server: Server) -> None:
    policy = dict(part.split(" ", 1) for part in server.ask_signed_in().headers["content-security-policy"].split("; "))
    assert re.fullmatch(r"'self' blob: 'sha256-[\w+/=]{44}'", policy.pop("script-src"))
    assert {name: value for name, value in policy.items() if STRICT[name] != value} == {
        "style-src": "'self' 'unsafe-inline'",
        "font-src": "'self' data:",
    }


def test_what_an_app_sets_does_not_open_doors() -> None:
    given = [
        (b"Access-Control-Allow-Origin", b"*"),
        (b"X-Frame-Options", b"ALLOWALL"),
        (b"Cache-Control", b"public, immutable"),
        (b"content-type", b"text/plain"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]
    found = secured(given, "policy")
    assert (b"Cache-Control", b"private, immutable") in found and (b"content-type", b"text/plain") in found
    assert [value for name, value in found if name == b"set-cookie"] == [b"a=1", b"b=2"]
    assert [value for name, value in found if name.lower() == b"x-frame-options"] == [b"DENY"]
    assert not any(name.lower().startswith(b"access-control") for name, _ in found)


def test_inline_bodies_are_hashed_as_the_browser_does() -> None:
    assert inline_hashes("<script>alert(1)</script>", "script") == (
        "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
    )
    assert inline_hashes("<p>", "script") == ""
