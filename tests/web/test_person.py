"""The name at a browser: asked by the gate, kept in a cookie, one for all servers of a host."""

from http.cookies import SimpleCookie

import httpx
import pytest

from backend.web.person import MAX_NAME, NAME_COOKIE, clean_name, name_cookie, name_of
from tests.web.servers import Server
from tests.web.test_sign_in import client

__all__ = ["client"]
OWN = {"Sec-Fetch-Site": "same-origin"}


def kept(header: str) -> str:
    """Return the name that a browser would send back after Set-Cookie ``header``."""
    cookie = SimpleCookie(header)[NAME_COOKIE]
    return name_of([(b"cookie", f"other=1; {NAME_COOKIE}={cookie.value}".encode("latin-1"))])


@pytest.mark.parametrize("name", ["Anna", "Zoltán Németh", "Ужас; DROP=1", '"quoted", \\', "鷸"])
def test_any_name_comes_back_as_it_was_given(name: str) -> None:
    assert kept(name_cookie(name, "/", secure=True)) == name


def test_a_name_is_one_short_printable_line() -> None:
    assert clean_name("  Anna\r\nSet-Cookie: x=1\x00 ") == "Anna Set-Cookie: x=1"
    assert len(clean_name("x" * 1000)) == MAX_NAME
    assert clean_name("\u202e\ud800") == "?"
    assert "\r" not in name_cookie("a\r\nb", "/", secure=False)


def test_no_name_forgets_the_cookie() -> None:
    assert "Max-Age=0" in name_cookie("  ", "/", secure=False)
    assert name_of([]) == ""
    assert name_of([(b"cookie", b"lektrack-name=%ff%00%0a")]) != "\n"


def test_the_page_asks_keeps_and_leads_back(server: Server, client: httpx.Client) -> None:
    client.get(server.sign_in_url)
    assert 'name="name"' in client.get("/-/name").text
    answer = client.post("/-/name", data={"name": "<b>Anna</b>", "next": "/deep"}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/deep")
    assert "HttpOnly" in answer.headers["set-cookie"]
    page = client.get("/-/name").text
    assert "&lt;b&gt;Anna&lt;/b&gt;" in page and "<b>Anna" not in page


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example"])
def test_saying_a_name_never_leads_elsewhere(server: Server, client: httpx.Client, target: str) -> None:
    client.get(server.sign_in_url)
    answer = client.post("/-/name", data={"name": "Anna", "next": target}, headers=OWN)
    assert answer.headers["location"] == "/"


def test_a_name_alone_lets_nobody_in_and_a_foreign_page_cannot_set_it(server: Server, client: httpx.Client) -> None:
    assert client.get("/-/name", headers={"Cookie": f"{NAME_COOKIE}=Anna"}).status_code == 401
    client.get(server.sign_in_url)
    foreign = client.post("/-/name", data={"name": "Eve"}, headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403 and "set-cookie" not in foreign.headers
    assert client.put("/-/name", headers=OWN).status_code == 405
