"""Behind a TLS proxy, under a path prefix: one rule for the app, one for all services, paths passed on unchanged."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.web.conftest import server_of
from tests.web.run_server import KINDS
from tests.web.servers import Server, installation, running

HOST = "lek.example.org"
ORIGIN = f"https://{HOST}"
PAGE = {"Accept": "text/html", "Host": HOST}


@pytest.fixture(scope="module", params=list(KINDS))
def proxied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each kind of server as it runs behind a proxy."""
    folder = tmp_path_factory.mktemp(f"proxied-{request.param}")
    server = server_of(request.param, installation(folder, public_address=ORIGIN, path_prefix="labs/lek"))
    server.base = "/labs/lek" if request.param == "app" else f"/labs/lek/port/{server.port}"
    with running(server):
        yield server


@pytest.fixture
def client(proxied: Server) -> Iterator[httpx.Client]:
    """What a proxy sends: the Host of the public address and the whole path. Its cookies are Secure."""
    with httpx.Client(base_url=f"http://127.0.0.1:{proxied.port}", headers=PAGE) as found:
        yield found


def test_signing_in_stays_under_the_base(proxied: Server, client: httpx.Client) -> None:
    page = client.get(f"{proxied.base}/deep")
    assert page.status_code == 401
    assert f'action="{proxied.base}/-/sign-in"' in page.text and f'value="{proxied.base}/deep"' in page.text
    form = {"token": proxied.token, "next": f"{proxied.base}/deep"}
    answer = client.post(f"{proxied.base}/-/sign-in", data=form, headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{proxied.base}/deep")
    cookie = answer.headers["set-cookie"]
    assert "; Path=/labs/lek; " in cookie and cookie.endswith("; Secure")
    sent = {"Cookie": cookie.partition(";")[0]}
    assert client.get(f"{proxied.base}/", headers=sent).status_code == 200
    out = client.post(f"{proxied.base}/-/sign-out", headers={**sent, "Origin": ORIGIN})
    assert (
        out.headers["location"] == f"{proxied.base}/-/sign-in"
        and "Path=/labs/lek; Max-Age=0" in out.headers["set-cookie"]
    )


def test_the_link_signs_in_under_the_base(proxied: Server, client: httpx.Client) -> None:
    answer = client.get(f"{proxied.base}/?token={proxied.token}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{proxied.base}/")


def test_the_root_leads_to_the_base(proxied: Server, client: httpx.Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{proxied.base}/")


def test_the_same_rules_hold_for_hosts_and_origins(proxied: Server) -> None:
    bearer = ("Authorization", f"Bearer {proxied.token}")
    home = f"{proxied.base}/"
    assert proxied.ask(path=home, headers=[bearer], host=HOST).status == 200
    assert proxied.ask(path=home, headers=[bearer, ("Origin", ORIGIN)], host=HOST).status == 200
    assert proxied.ask(path=home, headers=[bearer, ("Origin", ORIGIN)]).status == 200
    assert proxied.ask(path=home, headers=[bearer, ("Origin", f"http://{HOST}")], host=HOST).status == 403
    assert proxied.ask(path=home, headers=[bearer, ("Origin", "https://evil.example")], host=HOST).status == 403
    assert proxied.ask(path=home, headers=[bearer], host="evil.example").status == 403
    forwarded = [bearer, ("X-Forwarded-Host", "evil.example"), ("Forwarded", "host=evil.example")]
    assert proxied.ask(path=home, headers=forwarded, host=HOST).status == 200


def test_readiness_is_asked_for_past_the_proxy_and_through_it(proxied: Server) -> None:
    assert proxied.ask_signed_in(path="/-/ready").status == 200
    assert proxied.ask_signed_in(path=f"{proxied.base}/-/ready", host=HOST).status == 200
    assert proxied.ask(path=f"{proxied.base}/-/ready", host=HOST).status == 401


@pytest.mark.parametrize("proxied", ["service"], indirect=True)
def test_a_service_knows_scheme_and_base_and_programs_may_leave_the_base_out(proxied: Server) -> None:
    answer = proxied.ask_signed_in(path=f"{proxied.base}/deep/page", host=HOST)
    assert answer.body.decode() == f"https {proxied.base}|{proxied.base}/deep/page"
    assert proxied.ask_signed_in(path="/deep/page").body == b"http |/deep/page"
    assert proxied.ask_signed_in(path=f"{proxied.base}x/deep/page").status == 404
    other = proxied.base.replace(str(proxied.port), str(proxied.port + 1))
    assert proxied.ask_signed_in(path=f"{other}/deep/page").status == 404


@pytest.mark.parametrize("proxied", ["app"], indirect=True)
def test_the_app_serves_its_files_and_its_websocket_under_the_base(proxied: Server) -> None:
    assert b"./static/js" in proxied.ask_signed_in(path="/labs/lek/", host=HOST).body
    assert proxied.ask_signed_in(path="/labs/lek/_stcore/health", host=HOST).body == b"ok"
    assert proxied.ask_signed_in(path="/_stcore/health").status == 404


def test_the_cookie_path_fits_the_test_state(tmp_path: Path) -> None:
    assert installation(tmp_path, path_prefix="/a/b/").joinpath("settings.toml").read_text().count('"/a/b"') == 1
