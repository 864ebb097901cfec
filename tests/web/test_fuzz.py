"""Any request at all: never a 5xx, never anything but a refusal without sign-in, and the server lives on."""

import contextlib
import os
import re
import socket

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.servers import HANDSHAKE, Server

TRIES = int(os.environ.get("LEKTRACK_FUZZ_TRIES", "100"))

KNOWN = [
    "/",
    "/api/edit",
    "/stream",
    "/-/sign-in",
    "/-/ready",
    "/-/sign-out",
    "/-/name",
    "/_stcore/stream",
    "/_stcore/health",
]
KNOWN += ["/api/draw", "/api/turn", "/api/frames/3", "/api/masks/999", "/api/frames/1?width=9"]
KNOWN += ["/api/act", "/api/preview", "/api/rows/0/9", "/api/doubts/1", "/api/loops/2", "/api/gaps/1/9", "/api/audit"]
KNOWN += ["/_stcore/upload_file/a/b", "/media/x.png", "/component/x/y", "/static/js/x.js", "/_stcore/host-config"]
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
URL_CHARACTERS = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
PIECES = st.sampled_from(
    ["..", "%2e%2e", "%00", "//", "%2f", "%5c", "\\", "%ff", "%u0041", "?", "&", "=", "%", ";", "a"]
)
PATHS = st.one_of(
    st.sampled_from(KNOWN),
    st.builds(lambda base, rest: base + "".join(rest), st.sampled_from(KNOWN), st.lists(PIECES, max_size=8)),
    st.text(URL_CHARACTERS, max_size=60).map(lambda text: f"/{text}"),
)
HEADER_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=80)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["Accept", "Authorization", "Cookie", "Range", "If-None-Match", "If-Modified-Since", "Content-Type"]
            + ["Accept-Encoding", "X-Forwarded-For", "X-Forwarded-Proto", "Referer", "Sec-Fetch-Site", "Origin"]
            + ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "X-Xsrftoken", "Forwarded", "Te", "Via"]
        ),
        HEADER_VALUES,
    ),
    max_size=4,
)
BODIES = st.one_of(st.just(b""), st.binary(max_size=300), st.sampled_from([b"{}", b"[1]", b"token=x&next=/", b"NaN"]))
unclocked = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
fuzz = settings(max_examples=TRIES, suppress_health_check=unclocked)


@fuzz
@given(method=METHODS, path=PATHS, headers=HEADERS, body=BODIES, upgrade=st.booleans())
def test_no_request_of_somebody_signed_in_makes_the_server_fail(
    server: Server, method: str, path: str, headers: list[tuple[str, str]], body: bytes, upgrade: bool
) -> None:
    proof = [("Authorization", f"Bearer {server.token}")]
    sent = [*proof, *(pair for pair in headers if pair[0] != "Authorization"), *(HANDSHAKE if upgrade else ())]
    answer = server.ask(method, path, encoded(sent), body=body)
    assert answer.status < 500, answer


@fuzz
@given(method=METHODS, path=PATHS, headers=HEADERS, body=BODIES, upgrade=st.booleans())
def test_no_request_gets_past_the_sign_in(
    server: Server, method: str, path: str, headers: list[tuple[str, str]], body: bytes, upgrade: bool
) -> None:
    answer = server.ask(method, path, encoded([*headers, *(HANDSHAKE if upgrade else ())]), body=body)
    page = path.split("?")[0] == "/-/sign-in"
    assert answer.status in (400, 401, 403, 404, 405, 413, 426) or (page and answer.status == 200), answer
    assert "set-cookie" not in answer.headers


@fuzz
@given(st.binary(max_size=2000), st.booleans())
def test_no_bytes_make_the_server_fail(server: Server, sent: bytes, begins_well: bool) -> None:
    begin = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n".encode() if begins_well else b""
    said = b""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection,
        contextlib.suppress(ConnectionError),
    ):
        connection.sendall(begin + sent + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        said = connection.recv(20)
    assert not said or said.startswith((b"HTTP/1.1 2", b"HTTP/1.1 3", b"HTTP/1.1 4")), said


def test_after_all_that_the_server_answers(server: Server) -> None:
    assert server.ask_signed_in().status == 200
    failed = re.findall(r"ERROR (\S+) failed", server.log)
    assert all(path.startswith("/api/fail/") for path in failed)  # other tests ask for those
    assert "Fatal error" not in server.log and "Exception in ASGI" not in server.log


def encoded(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return headers without the blanks around values that no client sends."""
    return [(name, value.strip()) for name, value in headers]
