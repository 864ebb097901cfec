"""Signing in with a real Chromium, and what its own console says about our headers."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from gui.steps import STEPS
from tests.web.conftest import server_of
from tests.web.servers import Server, app_server, installation, running

pytestmark = pytest.mark.browser
EXPECTED_ERRORS = ("401 (Unauthorized)", "Video source error")  # asked for without sign-in; a video of ten zero bytes


@contextmanager
def quiet_console(page: Page) -> Iterator[list[str]]:
    """Collect what the browser complains about, content policy included; fail if there is anything. Yields sockets."""
    complaints: list[str] = []
    sockets: list[str] = []

    def listen(said: ConsoleMessage) -> None:
        looking_for_its_base = "404" in said.text and "/_stcore/" in said.location["url"]  # Streamlit, on every page
        if said.type == "error" and not looking_for_its_base:
            complaints.append(f"{said.text} ({said.location['url']})")

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("websocket", lambda socket: sockets.append(socket.url))
    yield sockets
    assert not [text for text in complaints if not any(each in text for each in EXPECTED_ERRORS)]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The web app's server with a page that has every element."""
    with running(server_of("app", installation(tmp_path_factory.mktemp("app")))) as server:
        yield server


def test_the_link_signs_in_and_every_element_works_under_the_content_policy(app: Server, page: Page) -> None:
    with quiet_console(page) as sockets:
        page.goto(app.sign_in_url)
        expect(page.get_by_text("all drawn")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("inline", exact=True)).to_be_visible()
        expect(page.get_by_test_id("stVegaLiteChart").first.locator("svg, canvas").first).to_be_visible(timeout=20_000)
        expect(page.get_by_text(re.compile(r"ticks: ([3-9]|\d\d)"))).to_be_visible(timeout=20_000)
        page.get_by_role("button", name="press").click()
        expect(page.get_by_text("pressed")).to_be_visible()
        assert page.url == app.base_url
    assert sockets == [f"ws://127.0.0.1:{app.port}/_stcore/stream"]


def test_the_form_signs_in_and_out(app: Server, page: Page) -> None:
    with quiet_console(page):
        page.goto(f"{app.base_url}?kept=1")
        page.get_by_label("Token").fill("not it")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("not the token")
        page.get_by_label("Token").fill(app.token)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("every element").first).to_be_visible(timeout=30_000)
        assert page.url == f"{app.base_url}?kept=1"
        assert page.evaluate("document.cookie").find("lektrack-") == -1
        page.goto(f"{app.base_url}-/sign-out")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        page.goto(app.base_url)
        expect(page.get_by_label("Token")).to_be_visible()


def test_a_page_of_another_port_may_link_but_not_fetch_frame_or_listen(
    app: Server, service: Server, page: Page
) -> None:
    page.goto(app.sign_in_url)
    expect(page.get_by_text("all drawn")).to_be_visible(timeout=30_000)
    page.route("**/stranger", lambda route: route.fulfill(content_type="text/html", body="<h1>stranger</h1>"))
    page.goto(f"http://127.0.0.1:{service.port}/stranger")
    seen = page.evaluate(
        """async (base) => {
            const tried = (promise) => promise.then(() => 'open', () => 'closed');
            const loaded = (tag, key) => new Promise((resolve) => {
                const element = document.createElement(tag);
                element.onload = () => resolve('open');
                element.onerror = () => resolve('closed');
                element[key] = base + 'favicon.png';
                document.body.append(element);
            });
            const socket = new Promise((resolve) => {
                const stream = new WebSocket(base.replace('http', 'ws') + '_stcore/stream');
                stream.onopen = () => resolve('open');
                stream.onerror = () => resolve('closed');
            });
            return {
                fetch: await tried(fetch(base, {credentials: 'include'})),
                post: await tried(fetch(base + '-/sign-out', {method: 'POST', credentials: 'include'})),
                opaque: (await fetch(base + '-/ready', {mode: 'no-cors', credentials: 'include'}).then(
                    (answer) => answer.type, () => 'closed')),
                image: await loaded('img', 'src'),
                script: await loaded('script', 'src'),
                socket: await socket,
            };
        }""",
        app.base_url,
    )
    assert seen == dict.fromkeys(("fetch", "post", "opaque", "image", "script", "socket"), "closed")
    page.evaluate(
        """(base) => {
            const frame = document.createElement('iframe');
            frame.src = base;
            const link = document.createElement('a');
            link.href = base;
            link.textContent = 'link';
            document.body.append(frame, link);
        }""",
        app.base_url,
    )
    frame = page.frame_locator("iframe")
    expect(frame.get_by_text("every element")).to_have_count(0)
    page.get_by_role("link", name="link").click()
    expect(page.get_by_text("all drawn")).to_be_visible(timeout=30_000)


def test_one_sign_in_holds_for_the_service_on_another_port(app: Server, page: Page) -> None:
    other = server_of("service", app.state)
    with running(other):
        page.goto(app.sign_in_url)
        page.goto(other.base_url)
        assert page.content().count("http |/") == 1


def test_it_works_under_a_path_prefix(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    server = server_of("app", installation(tmp_path_factory.mktemp("prefix"), path_prefix="labs/lek"))
    server.base = "/labs/lek"
    context = browser.new_context()
    page = context.new_page()
    with running(server), quiet_console(page) as sockets:
        page.goto(server.sign_in_url)
        expect(page.get_by_text("all drawn")).to_be_visible(timeout=30_000)
        context.close()
    assert sockets == [f"ws://127.0.0.1:{server.port}/labs/lek/_stcore/stream"]


def test_a_secure_cookie_still_signs_in_on_the_machine_itself(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    state = installation(tmp_path_factory.mktemp("secure"), public_address="https://lek.example.org")
    context = browser.new_context()
    page = context.new_page()
    with running(server_of("app", state)) as server:
        page.goto(server.sign_in_url)
        expect(page.get_by_text("all drawn")).to_be_visible(timeout=30_000)
        assert [each["secure"] for each in context.cookies() if each["name"].startswith("lektrack-")] == [True]
        context.close()


def test_every_page_of_the_app_keeps_to_the_content_policy(
    page: Page, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(app_server(installation(tmp_path_factory.mktemp("pages")))) as server, quiet_console(page):
        page.goto(server.sign_in_url)
        for step in STEPS:
            page.goto(f"{server.base_url}{'' if step.key == 'home' else step.key}")
            expect(page.get_by_role("heading", name=step.title).first).to_be_visible(timeout=30_000)
            expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=30_000)
