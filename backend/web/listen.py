"""Ports: a free one for a service, and a clear line when the one that is wanted is taken."""

import errno
import socket
from collections.abc import Iterable

import psutil

from backend.project.errors import InputError
from backend.project.settings import Settings

BACKLOG = 128  # connections that may wait to be accepted; the kernel's own default limit is of this order


def free_port(settings: Settings, taken: Iterable[int] = ()) -> int:
    """Return the first port of the settings' range that can be bound and is not in ``taken``.

    Raises
    ------
    InputError
        If there is none.
    """
    first, last = settings.port_range
    reserved = set(taken)
    for port in range(first, last + 1):
        if port in reserved:
            continue
        try:
            listen(settings.bind_address, port).close()
        except InputError:
            continue
        return port
    raise InputError(f"ports {first} to {last} are all taken; stop a service or widen the port range in Settings")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on ``host`` (an address) and ``port``.

    Raises
    ------
    InputError
        If the port is taken (with the process that holds it, where that can be seen), not ours to bind, or the address
        is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for old connections
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise InputError(f"cannot listen on {host} port {port}: {_reason(error, port)}") from error
    return listener


def _reason(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"the port is taken by {_holder(port)}; end that or choose another port"
    if error.errno == errno.EACCES:
        return "ports below 1024 are for root; choose a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return error.strerror or str(error)


def _holder(port: int) -> str:
    """Name the process that listens on ``port``, as far as this user may see it."""
    try:
        found = [
            each.pid
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid
        ]
        if not found:
            return "a process of another user"
        process = psutil.Process(found[0])
        return f"process {process.pid} ({process.name()} of {process.username()})"
    except psutil.Error:
        return "another process"
