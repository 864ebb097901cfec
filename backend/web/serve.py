"""Running an app with uvicorn: limits, logs without query strings, and an orderly end."""

import logging
import os
import socket
import threading
import time
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.web.listen import listen
from backend.web.protocol import HttpProtocol, WebSocketProtocol

MAX_HEADER_BYTES = 32 * 1024  # cookies of several tools on one host fit; endless headers do not
MAX_MESSAGE_BYTES = 25 * 1024**2  # what Streamlit takes for the state of all widgets of a page
PING_S = 20.0  # finds browsers that went away without a word, and keeps proxies from closing quiet connections
KEEP_ALIVE_S = 30  # longer than the pause between two clicks, shorter than a forgotten tab
GRACE_S = 3  # for answers under way when the server is asked to end
LAST_RESORT_S = 9.0  # then the process ends whatever still runs, so that it is gone within 10 s
STOPPED = 130  # the exit code of everything of ours that was stopped on request

access = logging.getLogger("lektrack.access")


def serve(
    app: ASGIApp, host: str, port: int, *, access_log: bool = True, listener: socket.socket | None = None
) -> None:
    """Serve ``app`` until SIGTERM or Ctrl-C; returns once every connection is closed.

    Parameters
    ----------
    app
        What to serve, already behind `backend.web.gate.protect`.
    host, port
        The address to listen on.
    access_log
        Log every request, not only those that were refused or failed. Query strings are never logged.
    listener
        A socket that listens already, from `backend.web.listen.listen`.

    Raises
    ------
    InputError
        If the port cannot be had.
    """
    with listener or listen(host, port) as bound:
        config = uvicorn.Config(
            AccessLog(app, every=access_log),
            host=host,
            port=port,
            http=HttpProtocol,
            ws=WebSocketProtocol,
            loop="asyncio",
            interface="asgi3",
            log_config=_log_config(),
            access_log=False,
            server_header=False,
            # only a proxy on this machine may say for whom it asks, and only the log believes it
            forwarded_allow_ips=["127.0.0.1", "::1"],
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            ws_per_message_deflate=False,
        )
        _Server(config).run(sockets=[bound])


class AccessLog:
    """ASGI middleware: one line a request with client, method, path, status and time; never the query string."""

    def __init__(self, app: ASGIApp, every: bool):
        self.app = app
        self.every = every

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on and write the line when the answer starts."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()

        async def logged(message: Message) -> None:
            status = message.get("status", {"websocket.accept": 101}.get(message["type"]))
            if status is not None and (self.every or status >= 400):
                method = scope.get("method", "WebSocket")
                took_ms = (time.perf_counter() - started) * 1000
                access.info("%s %s %s %d %.0f ms", _client(scope), method, _shown_path(scope), status, took_ms)
            await send(message)

        await self.app(scope, receive, logged)


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            timer = threading.Timer(LAST_RESORT_S, os._exit, (STOPPED,))
            timer.daemon = True
            timer.start()
        super().handle_exit(sig, frame)


def _log_config() -> dict[str, object]:
    handler = {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(message)s"}},
        "handlers": {"stderr": handler},
        "loggers": {
            # its lines about WebSockets (INFO) hold the query string; ours do not
            "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            "backend": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "lektrack.access": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        },
    }


def _client(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "-"


def _shown_path(scope: Scope) -> str:
    return scope["raw_path"].decode("ascii", "backslashreplace")[:200]
