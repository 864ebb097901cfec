"""A server as a process: what it logs, how it ends, what it leaks, whom it waits for."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from backend.web import protocol, serve
from tests.jobs.tools import wait_until
from tests.web.conftest import server_of
from tests.web.servers import HANDSHAKE, REPOSITORY, STREAMS, Server, installation, running

SESSIONS = 200


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Server]:
    """A service that a test may end."""
    with running(server_of("service", installation(tmp_path))) as server:
        yield server


def test_logs_hold_no_token_and_no_query(server: Server) -> None:
    kind = server.kind
    begun = len(server.log)  # other tests send it anything
    with httpx.Client(follow_redirects=True) as client:
        client.get(f"{server.base_url}log-test?token={server.token}&secret=42")
        client.get(f"{server.base_url}log-test?token=wrong-{server.token}")
        client.post(f"{server.base_url}-/sign-in", data={"token": server.token})
    server.ask(path=f"/log-test?token={server.token}", headers=[("Origin", "null")])
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Cookie": server.cookie}
    if kind in STREAMS:
        address = f"ws://127.0.0.1:{server.port}{STREAMS[kind]}?token={server.token}&secret=42"
        with connect(address, additional_headers=own):
            pass
        wait_until(lambda: re.search(rf"INFO 127\.0\.0\.1 WebSocket {STREAMS[kind]} 101 ", server.log))
    wait_until(lambda: "GET /log-test" in server.log[begun:])
    log = server.log[begun:]
    assert re.search(r"INFO 127\.0\.0\.1 GET /log-test 303 \d+ ms", log)
    assert server.token not in log and "secret" not in log and "?" not in log
    assert server.cookie.split("=")[1] not in log


def test_log_lines_cannot_be_forged(service: Server) -> None:
    service.ask(path="/a%0a2026-01-01%20INFO%20forged", headers=[("X-Forwarded-For", "1.2.3.4\tforged")])
    wait_until(lambda: "/a%0a2026" in service.log)  # it is written after the answer
    assert not re.search(r"^2026-01-01 INFO forged", service.log, re.MULTILINE)


def test_the_token_is_in_no_argument_list(server: Server) -> None:
    assert not any(server.token in part for part in psutil.Process(server.pid).cmdline())


def test_a_browser_that_goes_away_is_no_error(service: Server) -> None:
    head = f"POST /api/edit HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nAuthorization: Bearer {service.token}\r\n"
    upgrade = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE)
    for said in (
        f"{head}Content-Length: 100\r\n\r\n[1, 2",
        f"{head.replace('POST /api/edit', 'GET /slow')}\r\n",
        f"{head.replace('POST /api/edit', 'GET /stream')}{upgrade}\r\n",
    ):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(said.encode())
            if "edit" not in said:
                assert connection.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 101")
    assert service.ask_signed_in().status == 200
    assert not re.search(r"ERROR /(slow|stream|api/edit)", service.log) and "Exception in ASGI" not in service.log


def test_it_listens_on_loopback_only(server: Server) -> None:
    listening = [each.laddr for each in psutil.Process(server.pid).net_connections("tcp") if each.status == "LISTEN"]
    assert [(each.ip, each.port) for each in listening] == [("127.0.0.1", server.port)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_though_answers_and_websockets_are_open(own_service: Server, number: signal.Signals) -> None:
    own = {"Origin": f"http://127.0.0.1:{own_service.port}", "Cookie": own_service.cookie}
    with (
        connect(f"ws://127.0.0.1:{own_service.port}/stream", additional_headers=own),
        httpx.stream("GET", f"{own_service.base_url}slow", headers=own) as answer,
        socket.create_connection(("127.0.0.1", own_service.port)) as silent,
    ):
        assert answer.status_code == 200
        silent.sendall(b"GET / HT")
        assert own_service.stop(number) == 130  # the answer would go on for ten minutes
    assert serve.GRACE_S < serve.LAST_RESORT_S < 10


def test_the_port_is_free_again_at_once(own_service: Server) -> None:
    own_service.ask_signed_in()
    own_service.stop()
    own_service.start()
    assert own_service.ask_signed_in().status == 200


def open_things(server: Server) -> int:
    """Return how many descriptors and threads the server has."""
    process = psutil.Process(server.pid)
    return process.num_fds() + process.num_threads()


def polled(count: Callable[[], int], most: int) -> int:
    """Return ``count()`` once it is ``most`` or less, or after a minute."""
    end = time.monotonic() + 60
    while (found := count()) > most and time.monotonic() < end:
        time.sleep(0.1)
    return found


def test_two_hundred_sessions_of_a_service_leave_nothing_open(service: Server) -> None:
    own = {"Origin": f"http://127.0.0.1:{service.port}", "Cookie": service.cookie}

    def session() -> None:
        service.ask(headers=[("Cookie", service.cookie)])
        with connect(f"ws://127.0.0.1:{service.port}/stream", additional_headers=own) as stream:
            stream.send("a")
            assert stream.recv(timeout=5) == "a"

    for _ in range(10):  # threads and files that are opened once
        session()
    before = open_things(service)
    for _ in range(SESSIONS):
        session()
    assert polled(lambda: open_things(service), before + 2) <= before + 2


@pytest.mark.parametrize(
    "runs_page", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["that only connect", "that run a page"]
)
def test_two_hundred_sessions_of_the_web_app_leave_nothing_open(tmp_path: Path, runs_page: bool) -> None:
    """Streamlit keeps a session that lost its browser for two minutes, for the browser to come back to; here for one
    second. The next session that ends clears the old ones away.
    """
    script = tmp_path / "small.py"
    script.write_text("import streamlit as st; st.button('a button')")
    server = server_of("app", installation(tmp_path))
    server.env = {"TEST_SCRIPT": str(script), "TEST_FORGET_SESSIONS_S": "1"}
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Cookie": server.cookie}
    rerun = BackMsg()
    rerun.rerun_script.SetInParent()

    def session() -> None:
        server.ask(headers=[("Cookie", server.cookie)])
        url = f"ws://127.0.0.1:{server.port}/_stcore/stream"
        with connect(url, additional_headers=own, subprotocols=[Subprotocol("streamlit")], max_size=None) as stream:
            stream.send(rerun.SerializeToString() if runs_page else b"")
            while runs_page and ForwardMsg.FromString(stream.recv(timeout=20)).WhichOneof("type") != "script_finished":
                pass

    def cleared() -> int:
        time.sleep(1.2)  # until the kept sessions are too old; there is nothing to poll for
        session()
        return open_things(server)

    with running(server):
        with ThreadPoolExecutor(8) as browsers:  # threads and files that are opened once
            list(browsers.map(lambda _: session(), range(16)))
        before = cleared()
        with ThreadPoolExecutor(8) as browsers:
            list(browsers.map(lambda _: session(), range(SESSIONS)))
        assert polled(cleared, before + 2) <= before + 2  # threads that have nothing to do end after ten seconds


def with_limit(server: Server, module: str, name: str, value: float, first: str = "pass") -> Server:
    """Return the server with a limit of a module of `backend.web` set so low that a test can reach it."""
    code = (
        f"import runpy, sys, threading, time, backend.web.{module} as module; module.{name} = {value}; {first};"
        "sys.argv = sys.argv[1:]; runpy.run_module('tests.web.run_server', run_name='__main__')"
    )
    server.command = [sys.executable, "-c", code, "x", *server.command[-2:]]
    return server


def test_a_connection_that_says_nothing_is_closed(tmp_path: Path) -> None:
    assert protocol.FIRST_REQUEST_S <= 60
    with running(
        with_limit(server_of("service", installation(tmp_path)), "protocol", "FIRST_REQUEST_S", 0.3)
    ) as server:
        for said in (b"", b"GET / HTTP/1.1\r\nHost: 127"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                connection.sendall(said)
                assert connection.recv(100) == b""


def test_too_many_connections_are_turned_away_and_told_so(tmp_path: Path) -> None:
    with running(with_limit(server_of("service", installation(tmp_path)), "protocol", "MAX_CONNECTIONS", 5)) as server:
        with contextlib.ExitStack() as held:
            for _ in range(5):
                held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            answer = server.ask_signed_in()
            assert answer.status == 503 and answer.json["error"]["message"].startswith("too many connections")
        end = time.monotonic() + 60
        while server.ask_signed_in().status != 200 and time.monotonic() < end:
            time.sleep(0.05)
        assert server.ask_signed_in().status == 200


def test_a_thread_that_does_not_end_does_not_hold_up_the_process(tmp_path: Path) -> None:
    assert serve.LAST_RESORT_S < 10
    endless = "threading.Thread(target=time.sleep, args=(600,)).start()"
    server = with_limit(server_of("service", installation(tmp_path)), "serve", "LAST_RESORT_S", 1.0, endless)
    with running(server):
        assert server.stop() == 130


def test_a_page_that_computes_does_not_hold_up_the_end(tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text("import time\nprint('computing', flush=True)\ntime.sleep(600)\n")
    server = server_of("app", installation(tmp_path))
    server.env = {"TEST_SCRIPT": str(script)}
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Cookie": server.cookie}
    rerun = BackMsg()
    rerun.rerun_script.SetInParent()
    with running(server), connect(f"ws://127.0.0.1:{server.port}/_stcore/stream", additional_headers=own) as stream:
        stream.send(rerun.SerializeToString())
        end = time.monotonic() + 60
        while "computing" not in server.log and time.monotonic() < end:
            time.sleep(0.05)
        assert server.stop() == 130  # the page would go on for ten minutes


def test_a_proxy_on_this_machine_names_the_client_in_the_log(service: Server) -> None:
    service.ask(path="/who", headers=[("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")])
    assert re.search(r"INFO 203\.0\.113\.9 GET /who 401", service.log)


def test_importing_the_probe_is_cheap() -> None:
    code = "import sys, backend.web.readiness; print({'starlette', 'uvicorn', 'streamlit'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
