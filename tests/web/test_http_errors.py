"""One error shape, one table."""

import json

import pytest
from starlette.exceptions import HTTPException

from backend.project.errors import InputError
from backend.web.http_errors import EXCEPTION_STATUS, Conflict, TooLarge, error_response, json_error
from tests.jobs.tools import wait_until
from tests.web.servers import Server

FULL = "there is no space left on the server's disk; make room there, and it goes on"


def test_the_shape_is_pinned() -> None:
    assert json_error(404, "no such\n frame").body == b'{"error":{"status":404,"message":"no such frame"}}'


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InputError("frame 9 is outside 0 to 5"), 400, "frame 9 is outside 0 to 5"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), 400, None),
        (FileNotFoundError(2, "No such file", "/secret"), 404, "Not Found"),
        (PermissionError(13, "denied", "/secret"), 403, "Forbidden"),
        (Conflict("version 3 is not 4"), 409, "version 3 is not 4"),
        (FileExistsError(17, "exists", "/secret"), 409, "Conflict"),
        (TooLarge("more than 5 bytes"), 413, "more than 5 bytes"),
        (HTTPException(405), 405, "Method Not Allowed"),
        (OSError(5, "input/output error", "/secret"), 500, None),
        (OSError(28, "No space left on device", "/secret"), 507, FULL),
        (OSError(122, "Disk quota exceeded", "/secret"), 507, FULL),
        (KeyError("secret"), 500, None),
        (ValueError("secret"), 500, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_exceptions_map_to_statuses(error: Exception, status: int, message: str | None) -> None:
    answer = error_response(error)
    told = json.loads(answer.body)["error"]
    assert answer.status_code == told["status"] == status
    assert "secret" not in told["message"]
    assert message is None or told["message"] == message


def test_every_kind_in_the_table_is_narrow() -> None:
    assert not {Exception, OSError, ValueError, RuntimeError} & set(EXCEPTION_STATUS)


@pytest.mark.parametrize(("how", "status"), [("conflict", 409), ("missing", 404), ("bug", 500)])
def test_a_server_answers_failures_in_our_shape(service: Server, how: str, status: int) -> None:
    answer = service.ask_signed_in(path=f"/api/fail/{how}")
    assert answer.status == answer.json["error"]["status"] == status
    assert "inner detail" not in answer.body.decode() and "/secret" not in answer.body.decode()


def test_what_failed_by_our_fault_is_in_the_log(service: Server) -> None:
    service.ask_signed_in(path="/api/fail/bug")
    wait_until(lambda: "ZeroDivisionError: inner detail" in service.log)  # it is written after the answer
