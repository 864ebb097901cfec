"""The readiness probe: is it up, is it ours, and does a stranger on the port learn anything?"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend.project.settings import Settings
from backend.web.gate import protect
from backend.web.readiness import SCHEME, probe
from backend.web.token import derive, read_or_create_token
from tests.ports import unused_port
from tests.web.run_server import service as make_service
from tests.web.servers import Server, wait_ready


def test_a_ready_server_proves_that_it_is_ours(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}"
    assert probe(url, server.token) and probe(f"{url}/-/ready", server.token)
    assert not probe(url, "another-token-of-enough-length")


def test_the_probe_signs_in_to_nothing_else(server: Server) -> None:
    nonce = "a" * 32
    proof = ("Authorization", f"{SCHEME} {nonce} {derive(server.token, f'probe:{server.port}:{nonce}')}")
    assert server.ask(path="/-/ready", headers=[proof]).json["ready"] is True
    assert server.ask(path="/", headers=[proof]).status == 401
    elsewhere = ("Authorization", f"{SCHEME} {nonce} {derive(server.token, f'probe:{server.port + 1}:{nonce}')}")
    assert server.ask(path="/-/ready", headers=[elsewhere]).status == 401


@pytest.fixture
def stranger() -> Iterator[tuple[int, list[bytes]]]:
    """A listener that says it is ready and keeps what it hears."""
    heard: list[bytes] = []
    body = b'{"ready": true, "proof": "' + b"0" * 64 + b'"}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    listener = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(answer)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield listener.getsockname()[1], heard
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_a_stranger_on_the_port_is_not_taken_for_ours_and_hears_no_secret(
    stranger: tuple[int, list[bytes]], service: Server
) -> None:
    port, heard = stranger
    assert not probe(f"http://127.0.0.1:{port}", service.token)
    assert heard and service.token.encode() not in heard[0]
    assert derive(service.token, "cookie").encode() not in heard[0]
    line = next(line for line in heard[0].decode().split("\r\n") if line.startswith("Authorization"))
    replayed = tuple(line.split(": ", 1))
    assert service.ask(path="/", headers=[replayed]).status == 401
    assert service.ask(path="/-/ready", headers=[replayed]).status == 401


def test_nothing_there_is_not_ready() -> None:
    assert not probe(f"http://127.0.0.1:{unused_port()}", "x" * 43)


def test_silence_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not probe(f"http://127.0.0.1:{silent.getsockname()[1]}", "x" * 43, timeout_s=0.2)


def test_waiting_ends(service: Server) -> None:
    assert wait_ready(f"http://127.0.0.1:{service.port}", service.token, 1.0)
    assert not wait_ready(f"http://127.0.0.1:{unused_port()}", service.token, 0.3)


def test_a_server_that_is_still_loading_says_so(tmp_path: Path) -> None:
    loaded: list[bool] = []
    app = protect(make_service(), settings=Settings(), port=80, state=tmp_path, ready=lambda: bool(loaded))

    async def ask() -> int:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            headers = {"Authorization": f"Bearer {read_or_create_token(tmp_path)}"}
            return (await client.get("/-/ready", headers=headers)).status_code

    assert asyncio.run(ask()) == 503
    loaded.append(True)
    assert asyncio.run(ask()) == 200
