"""TensorBoard behind our own sign-in: it shows what a training wrote, and nothing to strangers."""

import asyncio
import io
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from backend.project.settings import Settings
from backend.training.tensorboard import MAX_BODY_BYTES, protected
from tests.ports import unused_port
from tests.web.servers import Server, installation, running


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """The service on event files of two points."""
    folder = tmp_path_factory.mktemp("board")
    with SummaryWriter(str(folder / "logs")) as writer:
        for step in (1, 2):
            writer.add_scalar("loss/train", 1.0 / step, step)
    port = unused_port()
    command = [sys.executable, "-m", "backend.training.tensorboard", "--logdir", str(folder / "logs")]
    with running(Server([*command, "--port", str(port)], installation(folder), port)) as server:
        yield server


def test_it_shows_what_was_written_to_who_is_signed_in(board):
    assert "loss/train" in board.ask_signed_in(path="/data/plugin/scalars/tags").json["."]
    points = board.ask_signed_in(path="/data/plugin/scalars/scalars?run=.&tag=loss%2Ftrain").json
    assert [point[1:] for point in points] == [[1, 1.0], [2, 0.5]]
    assert board.ask_signed_in(path="/").status == 200


def test_strangers_see_nothing(board):
    for path in ("/", "/data/plugin/scalars/tags", "/data/logdir"):
        assert board.ask(path=path).status == 401


def test_it_asks_nobody_else_and_runs_no_text_as_code(board):
    policy = board.ask_signed_in().headers["content-security-policy"]
    assert "unsafe-eval" not in policy
    assert "https:" not in policy and "*" not in policy
    assert "frame-ancestors 'none'" in policy


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    command = [sys.executable, "-m", "backend.training.tensorboard", "--logdir", str(tmp_path / "none")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "there is no such folder" in ended.stderr


def ask(application, state: Path, monkeypatch, body: bytes = b"", gone: bool = False) -> list[dict]:
    """Return the messages with which a WSGI application behind the gate answers one signed-in request."""
    monkeypatch.setenv("LEKTRACK_STATE", str(state))
    token = "t" * 43
    (state / "token").write_text(token)
    (state / "token").chmod(0o600)
    messages: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict) -> None:
        if gone:
            raise OSError("the reader has gone")
        messages.append(message)

    host, bearer = (b"host", b"127.0.0.1:80"), (b"authorization", f"Bearer {token}".encode())
    headers = [host, bearer, (b"cookie", b"a=b"), (b"x-other", b"1")]
    common = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "query_string": b"a=1"}
    scope = {**common, "path": "/x", "raw_path": b"/x", "headers": headers, "server": ("127.0.0.1", 80)}
    app = protected(application, Settings(), 80)
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 60))
    return messages


def test_an_application_gets_the_request_without_credentials_and_its_policy_is_ours(tmp_path, monkeypatch):
    seen = {}

    def application(environ, start_response):
        seen.update(environ, body=environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Security-Policy", "default-src *")])
        return [b"piece"] * 50

    start, *pieces = ask(application, tmp_path, monkeypatch, b"hello")
    assert (seen["REQUEST_METHOD"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("POST", "/x", "a=1")
    assert (seen["body"], seen["HTTP_X_OTHER"]) == (b"hello", "1")
    assert not {"HTTP_AUTHORIZATION", "HTTP_COOKIE"} & set(seen)
    assert not {b"authorization", b"cookie"} & {name for name, _ in seen["asgi.scope"]["headers"]}
    assert start["status"] == 200 and b"default-src *" not in dict(start["headers"]).values()
    assert b"".join(piece["body"] for piece in pieces) == b"piece" * 50


def test_a_body_that_is_too_large_is_refused_while_it_is_read(tmp_path, monkeypatch):
    def application(environ, start_response):
        environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"all of it"]

    assert ask(application, tmp_path, monkeypatch, b"a" * MAX_BODY_BYTES)[0]["status"] == 200
    start, body = ask(application, tmp_path, monkeypatch, b"a" * (MAX_BODY_BYTES + 1))
    assert start["status"] == 413 and b"too large" in body["body"]


def test_an_application_that_fails_is_an_error_of_ours(tmp_path, monkeypatch, caplog):
    def application(environ, start_response):
        raise RuntimeError("no such run")

    start, body = ask(application, tmp_path, monkeypatch)
    assert start["status"] == 500 and b'"error"' in body["body"]
    assert "no such run" in caplog.text and b"no such run" not in body["body"]


def test_a_reader_who_goes_holds_no_thread(tmp_path, monkeypatch):
    closed = io.BytesIO(b"line\n" * 5000)

    def application(environ, start_response):
        start_response("200 OK", [])
        return closed

    assert ask(application, tmp_path, monkeypatch, gone=True) == []
    assert closed.closed, "the application's answer was read to its end"
