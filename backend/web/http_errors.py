"""One JSON shape for every error, and one table from exceptions to HTTP statuses."""

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from backend.project.atomic import DISK_FULL
from backend.project.errors import InputError


class Conflict(RuntimeError):
    """The change was made on a version that is not the present one; nothing was overwritten."""


class TooLarge(ValueError):
    """The request is larger than this server takes."""


# Looked up along the exception's bases, narrowest first. What is not here is our fault: 500.
EXCEPTION_STATUS: dict[type[Exception], int] = {
    InputError: 400,
    UnicodeDecodeError: 400,
    FileNotFoundError: 404,
    PermissionError: 403,
    Conflict: 409,
    FileExistsError: 409,
    TooLarge: 413,
}


def json_error(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the one shape: ``{"error": {"status": 400, "message": "one line"}}``."""
    return JSONResponse({"error": {"status": status, "message": " ".join(message.split())}}, status, headers)


def error_response(error: Exception) -> JSONResponse:
    """Return the answer to a request that ended in ``error``. What is our fault is not shown; the gate logs it."""
    if isinstance(error, HTTPException):
        return json_error(error.status_code, error.detail, dict(error.headers or {}))
    status = next((EXCEPTION_STATUS[kind] for kind in type(error).__mro__ if kind in EXCEPTION_STATUS), None)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return json_error(507, "there is no space left on the server's disk; make room there, and it goes on")
    if status is None:
        return json_error(500, "this failed; the reason is in the server's log")
    if isinstance(error, OSError):  # its text holds a path of the server
        return json_error(status, HTTPStatus(status).phrase)
    return json_error(status, str(error))


def exception_handlers() -> dict[Any, Any]:
    """Return the handlers for ``Starlette(exception_handlers=...)`` of our own servers."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        return error_response(error)

    return dict.fromkeys([HTTPException, Exception, *EXCEPTION_STATUS], handle)
