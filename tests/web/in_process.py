"""The gate without a server: requests go to the ASGI app of this process, as uvicorn would pass them on.

For rules that are functions of the request alone. A matrix of cases runs whole here, and some of its cases at every
kind of server, which shows that each of them asks the gate (`at_the_gate_and_live`).
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.types import Message

from backend.project.settings import load_settings
from backend.web.gate import protect
from tests.web.run_server import KINDS, SMALL_BODY, service
from tests.web.servers import Answer, Server

GATE = "gate"  # stands for it among the kinds of servers


class InProcess(Server):
    """The small service behind the gate, asked as a server is; there is no process and no port."""

    def __init__(self, state: Path, port: int):
        super().__init__([], state, port, kind="service")
        settings = load_settings(state)
        self._app = protect(service(), settings=settings, port=port, state=state, max_body=SMALL_BODY)

    def ask(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        host: str | None = "",
    ) -> Answer:
        """Send one request; see `Server.ask`."""
        sent = [("Host", host or f"127.0.0.1:{self.port}")] if host is not None else []
        sent += [*headers, ("Content-Length", str(len(body)))] if body else headers
        raw_path, _, query = path.partition("?")
        scope = {
            "type": "websocket" if ("Upgrade", "websocket") in sent else "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "root_path": "",
            "method": method,
            "path": unquote(raw_path),
            "raw_path": raw_path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": [(name.lower().encode("ascii"), value.strip().encode("latin-1")) for name, value in sent],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", self.port),
        }
        if scope["type"] == "websocket":
            scope |= {"scheme": "ws", "subprotocols": [], "extensions": {"websocket.http.response": {}}}
        return asyncio.run(self._answered(scope, body))

    async def _answered(self, scope: dict[str, Any], body: bytes) -> Answer:
        incoming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        if scope["type"] == "websocket":
            incoming = [{"type": "websocket.connect"}]
        sent: list[Message] = []

        async def receive() -> Message:
            return incoming.pop(0) if incoming else {"type": f"{scope['type']}.disconnect", "code": 1000}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        begun = sent[0]
        status = 101 if begun["type"] == "websocket.accept" else begun["status"]
        answer_headers = {name.decode().lower(): value.decode("latin-1") for name, value in begun.get("headers", [])}
        return Answer(status, answer_headers, b"".join(message.get("body", b"") for message in sent[1:]))


def at_the_gate_and_live(name: str, cases: Mapping[str, Any], *live: str) -> pytest.MarkDecorator:
    """Give a test its ``server`` and a case by ``name``: every case at the gate, those in ``live`` at every server."""
    whole = [pytest.param(GATE, case, id=f"{GATE}-{which}") for which, case in cases.items()]
    whole += [pytest.param(kind, cases[which], id=f"{kind}-{which}") for kind in KINDS for which in live]
    return pytest.mark.parametrize(("server", name), whole, indirect=["server"])
