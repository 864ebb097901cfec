"""The servers under test, each started once."""

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import unused_port
from tests.web.in_process import GATE, InProcess
from tests.web.run_server import KINDS
from tests.web.servers import Server, installation, running


def server_of(kind: str, state: Path, base: str = "") -> Server:
    """Return a server of one kind, not started yet."""
    port = unused_port()
    return Server([sys.executable, "-m", "tests.web.run_server", kind, str(port)], state, port, base, kind=kind)


@pytest.fixture(scope="session", params=list(KINDS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each kind of server in turn, or the gate alone where a test names it. Tests must leave its token as it is."""
    if request.param == GATE:
        yield InProcess(installation(tmp_path_factory.mktemp(GATE)), unused_port())
        return
    with running(server_of(request.param, installation(tmp_path_factory.mktemp(request.param)))) as started:
        yield started


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A small service of our own, for what does not depend on the kind."""
    with running(server_of("service", installation(tmp_path_factory.mktemp("alone")))) as started:
        yield started


@functools.cache
def routes_of(kind: str) -> list[dict]:
    """Return every route of a kind of server, asked in a process of its own, once."""
    command = [sys.executable, "-m", "tests.web.run_server", kind, "routes"]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
