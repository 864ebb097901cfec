"""The security headers are on every answer of every server: pages, files, errors, refusals, broken requests."""

import re
import socket

import pytest

from backend.web.headers import FIXED, STRICT, content_policy, inline_hashes, secured
from backend.web.serve import MAX_HEADER_BYTES
from tests.web.servers import HANDSHAKE, Server

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


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", []),
        ("HEAD", "/", []),
        ("OPTIONS", "/", []),
        ("GET", "/no/such/page", []),
        ("GET", "/favicon.png", []),
        ("GET", "/_stcore/health", []),
        ("GET", "/_stcore/host-config", [("Origin", "http://127.0.0.1:{port}")]),
        ("GET", "/api/fail/bug", []),
        ("GET", "/api/fail/missing", []),
        ("POST", "/api/edit", []),
        ("PUT", "/_stcore/upload_file/a/b", []),
        ("GET", "/-/ready", []),
        ("GET", "/-/sign-in", []),
        ("GET", "/-/sign-out", []),
        ("GET", "/-/name", []),
        ("GET", "/?token=wrong", []),
        ("TRACE", "/", []),
        ("GET", "/a%00", []),
        ("GET", "/", [("Origin", "http://evil.example")]),
        ("GET", "/", [("Accept", "text/html")]),
        ("GET", "/stream", [*HANDSHAKE]),
        ("GET", "/_stcore/stream", [*HANDSHAKE, ("Origin", "null")]),
        ("GET", "/stream", [*HANDSHAKE[:2], ("Sec-WebSocket-Version", "8")]),
        ("GET", "/stream", [*HANDSHAKE[:3], ("Sec-WebSocket-Key", "short")]),
    ],
)
@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "not signed in"])
def test_every_answer_has_them(
    server: Server, method: str, path: str, headers: list[tuple[str, str]], signed_in: bool
) -> None:
    proof = [("Authorization", f"Bearer {server.token}")] if signed_in else []
    filled = [(name, value.format(port=server.port)) for name, value in headers]
    answer = server.ask(method, path, proof + filled)
    if answer.status != 101:
        check(answer.headers)


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
