"""Host, Origin, Sec-Fetch-Site and method, at the gate and all servers: strangers' pages are refused."""

import pytest

from tests.web.in_process import at_the_gate_and_live
from tests.web.servers import HANDSHAKE, STREAMS, Server

OWN = "127.0.0.1:{port}"
OTHER = "{other}"  # another port of this machine

ALLOWED_HOSTS = {
    "our address": OWN,
    "our name": "localhost:{port}",
    "our name in capitals": "LOCALHOST:{port}",
    "our address in IPv6": "[::1]:{port}",
}

FOREIGN_HOSTS = {
    "another name": "evil.example",
    "another name with our port (DNS rebinding)": "evil.example:{port}",
    "our address without a port": "127.0.0.1",
    "our address with another port": "127.0.0.1:{other}",
    "localhost with another port": "localhost:{other}",
    "our name as a prefix": "localhost.evil.example:{port}",
    "our address as a prefix": "127.0.0.1.evil.example:{port}",
    "our name as a suffix": "evil.localhost:{port}",
    "a dot at the end": "localhost.:{port}",
    "all interfaces": "0.0.0.0:{port}",
    "another loopback address": "127.0.0.2:{port}",
    "our address as one number": "2130706433:{port}",
    "our address in hexadecimal": "0x7f000001:{port}",
    "our address shortened": "127.1:{port}",
    "IPv6 with another port": "[::1]:{other}",
    "IPv6 without brackets": "::1:{port}",
    "mapped IPv4": "[::ffff:127.0.0.1]:{port}",
    "a user before our address": "evil@127.0.0.1:{port}",
    "our address in a user": "127.0.0.1:{port}@evil.example",
    "a path": "127.0.0.1:{port}/x",
    "a port that is no number": "127.0.0.1:x",
    "a port that is too large": "127.0.0.1:99999",
    "two names": "127.0.0.1:{port},evil.example",
    "a space": "127.0.0.1:{port} evil.example",
}

FOREIGN_ORIGINS = {
    "null": "null",
    "another site": "http://evil.example",
    "another site with our port": "http://evil.example:{port}",
    "another port of this machine": "http://127.0.0.1:{other}",
    "our address without a port": "http://127.0.0.1",
    "another name of this machine": "http://localhost:{port}",
    "https instead of http": "https://127.0.0.1:{port}",
    "our origin as a prefix": "http://127.0.0.1:{port}.evil.example",
    "our origin with a path": "http://127.0.0.1:{port}/",
    "a file": "file://",
    "an extension": "chrome-extension://abcdefgh",
    "empty": "",
    "two at once": "http://127.0.0.1:{port} http://evil.example",
}

FOREIGN_FETCHES = {
    "a fetch of another site": ("GET", "cross-site", "cors", "empty"),
    "a fetch of another local port": ("GET", "same-site", "cors", "empty"),
    "a fetch without CORS of another local port": ("GET", "same-site", "no-cors", "empty"),
    "an image in another site": ("GET", "cross-site", "no-cors", "image"),
    "a script in another local page": ("GET", "same-site", "no-cors", "script"),
    "a style sheet in another site": ("GET", "cross-site", "no-cors", "style"),
    "a video in another local page": ("GET", "same-site", "no-cors", "video"),
    "a frame in another site": ("GET", "cross-site", "navigate", "iframe"),
    "a frame in another local page": ("GET", "same-site", "navigate", "iframe"),
    "an object in another site": ("GET", "cross-site", "navigate", "object"),
    "an embed in another site": ("GET", "cross-site", "navigate", "embed"),
    "a form sent from another site": ("POST", "cross-site", "navigate", "document"),
    "a form sent from another local page": ("POST", "same-site", "navigate", "document"),
    "a deletion from another site": ("DELETE", "cross-site", "cors", "empty"),
    "a site that is not known": ("GET", "sideways", "navigate", "document"),
    "a mode that is not known": ("GET", "cross-site", "float", "document"),
    "a worker of another local page": ("GET", "same-site", "same-origin", "worker"),
}

OWN_FETCHES = {
    "a typed address": ("GET", "none", "navigate", "document"),
    "a link in our page": ("GET", "same-origin", "navigate", "document"),
    "a fetch of our page": ("GET", "same-origin", "cors", "empty"),
    "a link in another site, such as a mail": ("GET", "cross-site", "navigate", "document"),
    "a link in the page of another local port": ("GET", "same-site", "navigate", "document"),
    "a look ahead from another site": ("HEAD", "cross-site", "navigate", "document"),
}

UNKNOWN_METHODS = {method: method for method in ("TRACE", "CONNECT", "PROPFIND", "TRACK", "get", "X")}
CHANGES = {method: method for method in ("POST", "PUT", "PATCH", "DELETE")}
MALFORMED_PATHS = {
    "an address": "http://evil.example/",
    "a star": "*",
    "NUL after two slashes": "//%00",
    "NUL": "/a%00b",
    "a line end": "/a%0d%0ab",
    "five thousand letters": "/" + "a" * 5000,
}


def fetch(site: str, mode: str, dest: str) -> list[tuple[str, str]]:
    return [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)]


def filled(text: str, server: Server) -> str:
    return text.format(port=server.port, other=server.port - 1)


@at_the_gate_and_live("host", ALLOWED_HOSTS, "our address", "our address in IPv6")
def test_our_own_names_are_answered(server: Server, host: str) -> None:
    answer = server.ask(headers=[("Cookie", server.cookie)], host=filled(host, server))
    assert answer.status == 200


