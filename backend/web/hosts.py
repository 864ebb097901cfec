"""By which names a server may be called. A page that rebinds its own name to our address (DNS rebinding) is not one."""

import ipaddress
import re
import socket
import time
from urllib.parse import urlsplit

import psutil

from backend.project.settings import Settings

DEFAULT_PORTS = {"http": 80, "https": 443}
LOOK_AGAIN_S = 60.0  # a laptop changes networks; a flood of foreign names must not make us ask the kernel each time


class OwnHosts:
    """The Host values and origins of one server: loopback, its bind address, and the public address.

    Bound to all interfaces, the machine's own name and addresses are allowed too.
    """

    def __init__(self, settings: Settings, port: int):
        self.port = port
        self.public_origin = _origin(settings.public_address)
        self._public_hosts = _spellings(settings.public_address)
        self._bind_address = settings.bind_address
        self._wildcard = ipaddress.ip_address(settings.bind_address).is_unspecified
        self._names = self._look()
        self._looked_at = time.monotonic()

    @property
    def names(self) -> list[str]:
        """Every allowed host name or address, without ports and brackets."""
        public = urlsplit(self.public_origin).hostname if self.public_origin else None
        return sorted(self._names | ({public} if public else set()))

    def allows(self, host: str) -> bool:
        """Tell whether ``host``, the value of the Host header, is one of ours, port included."""
        host = host.lower()
        if host in self._public_hosts:
            return True
        name, port = _split(host)
        if port != self.port or not name:
            return False
        if name not in self._names and self._wildcard and time.monotonic() - self._looked_at > LOOK_AGAIN_S:
            self._names, self._looked_at = self._look(), time.monotonic()
        return name in self._names

    def allows_origin(self, origin: str, host: str) -> bool:
        """Tell whether ``origin`` is that of the server called as ``host``: another port is another origin."""
        own = self.public_origin if self.is_public(host) else f"http://{host.lower()}"
        return bool(origin) and origin.lower() in (own, self.public_origin)  # a proxy need not pass the Host on

    def is_public(self, host: str) -> bool:
        """Tell whether ``host`` is the public address, so that a proxy stands between us and the browser."""
        return host.lower() in self._public_hosts

    def _look(self) -> set[str]:
        names = {"localhost", "127.0.0.1", "::1"}
        if not self._wildcard:
            return names | {str(ipaddress.ip_address(self._bind_address))}
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        for addresses in psutil.net_if_addrs().values():
            names |= {each.address.partition("%")[0].lower() for each in addresses if each.family in _FAMILIES}
        return names


_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def _origin(address: str) -> str:
    """Return scheme, host and port of ``address`` as a browser writes them in Origin, "" for no address."""
    if not address:
        return ""
    parts = urlsplit(address)
    port = f":{parts.port}" if parts.port and parts.port != DEFAULT_PORTS[parts.scheme] else ""
    return f"{parts.scheme}://{_bracketed(parts.hostname or '')}{port}"


def _spellings(address: str) -> set[str]:
    """Return the Host values under which a proxy may pass on requests for ``address``."""
    if not address:
        return set()
    origin = urlsplit(_origin(address))
    host = _bracketed(origin.hostname or "")
    return {origin.netloc, f"{host}:{origin.port or DEFAULT_PORTS[origin.scheme]}"}


def _split(host: str) -> tuple[str, int]:
    """Return name and port of a Host value; ("", 0) if it is malformed."""
    if not re.fullmatch(r"[a-z0-9._:\[\]-]+", host):
        return "", 0
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname or "", parts.port or DEFAULT_PORTS["http"]
    except ValueError:
        return "", 0


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name
