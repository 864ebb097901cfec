"""Addresses of our servers as a browser reaches them.

With a public address or a path prefix, a proxy stands in front and keeps paths as they are:

    PUBLIC PREFIX/                ->  127.0.0.1:8501   the web app
    PUBLIC PREFIX/port/8881/...   ->  127.0.0.1:8881   a service; one rule for the whole port range

Every service answers under ``PREFIX/port/PORT/`` and, for a direct visitor, under ``/`` as well.
"""

import json
from pathlib import Path
from urllib.parse import urlsplit

from backend.project.settings import Settings, state_folder

APP_RECORD = "app.json"  # in the state folder: where the running app listens, as `gui.server` writes it


def service_base(settings: Settings, port: int) -> str:
    """Return the path under which the service on ``port`` is linked, without a slash at the end; "" for the root."""
    return f"{settings.path_prefix}/port/{port}" if settings.public_address or settings.path_prefix else ""


def service_link(settings: Settings, request_host: str | None, port: int, path: str = "/") -> str:
    """Return the link that a page shows for the service on ``port``.

    Parameters
    ----------
    settings
        Where the public address, the prefix and the bind address stand.
    request_host
        The Host header of the page's own request, such as ``labserver:8501``; used where there is no public address,
        so that the link works by whatever name the visitor came (an SSH tunnel, a name, an address).
    port
        The service's port on this machine.
    path
        A path inside the service, starting with ``/``.
    """
    return f"{_origin(settings, request_host, port)}{service_base(settings, port)}{path}"


def app_link(settings: Settings, port: int, request_host: str | None = None) -> str:
    """Return the address of the web app's home page."""
    return f"{_origin(settings, request_host, port)}{settings.path_prefix}/"


def running_app_link(settings: Settings, request_host: str | None = None, state: Path | None = None) -> str:
    """Return the address of the app's home page on the port that the app was really started on.

    The port stands in `APP_RECORD` of the state folder while the app runs; without a record it is ``app_port`` of the
    settings. ``request_host`` is the Host header of the page's own request, as in `service_link`.
    """
    return app_link(settings, _recorded_port(state or state_folder()) or settings.app_port, request_host)


def _recorded_port(state: Path) -> int | None:
    try:
        return urlsplit(json.loads((state / APP_RECORD).read_bytes())["address"]).port
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # the app does not run, or it is being started


def direct_link(settings: Settings, port: int, path: str = "/") -> str:
    """Return an address that works on this machine itself, past any proxy."""
    return f"http://{_host(settings, None)}:{port}{path}"


def _origin(settings: Settings, request_host: str | None, port: int) -> str:
    return settings.public_address or f"http://{_host(settings, request_host)}:{port}"


def _host(settings: Settings, request_host: str | None) -> str:
    name = urlsplit(f"//{request_host}").hostname if request_host else None
    if not name:
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.bind_address, settings.bind_address)  # noqa: S104
    return f"[{name}]" if ":" in name else name
