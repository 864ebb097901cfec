"""Free ports, and what is said of a port that is taken."""

import os
import socket

import pytest

from backend.project.errors import InputError
from backend.project.settings import Settings
from backend.web.listen import free_port, listen
from tests.ports import unused_port, unused_ports


def test_the_first_free_port_of_the_range_is_taken() -> None:
    first, *_, last = unused_ports(4)
    settings = Settings(port_range=(first, last))
    assert free_port(settings) == first
    with listen("127.0.0.1", first):
        assert free_port(settings) > first


def test_ports_that_are_promised_already_are_left_out() -> None:
    first, *_, last = unused_ports(6)
    assert free_port(Settings(port_range=(first, last)), taken=[first]) > first


def test_an_exhausted_range_is_said_so() -> None:
    port = unused_port()
    with listen("127.0.0.1", port), pytest.raises(InputError, match=f"ports {port} to {port} are all taken"):
        free_port(Settings(port_range=(port, port)))


def test_who_holds_a_port_is_named() -> None:
    port = unused_port()
    with listen("127.0.0.1", port), pytest.raises(InputError, match=f"process {os.getpid()} .*choose another port"):
        listen("127.0.0.1", port)


def test_a_port_held_on_all_interfaces_is_not_free() -> None:
    port = unused_port()
    with listen("0.0.0.0", port), pytest.raises(InputError):
        free_port(Settings(port_range=(port, port)))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(InputError, match="this machine does not have that address"):
        listen("192.0.2.1", unused_port())


def test_a_port_in_time_wait_can_be_listened_on_again() -> None:
    port = unused_port()
    with listen("127.0.0.1", port) as listener, socket.create_connection(("127.0.0.1", port)) as client:
        listener.accept()[0].close()
        client.recv(1)
    listen("127.0.0.1", port).close()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6_is_listened_on() -> None:
    try:
        listen("::1", unused_port()).close()
    except InputError as error:
        assert "does not have that address" in str(error)  # noqa: PT017 - IPv6 may be switched off
