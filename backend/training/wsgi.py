"""Running a WSGI program, such as TensorBoard, inside our servers: one thread a request, bodies and answers bounded."""

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

import anyio
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.web.request_body import read_body

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
MAX_BODY_BYTES = 1024**2
MAX_THREADS = 8
DROPPED = {"connection", "keep-alive", "transfer-encoding", "upgrade"}  # belong to one connection, not to an answer


def as_asgi(program: WsgiApp, policy: str | None = None) -> ASGIApp:
    """Return an ASGI app that answers with ``program``.

    Parameters
    ----------
    program
        The WSGI program. It runs in threads, several at a time.
    policy
        Content-Security-Policy that replaces the program's own.
    """
    limiter = anyio.CapacityLimiter(MAX_THREADS)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        body = await read_body(Request(scope, receive), MAX_BODY_BYTES)
        environment = _environment(scope, body)
        status, headers, content = await anyio.to_thread.run_sync(_answer, program, environment, limiter=limiter)
        if policy is not None:
            headers = [(name, value) for name, value in headers if name.lower() != "content-security-policy"]
            headers.append(("content-security-policy", policy))
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    return app


def _answer(program: WsgiApp, environment: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
    begun: dict[str, Any] = {}
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        begun["status"] = int(status.split(" ", 1)[0])
        begun["headers"] = [(name, value) for name, value in headers if name.lower() not in DROPPED]
        return written.append

    parts = program(environment, start_response)
    try:
        written += parts
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    return begun["status"], begun["headers"], b"".join(written)


def _environment(scope: Scope, body: bytes) -> dict[str, Any]:
    """Return the variables of PEP 3333 for a request."""
    base = scope.get("root_path", "")
    path = unquote_to_bytes(scope["raw_path"]).decode("latin-1") if scope.get("raw_path") else scope["path"]
    server = scope.get("server") or ("localhost", 80)
    environment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": base.encode().decode("latin-1"),
        "PATH_INFO": path.removeprefix(base),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        if name not in ("CONTENT_LENGTH", "AUTHORIZATION", "COOKIE"):  # the gate's business, not the program's
            environment[name if name == "CONTENT_TYPE" else f"HTTP_{name}"] = value
    return environment


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message: Message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
