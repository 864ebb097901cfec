"""Limit on the size of a request body, and strict JSON."""

import json
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.project.errors import InputError
from backend.web.http_errors import TooLarge, json_error

FORM_BYTES = 4 * 1024  # the sign-in form: a token and a path
JSON_BYTES = 8 * 1024**2  # one frame's edit: a few hundred polygons of a thousand points
UPLOAD_BYTES = 16 * 1024**2  # videos and weights are linked on the server, never uploaded; this is for small files


class BodyLimit:
    """ASGI middleware: a request body of more than ``limit`` bytes is answered with 413, announced or not."""

    def __init__(self, app: ASGIApp, limit: int):
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on everything but bodies that are too large."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _announced(scope) > self.limit:
            await _refuse(self.limit)(scope, receive, send)
            return
        taken, over, started = 0, False, False

        async def counted() -> Message:
            nonlocal taken, over
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.limit:
                over = True
                raise TooLarge(f"more than {self.limit} bytes")
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if over and not started:
                return  # the app's own answer to the failed read; ours follows
            started = True
            await send(message)

        try:
            await self.app(scope, counted, watched)
        except Exception:
            if not over:
                raise
        if over and not started:
            await _refuse(self.limit)(scope, receive, send)


async def read_json(request: Request, limit: int = JSON_BYTES) -> Any:
    """Return the request's body as JSON.

    Raises
    ------
    InputError
        If it is not UTF-8 JSON, or holds NaN, an infinity, or more nesting than anything of ours has.
    TooLarge
        If it has more than ``limit`` bytes.
    """
    body = await read_body(request, limit)
    try:
        return json.loads(body.decode(), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the request is not valid JSON: {error}") from error


async def read_form(request: Request) -> dict[str, str]:
    """Return the first value of each field of a small form (at most `FORM_BYTES`)."""
    text = (await read_body(request, FORM_BYTES)).decode("latin-1")
    return {name: values[0] for name, values in parse_qs(text).items()}


async def read_body(request: Request, limit: int) -> bytes:
    """Return the request's body; TooLarge if it has more than ``limit`` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"the request has more than {limit} bytes")
    return bytes(body)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)  # the HTTP parser has refused anything but digits
    return 0


def _refuse(limit: int) -> ASGIApp:
    return json_error(413, f"the request is too large: at most {limit} bytes are taken", {"connection": "close"})


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is out of range")
    return value
