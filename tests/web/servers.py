"""Real servers in processes of their own, and plain requests to them, for the tests of everything that listens."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.project.settings import REPOSITORY, Settings, save_settings
from backend.web.readiness import probe
from backend.web.sign_in import SignIn
from backend.web.token import read_or_create_token, token_source
from tests.ports import own_ports, unused_port

START_S = 60.0  # Streamlit takes three seconds on an idle machine
END_S = 60.0  # a server is gone within ten on a machine that is not busy; what tests let it do lasts far longer

STREAMS = {"service": "/stream", "app": "/_stcore/stream"}  # the WebSockets of each kind of server
HANDSHAKE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


def wait_ready(url: str, token: str, timeout_s: float) -> bool:
    """Probe until the server is ready (True) or ``timeout_s`` are over (False)."""
    end = time.monotonic() + timeout_s
    while not probe(url, token):
        if time.monotonic() >= end:
            return False
        time.sleep(0.1)
    return True


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Server:
    """A server process of a temporary installation."""

    command: list[str]
    state: Path
    port: int
    base: str = ""
    process: subprocess.Popen[bytes] | None = None
    env: dict[str, str] = field(default_factory=dict)
    folder: Path = REPOSITORY
    kind: str = ""

    @property
    def base_url(self) -> str:
        """The address of the start page, without the token."""
        return f"http://127.0.0.1:{self.port}{self.base}/"

    @property
    def token(self) -> str:
        """The installation's token."""
        return read_or_create_token(self.state)

    @property
    def sign_in_url(self) -> str:
        """The address that signs a browser in."""
        return f"{self.base_url}?token={self.token}"

    @property
    def cookie(self) -> str:
        """The Cookie header of a signed-in browser."""
        return SignIn(token_source(self.state), self.state).set_cookie().partition(";")[0]

    @property
    def log_path(self) -> Path:
        """The file that takes what the server prints."""
        return self.state / "server.log"

    @property
    def log(self) -> str:
        """What the server has printed so far."""
        return self.log_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> "Server":
        """Start the server and wait until it answers."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, "LEKTRACK_STATE": str(self.state), **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        assert wait_ready(f"http://127.0.0.1:{self.port}", self.token, START_S), self.log
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the server and return its exit code."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            return self.process.wait(END_S)
        finally:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """End the server as a power cut would."""
        self.stop(signal.SIGKILL)

    def ask(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        host: str | None = "",
    ) -> Answer:
        """Send one request with exactly these headers, plus Host (None: without one) and Content-Length."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if host is not None:
                connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            for name, value in headers:
                connection.putheader(name, value)
            if body:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            read = b"" if answer.status == 101 else answer.read()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, read)
        finally:
            connection.close()

    def ask_signed_in(self, method: str = "GET", path: str = "/", **rest: Any) -> Answer:
        """Send one request as a program does, with the token."""
        return self.ask(method, path, [("Authorization", f"Bearer {self.token}")], **rest)


def installation(folder: Path, **settings: Any) -> Path:
    """Make a state folder with settings for a project of its own, and return it."""
    state, project = folder / "state", folder / "project"
    state.mkdir(mode=0o700)
    project.mkdir()
    save_settings(Settings(**{"project_folder": project, **own_ports(), **settings}), state)
    return state


def app_server(state: Path, *options: str, port: int | None = None, base: str = "") -> Server:
    """Return the web app, not started yet."""
    port = port or unused_port()
    return Server([sys.executable, "-m", "gui", "--port", str(port), *options], state, port, base)


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Start the server, and end it in any case."""
    try:
        yield server.start()
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