@at_the_gate_and_live("host", FOREIGN_HOSTS, "another name with our port (DNS rebinding)", "a space")
def test_a_foreign_host_is_refused_even_with_the_cookie(server: Server, host: str) -> None:
    answer = server.ask(headers=[("Cookie", server.cookie)], host=filled(host, server))
    assert answer.status in (400, 403)  # 400 from the HTTP parser where it is no host at all
    assert answer.json["error"]["status"] == answer.status


def test_a_request_without_a_host_or_with_two_is_refused(server: Server) -> None:
    assert server.ask(headers=[("Cookie", server.cookie)], host=None).status == 400
    two = [("Cookie", server.cookie), ("Host", "evil.example")]
    assert server.ask(headers=two).status == 400


@pytest.mark.parametrize("method", ["GET", "POST"])
@at_the_gate_and_live("origin", FOREIGN_ORIGINS, "another site")
def test_a_foreign_origin_is_refused_even_with_cookie_and_token(server: Server, method: str, origin: str) -> None:
    headers = [
        ("Cookie", server.cookie),
        ("Authorization", f"Bearer {server.token}"),
        ("Origin", filled(origin, server)),
    ]
    assert server.ask(method, headers=headers).status == 403


def test_two_origins_are_refused_when_one_is_foreign(server: Server) -> None:
    own = ("Origin", filled("http://127.0.0.1:{port}", server))
    assert server.ask(headers=[("Cookie", server.cookie), own, ("Origin", "http://evil.example")]).status == 403


@at_the_gate_and_live("fetched", FOREIGN_FETCHES, "a fetch of another site", "a form sent from another local page")
def test_what_another_page_fetches_is_refused(server: Server, fetched: tuple[str, str, str, str]) -> None:
    method, site, mode, dest = fetched
    headers = [("Cookie", server.cookie), *fetch(site, mode, dest)]
    assert server.ask(method, headers=headers).status == 403


@at_the_gate_and_live("fetched", OWN_FETCHES, "a fetch of our page", "a link in another site, such as a mail")
def test_links_and_our_own_pages_are_answered(server: Server, fetched: tuple[str, str, str, str]) -> None:
    method, site, mode, dest = fetched
    headers = [("Cookie", server.cookie), *fetch(site, mode, dest)]
    assert server.ask(method, headers=headers).status == 200


def test_contradicting_fetch_headers_are_refused(server: Server) -> None:
    headers = [("Cookie", server.cookie), *fetch("same-origin", "cors", "empty"), ("Sec-Fetch-Site", "cross-site")]
    assert server.ask(headers=headers).status == 403


@at_the_gate_and_live("method", UNKNOWN_METHODS, "TRACE", "get")
def test_unknown_methods_are_refused(server: Server, method: str) -> None:
    assert server.ask(method, headers=[("Cookie", server.cookie)]).status == 405


@at_the_gate_and_live("path", MALFORMED_PATHS, "an address", "a line end")
def test_malformed_paths_are_refused(server: Server, path: str) -> None:
    assert server.ask(path=path, headers=[("Cookie", server.cookie)]).status == 400


@at_the_gate_and_live("method", CHANGES, "POST")
def test_a_change_by_cookie_needs_a_page_of_ours(server: Server, method: str) -> None:
    assert server.ask(method, "/nowhere", [("Cookie", server.cookie)]).status == 403
    own = ("Origin", filled("http://127.0.0.1:{port}", server))
    for proof in (own, ("Sec-Fetch-Site", "same-origin"), ("Authorization", f"Bearer {server.token}")):
        assert server.ask(method, "/nowhere", [("Cookie", server.cookie), proof]).status in (404, 405)


def handshake(server: Server, *headers: tuple[str, str], host: str = "") -> int:
    kind = server.kind
    return server.ask(path=STREAMS.get(kind, "/none"), headers=[*HANDSHAKE, *headers], host=filled(host, server)).status


def test_a_websocket_opens_for_our_page_and_for_a_program(server: Server) -> None:
    own = ("Origin", filled("http://127.0.0.1:{port}", server))
    if server.kind not in STREAMS:
        assert handshake(server, ("Cookie", server.cookie), own) == 403
        return
    assert handshake(server, ("Cookie", server.cookie), own) == 101
    assert handshake(server, ("Authorization", f"Bearer {server.token}")) == 101


def test_a_websocket_needs_sign_in(server: Server) -> None:
    own = ("Origin", filled("http://127.0.0.1:{port}", server))
    assert handshake(server, own) == 401
    assert handshake(server, own, ("Cookie", server.cookie[:-1])) == 401
    assert handshake(server, ("Authorization", "Bearer wrong")) == 401


def test_a_websocket_by_cookie_must_say_which_page_opens_it(server: Server) -> None:
    assert handshake(server, ("Cookie", server.cookie)) == 403


@at_the_gate_and_live("origin", FOREIGN_ORIGINS, "another site", "null")
def test_a_websocket_of_a_foreign_page_is_refused(server: Server, origin: str) -> None:
    assert handshake(server, ("Cookie", server.cookie), ("Origin", filled(origin, server))) == 403


def test_a_websocket_under_a_foreign_host_or_site_is_refused(server: Server) -> None:
    rebound = ("Origin", filled("http://evil.example:{port}", server))
    assert handshake(server, ("Cookie", server.cookie), rebound, host="evil.example:{port}") == 403
    own = ("Origin", filled("http://127.0.0.1:{port}", server))
    assert handshake(server, ("Cookie", server.cookie), own, ("Sec-Fetch-Site", "cross-site")) == 403
    plain = fetch("cross-site", "navigate", "document")
    assert handshake(server, ("Cookie", server.cookie), own, *plain) == 403
