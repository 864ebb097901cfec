"""The default ports stand once in Python, and again in files of other programs, which must say the same."""

import re
from pathlib import Path

import pytest

from backend.project.ports import APP_PORT, SERVICE_PORTS
from backend.project.settings import Settings

APPTAINER = Path(__file__).resolve().parents[2] / "apptainer"
FIRST, LAST = SERVICE_PORTS


def test_settings_begin_with_them():
    settings = Settings()
    assert (settings.app_port, settings.port_range) == (APP_PORT, SERVICE_PORTS)


def test_start_sh_opens_these_ports():
    text = (APPTAINER / "start.sh").read_text()
    assert f" port={APP_PORT} " in text
    assert f"port < {FIRST} || port > {LAST}" in text
    assert f"{FIRST}-{LAST}:{FIRST}-{LAST}" in text


@pytest.mark.parametrize("name", ["Caddyfile", "nginx.conf"])
def test_a_proxy_passes_exactly_these_ports_on(name):
    text = (APPTAINER / name).read_text()
    assert f"127.0.0.1:{APP_PORT}" in text
    services = re.compile(re.search(r"\((?:\?<service>)?(88[^)]*)\)/", text)[1])
    passed = [port for port in range(1, 65536) if services.fullmatch(str(port))]
    assert passed == list(range(FIRST, LAST + 1))
