"""Which names and origins are a server's own, by settings."""

import socket

import psutil
import pytest

from backend.project.settings import Settings
from backend.web import hosts as hosts_module
from backend.web.hosts import OwnHosts

PUBLIC = Settings(public_address="https://Lek.example.org", path_prefix="lab")


@pytest.mark.parametrize(
    ("address", "host", "allowed"),
    [
        ("https://lek.example.org", "lek.example.org", True),
        ("https://lek.example.org", "LEK.example.org:443", True),
        ("https://lek.example.org", "lek.example.org:80", False),
        ("https://lek.example.org", "lek.example.org:8501", False),
        ("https://lek.example.org", "lek.example.org.", False),
        ("https://lek.example.org", "x.lek.example.org", False),
        ("https://lek.example.org:8443", "lek.example.org:8443", True),
        ("https://lek.example.org:8443", "lek.example.org", False),
        ("http://lek.example.org", "lek.example.org:80", True),
        ("https://[2001:db8::1]", "[2001:db8::1]", True),
        ("", "lek.example.org", False),
    ],
)
def test_the_public_address_is_ours_with_its_own_port(address: str, host: str, allowed: bool) -> None:
    assert OwnHosts(Settings(public_address=address), 8501).allows(host) is allowed


def test_behind_a_proxy_the_loopback_names_still_hold() -> None:
    hosts = OwnHosts(PUBLIC, 8501)
    assert hosts.allows("127.0.0.1:8501") and hosts.allows("lek.example.org")
    assert hosts.is_public("lek.example.org") and not hosts.is_public("127.0.0.1:8501")


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("https://lek.example.org", "lek.example.org", True),
        ("https://lek.example.org", "127.0.0.1:8501", True),  # a proxy that does not pass the Host on
        ("http://lek.example.org", "lek.example.org", False),
        ("https://lek.example.org:8443", "lek.example.org", False),
        ("https://evil.example", "lek.example.org", False),
        ("null", "lek.example.org", False),
        ("http://127.0.0.1:8501", "127.0.0.1:8501", True),
        ("http://127.0.0.1:8881", "127.0.0.1:8501", False),
    ],
)
def test_the_origin_is_that_of_the_public_address_or_of_the_host(origin: str, host: str, allowed: bool) -> None:
    assert OwnHosts(PUBLIC, 8501).allows_origin(origin, host) is allowed


def test_a_bind_address_is_ours() -> None:
    hosts = OwnHosts(Settings(bind_address="192.0.2.7"), 8501)
    assert hosts.allows("192.0.2.7:8501") and hosts.allows("localhost:8501")
    assert not hosts.allows("192.0.2.8:8501")
    assert OwnHosts(Settings(bind_address="2001:db8::7"), 8501).allows("[2001:db8::7]:8501")


def test_bound_to_all_interfaces_the_machines_own_names_are_ours_and_no_others() -> None:
    hosts = OwnHosts(Settings(bind_address="0.0.0.0"), 8501)
    addresses = [
        each.address for found in psutil.net_if_addrs().values() for each in found if each.family == socket.AF_INET
    ]
    assert all(hosts.allows(f"{name}:8501") for name in [*addresses, socket.gethostname(), "localhost"])
    assert not hosts.allows("0.0.0.0:8501") and not hosts.allows("evil.example:8501")
    assert not OwnHosts(Settings(), 8501).allows(f"{socket.gethostname()}-x:8501")


def test_a_changed_network_is_seen_within_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(hosts_module.time, "monotonic", lambda: now[0])
    hosts = OwnHosts(Settings(bind_address="0.0.0.0"), 8501)
    monkeypatch.setattr(hosts_module.socket, "gethostname", lambda: "renamed")
    assert not hosts.allows("renamed:8501")
    now[0] = hosts_module.LOOK_AGAIN_S + 1
    assert hosts.allows("renamed:8501")


def test_port_80_may_be_left_out() -> None:
    assert OwnHosts(Settings(), 80).allows("localhost")


def test_names_are_listed_for_streamlit() -> None:
    assert OwnHosts(PUBLIC, 8501).names == ["127.0.0.1", "::1", "lek.example.org", "localhost"]
