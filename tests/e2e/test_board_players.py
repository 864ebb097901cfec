"""The board's pictures in a real browser: the proxy video's frame, then the full frame; four synchronised views."""

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from backend.project.paths import Project
from backend.video import VideoReader
from backend.video.library import add_video, get_video, update_video
from backend.video.proxies import inputs_of, make_proxy, proxy_folder
from tests.board.boards import N_FRAMES, SIZE, board_server, small_project
from tests.e2e.test_board import begin
from tests.videos import barcode, number_of, write_video
from tests.web.servers import Server, running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
SLOW_MS = 60_000
BEGAN = datetime(2026, 5, 2, 5, 0, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a tracked video with a proxy video that shows 1000 more, and another camera that began a second later."""
    found = small_project(tmp_path / "project")
    update_video(found, "lek", start_time=BEGAN)
    numbers = write_video(
        tmp_path / "numbers.mp4", N_FRAMES, size=SIZE, picture=lambda k, size: barcode(1000 + k, size)
    )
    folder = proxy_folder(found, "lek")
    folder.mkdir(parents=True)
    with VideoReader(numbers) as reader:
        make_proxy(folder, reader, inputs_of(get_video(found, "lek")))
    other = write_video(tmp_path / "east.mp4", 80, size=(192, 128), picture=lambda k, size: barcode(2000 + k, size))
    add_video(found, other, [tmp_path], camera="east", start_time=BEGAN + timedelta(seconds=1))
    return found


@pytest.fixture
def server(project: Project) -> Iterator[Server]:
    """Return the running board."""
    with running(board_server(project)) as started:
        yield started


def number_on(page: Page, canvas: str, size: tuple[int, int] = SIZE) -> int | None:
    """Return the number that the fitted picture on a canvas shows."""
    data = page.locator(canvas).evaluate("(canvas) => canvas.toDataURL('image/png').split(',')[1]")
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    height, width = drawn.shape[:2]
    scale = min(width / size[0], height / size[1])
    left, top = (width - size[0] * scale) / 2, (height - size[1] * scale) / 2
    return number_of(drawn[round(top) : round(height - top), round(left) : round(width - left)])


def bare(page: Page, server: Server) -> list[str]:
    """Open the board with nothing drawn over the pictures, at its first frame."""
    complaints = begin(page, server)
    for key in ("m", "Shift+B", "Shift+N", "z", "Home"):
        page.keyboard.press(key)
    shows(page, "#view", "0 exact")
    return complaints


def shows(page: Page, canvas: str, what: str) -> None:
    """Wait until a canvas shows a frame."""
    expect(page.locator(canvas)).to_have_attribute("data-shown", what, timeout=SLOW_MS)


def test_after_a_jump_the_proxy_is_shown_and_at_rest_the_full_frame(page: Page, server: Server) -> None:
    bare(page, server)
    page.route("**/api/frames/*width=*", lambda route: None)  # the frame itself is never answered
    page.keyboard.press("End")
    shows(page, "#view", "59 quick")
    assert number_on(page, "#view") == 1059
    expect(page.locator("#proxy")).to_be_visible()
    page.unroute("**/api/frames/*width=*")
    page.keyboard.press("ArrowLeft")  # nothing but the frame itself comes to rest
    shows(page, "#view", "58 exact")
    assert number_on(page, "#view") == 58
    expect(page.locator("#proxy")).to_be_hidden()
    for _ in range(3):
        page.keyboard.press(",")  # at an eighth of its speed the video takes 18 s
    page.keyboard.press("Shift+ ")
    expect(page.locator("#view")).to_have_attribute("data-shown", re.compile("quick"), timeout=SLOW_MS)
    page.keyboard.press("Shift+ ")
    expect(page.locator("#view")).to_have_attribute("data-shown", re.compile("exact"), timeout=SLOW_MS)
    assert number_on(page, "#view") == int(page.locator("#frame").input_value()) < 58


def test_four_views_are_synchronised_by_keyboard(page: Page, server: Server) -> None:
    complaints = bare(page, server)
    for _ in range(3):
        page.keyboard.press("v")
    beside = [f".player-beside:nth-of-type({k + 1}) canvas" for k in range(3)]
    expect(page.locator(".player-beside:visible")).to_have_count(3)
    expect(page.locator(".player-beside option", has_text="east")).to_have_count(3)
    page.keyboard.press("Shift+V")
    page.keyboard.press("Tab")  # from what the first shows to its seconds
    page.keyboard.type("0.4")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("e")  # the second shows the other camera
    page.keyboard.press("Tab")
    page.keyboard.type("0")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("-1")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    shows(page, beside[0], "10 exact")
    shows(page, beside[1], "null exact")
    expect(page.get_by_text("not recorded at this time")).to_have_count(2)
    page.locator("#view").focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowRight")
    for canvas, what in zip(["#view", *beside], ("31 exact", "41 exact", "6 exact", "6 exact"), strict=True):
        shows(page, canvas, what)
    assert [number_on(page, canvas) for canvas in ("#view", beside[0], beside[2])] == [31, 41, 6]
    assert number_on(page, beside[1], (192, 128)) == 2006
    whole = {canvas: page.locator(canvas).get_attribute("data-scale") or "" for canvas in ("#view", *beside)}
    page.keyboard.press("+")
    for canvas, scale in whole.items():
        expect(page.locator(canvas)).not_to_have_attribute("data-scale", scale)
    page.keyboard.press("0")
    for canvas, scale in whole.items():
        expect(page.locator(canvas)).to_have_attribute("data-scale", scale)
    page.keyboard.press(" ")
    expect(page.locator("#frame")).to_have_value("59", timeout=SLOW_MS)
    shows(page, beside[1], "34 exact")
    assert number_on(page, beside[1], (192, 128)) == 2034
    shows(page, beside[0], "null exact")
    page.reload()  # what was chosen is kept
    expect(page.locator(".player-beside:visible")).to_have_count(3)
    expect(page.locator(".player-beside select").nth(1)).to_have_value("east")
    assert not complaints
