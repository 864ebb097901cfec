"""The sample configurations of nginx and Caddy before real servers: TLS, path prefix, WebSockets, services."""

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from backend.project.settings import load_settings
from backend.web.listen import free_port
from tests.ports import unused_port
from tests.web.conftest import server_of
from tests.web.servers import Server, installation, running

pytestmark = pytest.mark.slow
SAMPLES = Path(__file__).parents[2] / "apptainer"
HOST = "lek.example.org"
ORIGIN = f"https://{HOST}"


@dataclass(frozen=True)
class Proxied:
    """A proxy on ``port`` before the app and a service."""

    port: int
    app: Server
    service: Server

    def ask(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        with httpx.Client(verify=False, timeout=20) as client:  # noqa: S501 - a certificate of the test's own
            sent = {"Host": HOST, "Accept": "text/html", **headers}
            url = f"https://127.0.0.1:{self.port}{path}"
            return client.request(method, url, headers=sent, extensions={"sni_hostname": HOST})


def nginx(folder: Path, port: int, app: int) -> list[str]:
    text = (SAMPLES / "nginx.conf").read_text()
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace(
        "listen 80;", f"listen 127.0.0.1:{unused_port()};"
    )
    text = re.sub(r"/etc/ssl/lek\.example\.org\.(pem|key)", lambda found: f"{folder}/cert.{found[1]}", text)
    text = text.replace("127.0.0.1:8501", f"127.0.0.1:{app}")
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{text}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, app: int) -> list[str]:
    text = (SAMPLES / "Caddyfile").read_text().replace("127.0.0.1:8501", f"127.0.0.1:{app}")
    text = text.replace(
        f"\n{HOST} {{", f"\nhttps://{HOST}:{port} {{\n\tbind 127.0.0.1\n\ttls {folder}/cert.pem {folder}/cert.key"
    )
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@pytest.fixture(scope="module", params=[nginx, caddy], ids=lambda make: make.__name__)
def proxied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Return the app and a service behind the real proxy, configured by the sample."""
    program = request.param.__name__
    if shutil.which(program) is None or shutil.which("openssl") is None:
        pytest.skip(f"{program} or openssl is not installed")
    folder = tmp_path_factory.mktemp(program)
    names = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    keys = ["-keyout", str(folder / "cert.key"), "-out", str(folder / "cert.pem")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *keys, *names],
        check=True,
        capture_output=True,
    )
    state = installation(folder, public_address=ORIGIN, path_prefix="lektrack")
    app, service = server_of("app", state), server_of("service", state)
    service.port = free_port(load_settings(state))
    service.command[-1] = str(service.port)
    port = unused_port()
    with running(app), running(service), contextlib.ExitStack() as held:
        command = request.param(folder, port, app.port)
        log = held.enter_context(open(folder / "proxy.log", "wb"))
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={**os.environ, "HOME": str(folder)})
        held.callback(process.wait)
        held.callback(process.terminate)
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < end and process.poll() is None, (folder / "proxy.log").read_text()
            time.sleep(0.05)
        yield Proxied(port, app, service)


def test_signing_in_by_link_and_page_under_the_prefix(proxied: Proxied):
    refused = proxied.ask("/lektrack/")
    assert refused.status_code == 401 and 'action="/lektrack/-/sign-in"' in refused.text
    answer = proxied.ask(f"/lektrack/?token={proxied.app.token}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/lektrack/")
    cookie = answer.headers["set-cookie"]
    assert "Path=/lektrack;" in cookie and cookie.endswith("Secure")
    page = proxied.ask("/lektrack/", Cookie=cookie.partition(";")[0])
    assert page.status_code == 200 and "<script" in page.text


def test_the_service_is_reached_by_its_port_and_knows_its_path(proxied: Proxied):
    path = f"/lektrack/port/{proxied.service.port}/deep/page"
    assert proxied.ask(path).status_code == 401
    answer = proxied.ask(path, Cookie=proxied.service.cookie)
    assert answer.status_code == 200
    assert answer.text.startswith("https ") and f"/lektrack/port/{proxied.service.port}" in answer.text


def test_no_other_port_of_the_machine_is_reached(proxied: Proxied):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(0.5)
        answer = proxied.ask(f"/lektrack/port/{stranger.getsockname()[1]}/", Cookie=proxied.app.cookie)
        with pytest.raises(TimeoutError):
            stranger.accept()
    assert answer.status_code < 500


@pytest.mark.parametrize("kind", ["app", "service"])
def test_websockets_go_through(proxied: Proxied, kind: str):
    is_app = kind == "app"
    path = "/lektrack/_stcore/stream" if is_app else f"/lektrack/port/{proxied.service.port}/stream"
    trusted = ssl.create_default_context()
    trusted.check_hostname, trusted.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", proxied.port)) as plain,
        connect(
            f"wss://{HOST}{path}",
            sock=plain,
            ssl=trusted,
            additional_headers={"Origin": ORIGIN, "Cookie": proxied.app.cookie},
            open_timeout=20,
        ) as stream,
    ):
        if not is_app:
            stream.send("ruff")
            assert stream.recv(timeout=10) == "ruff"


def test_a_foreign_origin_is_refused_through_the_proxy_too(proxied: Proxied):
    answer = proxied.ask("/lektrack/-/sign-out", "POST", Cookie=proxied.app.cookie, Origin="https://evil.example")
    assert answer.status_code == 403
