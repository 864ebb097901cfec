"""Protection against cross-site requests (CSRF), by Origin, Sec-Fetch-Site and method."""

from dataclasses import dataclass

from backend.web.hosts import OwnHosts

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
METHODS = (*SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused."""

    status: int
    message: str


def check_source(kind: str, method: str, headers: dict[str, list[str]], hosts: OwnHosts) -> Refusal | None:
    """Return why a request's source is refused, or None.

    Parameters
    ----------
    kind
        ``http`` or ``websocket``.
    method
        The HTTP method; GET for a WebSocket.
    headers
        Header values by lower-case name.
    hosts
        The server's own names.
    """
    if method not in METHODS:
        return Refusal(405, f"method {method[:20]} is not allowed")
    called = headers.get("host", [])
    if len(called) != 1 or not hosts.allows(called[0]):
        return Refusal(403, "this server does not answer to that host name (Settings, public address)")
    if not all(hosts.allows_origin(origin, called[0]) for origin in headers.get("origin", [])):
        return Refusal(403, "requests from other origins are refused")
    site = headers.get("sec-fetch-site", [])
    if not set(site) <= {"same-origin", "none"} and not _plain_navigation(kind, method, headers):
        return Refusal(403, "requests from other sites are refused; only links may lead here")
    return None


def needs_own_page(kind: str, method: str) -> bool:
    """Tell whether a request signed in by cookie must show that a page of ours made it."""
    return kind == "websocket" or method not in SAFE_METHODS


def from_own_page(headers: dict[str, list[str]]) -> bool:
    """Tell whether a request that passed `check_source` says that it comes from a page of ours.

    Browsers say so with every WebSocket and every method that changes something. Programs use the Authorization header.
    """
    return bool(headers.get("origin")) or headers.get("sec-fetch-site") == ["same-origin"]


def _plain_navigation(kind: str, method: str, headers: dict[str, list[str]]) -> bool:
    return (
        kind == "http"
        and method in ("GET", "HEAD")
        and headers.get("sec-fetch-site") in (["cross-site"], ["same-site"])
        and headers.get("sec-fetch-mode") == ["navigate"]
        and headers.get("sec-fetch-dest") == ["document"]
    )
