"""Large bodies and things that are nearly JSON."""

import http.client
import json
from collections.abc import Iterator

import pytest

from backend.web.request_body import JSON_BYTES, UPLOAD_BYTES
from tests.web.run_server import SMALL_BODY
from tests.web.servers import Server


def send(server: Server, body: bytes, path: str = "/api/edit") -> tuple[int, dict]:
    answer = server.ask("POST", path, [("Authorization", f"Bearer {server.token}")], body=body)
    return answer.status, answer.json


def send_in_pieces(server: Server, path: str, pieces: Iterator[bytes], method: str = "POST") -> int:
    """Send a body whose length is not announced; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        headers = {"Authorization": f"Bearer {server.token}"}
        connection.request(method, path, pieces, headers, encode_chunked=True)
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):  # the server had answered and closed while we still sent
        return connection.getresponse().status
    finally:
        connection.close()


def test_json_of_ours_is_taken(service: Server) -> None:
    value = {"polygon": [[0.5, -1e300], [3, 4]], "name": "Ruff \u2642", "none": None}
    assert send(service, json.dumps(value).encode()) == (200, {"taken": value})


BAD_JSON = {
    "NaN": b'{"x": NaN}',
    "infinity": b'{"x": Infinity}',
    "minus infinity": b'{"x": -Infinity}',
    "a number beyond floats": b'{"x": 1e999}',
    "an endless integer": b"[" + b"9" * 10_000 + b"]",
    "deep nesting": b"[" * 30_000,
    "half of it": b'{"x": ',
    "empty": b" ",
    "two values": b"1 2",
    "not UTF-8": b'{"x": "\xff"}',
    "UTF-16": '{"x": 1}'.encode("utf-16"),
    "single quotes": b"{'x': 1}",
}


@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON)
def test_what_is_not_json_is_a_bad_request(service: Server, body: bytes) -> None:
    status, answer = send(service, body)
    assert status == 400 and answer["error"]["message"].startswith("the request is not valid JSON")


def test_a_large_body_is_refused_when_it_is_announced(service: Server) -> None:
    status, answer = send(service, b'"' + b"a" * SMALL_BODY + b'"')
    assert status == 413 and str(SMALL_BODY) in answer["error"]["message"]


def test_a_body_of_just_the_limit_is_taken(service: Server) -> None:
    assert send(service, b'"' + b"a" * (SMALL_BODY - 2) + b'"')[0] == 200


def test_a_large_body_is_refused_when_it_is_not_announced(service: Server) -> None:
    assert send_in_pieces(service, "/api/edit", (b" " * 1024 for _ in range(SMALL_BODY // 1024 + 5))) == 413


def test_a_lying_length_is_no_way_round(service: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.putrequest("POST", "/api/edit")
    connection.putheader("Authorization", f"Bearer {service.token}")
    connection.putheader("Content-Length", "9" * 19)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize("server", ["app"], indirect=True)
def test_the_web_app_refuses_large_uploads(server: Server) -> None:
    path = "/_stcore/upload_file/session/file"
    pieces = (b" " * 1024**2 for _ in range(UPLOAD_BYTES // 1024**2 + 1))
    assert send_in_pieces(server, path, pieces, "PUT") in (403, 413)  # 403: no page of Streamlit asked for it
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("PUT", path)
    connection.putheader("Authorization", f"Bearer {server.token}")
    connection.putheader("Content-Length", str(UPLOAD_BYTES + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    assert JSON_BYTES < UPLOAD_BYTES
