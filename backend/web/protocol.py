"""HTTP and WebSocket protocols of uvicorn whose own errors (malformed requests, bad handshakes) carry our headers."""

import asyncio
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request as Handshake
from websockets.http11 import Response as HandshakeAnswer

from backend.web.headers import content_policy, secured
from backend.web.http_errors import json_error

MAX_CONNECTIONS = 500  # a lab has tens of browsers with a few connections each; 1,024 descriptors are a usual limit
FIRST_REQUEST_S = 30.0  # a connection that has sent no whole request by then is closed: it only holds a descriptor


def whole_answer(status: HTTPStatus, message: str) -> bytes:
    """Return an error in our shape as bytes for the wire, after which the connection is closed."""
    answer = json_error(status, message, {"connection": "close"})
    head = [f"HTTP/1.1 {status} {status.phrase}".encode()]
    head += [name + b": " + value for name, value in secured(answer.raw_headers, content_policy())]
    return b"\r\n".join([*head, b"", bytes(answer.body)])


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 on h11. Malformed requests get our error shape; silent connections are closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first request; turn away what is too much."""
        super().connection_made(transport)
        self._first_request = self.loop.call_later(FIRST_REQUEST_S, self._give_up)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.write(whole_answer(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; close some pages"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._first_request.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over; from here on the WebSocket's own pings see to silence."""
        self._first_request.cancel()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not HTTP with our error format."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()  # an answer is under way already
            return
        self.transport.write(whole_answer(HTTPStatus.BAD_REQUEST, msg))
        self.transport.close()

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSockets. Handshakes that fail before the app is asked carry our headers, too."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        accept = self.conn.accept

        def accept_with_headers(handshake: Handshake) -> HandshakeAnswer:
            answer = accept(handshake)
            if answer.status_code != 101:
                for name, value in secured([], content_policy()):
                    answer.headers[name.decode()] = value.decode()
            return answer

        self.conn.accept = accept_with_headers  # type: ignore[method-assign]

    def data_received(self, data: bytes) -> None:
        """Receive data; a handshake that cannot even be parsed is answered rather than left hanging."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.transport.write(whole_answer(HTTPStatus.BAD_REQUEST, "the WebSocket handshake is malformed"))
            self.transport.close()
