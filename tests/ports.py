"""Ports for the tests' own servers, so that nothing depends on which programs of the machine listen where.

They are drawn below the range from which systems give ports to outgoing connections (32768 on, on Linux), so that no
connection of another process takes one between the moment it was free and the moment it is listened on.
"""

import secrets
import socket
from typing import Any

LOWEST, HIGHEST = 10_000, 32_000
N_SERVICES = 21  # as many ports as the settings have by default


def is_free(port: int) -> bool:
    """Tell whether ``port`` can be listened on, on every interface."""
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def unused_ports(n: int) -> range:
    """Return ``n`` ports in a row that were free a moment ago."""
    for _ in range(1000):
        first = LOWEST + secrets.randbelow(HIGHEST - LOWEST - n)
        if all(is_free(port) for port in range(first, first + n)):
            return range(first, first + n)
    raise OSError(f"no {n} free ports in a row from {LOWEST} to {HIGHEST}")


def unused_port() -> int:
    """Return a port that was free a moment ago."""
    return unused_ports(1)[0]


def own_ports() -> dict[str, Any]:
    """Return ``app_port`` and ``port_range`` for the settings of a temporary installation."""
    app, *services = unused_ports(1 + N_SERVICES)
    return {"app_port": app, "port_range": (services[0], services[-1])}
