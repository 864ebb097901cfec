"""``python -m gui`` as a process: where it listens, what it prints, starting twice, ending, restarting."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.project.errors import InputError
from backend.project.settings import REPOSITORY
from backend.web.links import APP_RECORD
from backend.web.token import TOKEN, read_or_create_token
from gui.server import LOCK, running_app
from tests.web.servers import Server, app_server, installation, running


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The running web app."""
    with running(app_server(installation(tmp_path_factory.mktemp("app")))) as server:
        yield server


def again(server: Server, *options: str) -> subprocess.CompletedProcess[str]:
    """Start the app once more on the same state folder and wait for the end."""
    return subprocess.run(
        [sys.executable, "-m", "gui", *options],
        cwd=REPOSITORY,
        env={**os.environ, "LEKTRACK_STATE": str(server.state)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_log_gets_the_path_of_the_token_and_never_the_token(app: Server) -> None:
    assert app.log.startswith(f"Lektrack: http://127.0.0.1:{app.port}/ (the sign-in token is in {app.state}/token)\n")
    assert app.token not in app.log


def test_pages_health_metrics_and_files_are_behind_the_sign_in(app: Server) -> None:
    for path in ("/", "/videos", "/_stcore/health", "/_stcore/metrics", "/_stcore/host-config", "/static/js/x.js"):
        assert app.ask(path=path).status == 401, path
    assert app.ask_signed_in(path="/videos").status == 200
    assert app.ask_signed_in(path="/_stcore/health").body == b"ok"


def test_a_second_start_says_where_the_first_one_runs(app: Server) -> None:
    second = again(app, "--port", "1")
    assert second.returncode == 0, second.stderr
    assert f"http://127.0.0.1:{app.port}/" in second.stdout and app.token not in second.stdout + second.stderr
    assert running_app(app.state).pid == app.pid
    assert app.ask_signed_in().status == 200


def test_a_terminal_gets_the_address_with_the_token(app: Server) -> None:
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "gui"],
        cwd=REPOSITORY,
        env={**os.environ, "LEKTRACK_STATE": str(app.state)},
        stdout=terminal,
        stderr=subprocess.DEVNULL,
    ) as second:
        assert second.wait(60) == 0
    os.close(terminal)
    assert select.select([master], [], [], 5)[0]
    said = os.read(master, 4096).decode()
    os.close(master)
    assert said.strip() == f"Lektrack: {app.sign_in_url}" and TOKEN.search(said)


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = again(app_server(installation(tmp_path)), "--port", str(port))
    assert refused.returncode == 2 and refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert f"port {port}" in refused.stderr and f"process {os.getpid()}" in refused.stderr
    assert not (tmp_path / "state" / APP_RECORD).exists()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--port", "0"], "--port"),
        (["--port", "70000"], "--port"),
        (["--port", "x"], "--port"),
        (["--host", "nowhere"], "--host"),
        (["--host", "192.0.2.1"], "this machine does not have that address"),
        (["--prot", "8501"], "--prot"),
    ],
)
def test_bad_arguments_are_one_clear_line(tmp_path: Path, options: list[str], part: str) -> None:
    refused = again(app_server(installation(tmp_path)), *options)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and part in refused.stderr, refused.stderr


def test_a_record_left_by_a_killed_app_is_not_believed(tmp_path: Path) -> None:
    with running(app_server(installation(tmp_path))) as server:
        assert running_app(server.state).pid == server.pid
        server.kill()
        assert (server.state / APP_RECORD).exists()
        assert running_app(server.state) is None
        server.start()
        assert running_app(server.state).pid == server.pid
        assert server.stop() == 130
        assert not (server.state / APP_RECORD).exists() and running_app(server.state) is None


def test_a_record_that_names_a_living_stranger_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / APP_RECORD).write_text(json.dumps({"format": 1, "pid": os.getpid(), "address": "http://evil.example/"}))
    assert running_app(tmp_path) is None


def test_an_app_that_never_says_where_it_is_is_not_waited_for_forever(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from backend.project.locks import file_lock\n"
        "with file_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / LOCK)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(InputError, match="is starting"):
                running_app(tmp_path, wait_s=0.3)
        finally:
            holder.kill()


def test_four_starts_at_once_leave_one_app(tmp_path: Path) -> None:
    server = app_server(installation(tmp_path))
    environment = {**os.environ, "LEKTRACK_STATE": str(server.state)}
    started = [
        subprocess.Popen(
            server.command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(4)
    ]
    try:
        end = time.monotonic() + 60
        while sum(each.poll() is None for each in started) > 1 and time.monotonic() < end:
            time.sleep(0.1)
        alive = [each for each in started if each.poll() is None]
        assert len(alive) == 1 and running_app(server.state).pid == alive[0].pid
        for each in started:
            if each is not alive[0]:
                said = each.communicate()[0]
                assert each.returncode in (0, 2) and said.count("\n") == 1, said
    finally:
        for each in started:
            each.terminate()
            each.wait(15)
            each.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_request_and_says_so(tmp_path: Path, number: signal.Signals) -> None:
    with running(app_server(installation(tmp_path))) as server:
        assert server.stop(number) == 130
        assert "stopped on request" in server.log and "Traceback" not in server.log


def test_it_starts_from_any_folder(tmp_path: Path) -> None:
    server = app_server(installation(tmp_path))
    server.env = {"PYTHONPATH": str(REPOSITORY)}
    server.folder = tmp_path
    with running(server):
        assert server.ask_signed_in().status == 200


def test_settings_decide_where_it_is(tmp_path: Path) -> None:
    state = installation(tmp_path, path_prefix="lab", public_address="https://lek.example.org")
    server = app_server(state, base="/lab")
    with running(server):
        assert f"Lektrack: https://lek.example.org/lab/ (the sign-in token is in {state}/token)" in server.log
        assert server.ask_signed_in(path="/lab/videos").status == 200
        assert server.ask_signed_in(path="/lab/videos", host="lek.example.org").status == 200


def test_it_can_be_opened_to_the_network_and_asks_there_too(tmp_path: Path) -> None:
    server = app_server(installation(tmp_path), "--host", "0.0.0.0")
    with running(server):
        assert len(read_or_create_token(server.state)) >= 43
        name = f"{socket.gethostname()}:{server.port}"
        assert server.ask(host=name).status == 401
        headers = [("Authorization", f"Bearer {server.token}")]
        assert server.ask(headers=headers, host=name).status == 200
        assert server.ask(headers=headers, host=f"evil.example:{server.port}").status == 403


def test_a_value_in_the_settings_that_is_not_allowed_is_said_before_anything_starts(tmp_path: Path) -> None:
    state = installation(tmp_path)
    settings = state / "settings.toml"
    settings.write_text(settings.read_text().replace("cpu_slots = 1", "cpu_slots = 0"))
    refused = again(app_server(state))
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "cpu_slots" in refused.stderr


def test_a_usage_text_is_there() -> None:
    helped = subprocess.run(
        [sys.executable, "-m", "gui", "--help"], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert helped.returncode == 0 and "--access-log" in helped.stdout
