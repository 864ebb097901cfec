"""SegAnnot in a real browser: two birds, scribbles, 50 frames, a correction, undo, reload; masks are what was seen."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from backend.jobs import JobState, JobStore
from backend.masks.indexed import read_labels
from backend.masks.objects import MaskOrigin, read_frames, read_objects
from backend.project.paths import Project
from backend.video.library import add_video
from tests.e2e.test_first_hour import go
from tests.e2e.test_first_hour import until as until_true
from tests.segannot.conftest import SIZE, birds_project, birds_video, iou, picture, truth
from tests.segannot.test_server import annotator, state
from tests.videos import write_video
from tests.web.servers import Server, running

__all__ = ["birds_project", "birds_video"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
SLOW_MS = 30_000
QUIET = "segannot.pending().length === 0 && segannot.shownFrame() === segannot.app.frame"


@pytest.fixture
def server(birds_project: Project) -> Iterator[Server]:
    """SegAnnot on the video of two birds."""
    with running(annotator(birds_project)) as started:
        yield started


def until(page: Page, script: str, timeout_s: float = 30) -> None:
    """Wait until a script is true in the page; the page's policy forbids Playwright's own way."""
    end = time.monotonic() + timeout_s
    while not page.evaluate(script):
        assert time.monotonic() < end, script
        time.sleep(0.05)


def enter(page: Page, server: Server) -> None:
    page.goto(server.sign_in_url)
    expect(page.get_by_text("Connected", exact=True)).to_be_visible(timeout=SLOW_MS)
    until(page, QUIET)


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return where a pixel of the fitted frame is on the screen."""
    box = page.locator("#view").bounding_box()
    scale = min(box["width"] / SIZE[0], box["height"] / SIZE[1])
    left, top = box["x"] + (box["width"] - SIZE[0] * scale) / 2, box["y"] + (box["height"] - SIZE[1] * scale) / 2
    return left + x * scale, top + y * scale


def stroke(page: Page, points: list[tuple[float, float]], wait: bool = True) -> None:
    places = [on_screen(page, *point) for point in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()
    if wait:
        until(page, QUIET)


def add_and_scribble(page: Page, points: list[tuple[float, float]]) -> None:
    before = page.evaluate("segannot.app.server.objects.length")
    page.keyboard.press("a")
    until(page, f"segannot.app.server.objects.length === {before + 1}")
    stroke(page, points)


def seen(page: Page, frame: int) -> np.ndarray:
    """Return the label map that the page shows for a frame."""
    page.get_by_label("Frame", exact=True).fill(str(frame))
    page.keyboard.press("Enter")
    until(page, f"segannot.shownFrame() === {frame} && segannot.app.frame === {frame}")
    got = page.evaluate(f"segannot.mask({frame}).then((m) => [m.x, m.y, m.width, m.height, [...m.labels]])")
    x, y, width, height, values = got
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[y : y + height, x : x + width] = np.array(values, np.uint8).reshape(height, width)
    return labels


def colour_at(page: Page, x: float, y: float) -> list[int]:
    """Return the colour that the canvas shows at a pixel of the frame."""
    px, py = on_screen(page, x, y)
    box = page.locator("#view").bounding_box()
    return page.evaluate(
        """([x, y]) => { const view = document.getElementById("view"); const ratio = view.width / view.clientWidth;
        return [...view.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1).data].slice(0, 3); }""",
        [px - box["x"], py - box["y"]],
    )


def propagated(page: Page) -> None:
    until(page, QUIET)  # the state is that of the new task, not of one before
    until(page, "segannot.app.server.task && segannot.app.server.task.state === 'done'", 60)
    until(page, QUIET)


def test_a_real_annotation_from_scribbles_to_masks(server: Server, page: Page, birds_project: Project) -> None:
    folder = birds_project.segannot("birds")
    enter(page, server)
    expect(page.get_by_role("heading", name="Quick start")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("link", name="Help")).to_have_attribute("href", re.compile("/guide#annotation$"))

    plain = colour_at(page, 60, 70)
    add_and_scribble(page, [(45, 66), (75, 74)])
    add_and_scribble(page, [(250, 108), (250, 132)])
    assert [iou(seen(page, 0) == number, truth(0) == number) > 0.85 for number in (1, 2)] == [True, True]
    assert np.abs(np.subtract(colour_at(page, 60, 80), plain)).max() > 15  # the outline is tinted on the screen

    page.get_by_label("Propagate to frame").fill("50")
    page.get_by_role("button", name="To frame").click()
    propagated(page)
    assert len(read_frames(folder)) == 51
    for frame in (1, 25, 50):
        assert (read_labels(folder / f"{frame:06d}.png") == seen(page, frame)).all()

    before = seen(page, 30)
    page.keyboard.press("d")
    stroke(page, [(250, 30), (260, 30)])  # the chosen bird is the second one
    assert (seen(page, 30) != before).any() and read_frames(folder)[30] is MaskOrigin.HAND_MADE
    page.get_by_role("button", name="Re-propagate around this correction").click()
    propagated(page)
    assert read_frames(folder)[29] is MaskOrigin.PROPAGATED
    for _ in range(2):
        page.locator("#view").focus()
        page.keyboard.press("Control+z")
        until(page, QUIET)
    assert (seen(page, 30) == before).all() and (read_labels(folder / "000030.png") == before).all()

    page.reload()
    expect(page.get_by_text("Connected", exact=True)).to_be_visible(timeout=SLOW_MS)
    until(page, QUIET)
    assert page.evaluate("segannot.app.frame") == 30 and (seen(page, 30) == before).all()
    page.locator("#view").focus()
    page.keyboard.press("Control+y")
    until(page, QUIET)
    assert (seen(page, 30) != before).any()
    page.keyboard.press("r")
    page.get_by_label("Name").first.fill("Rufus")
    page.keyboard.press("Enter")
    page.locator("#view").focus()
    until(page, "segannot.app.server.objects.some((each) => each.name === 'Rufus')")
    assert "Rufus" in {each.name for each in read_objects(folder)}
    for frame in sorted(read_frames(folder)):
        assert (read_labels(folder / f"{frame:06d}.png") == seen(page, frame)).all(), frame


def test_strokes_survive_a_lost_connection_and_a_reload(server: Server, page: Page, birds_project: Project) -> None:
    enter(page, server)
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("a")
    until(page, "segannot.app.server.objects.length === 1")
    page.keyboard.press("d")
    server.kill()
    stroke(page, [(100, 100), (120, 100)], wait=False)
    expect(page.get_by_text("Connection lost, trying again…")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("Saving 1…")).to_be_visible()
    server.start()
    expect(page.get_by_text("Connected", exact=True)).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("All saved")).to_be_visible(timeout=SLOW_MS)
    path = birds_project.segannot("birds") / "000000.png"
    assert read_labels(path)[100, 110] == 1

    server.kill()
    stroke(page, [(100, 150), (120, 150)], wait=False)
    expect(page.get_by_text("Saving 1…")).to_be_visible()
    page.goto("about:blank")  # closed with an edit that nobody has
    server.start()
    enter(page, server)
    expect(page.get_by_text("All saved")).to_be_visible(timeout=SLOW_MS)
    assert read_labels(path)[150, 110] == 1 and state(server)["version"] == 3


def test_it_works_under_a_path_prefix(birds_project: Project, page: Page) -> None:
    from backend.project.settings import load_settings, save_settings

    server = annotator(birds_project)
    save_settings(load_settings(server.state).model_copy(update={"path_prefix": "/lab"}), server.state)
    server.base = f"/lab/port/{server.port}"
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    with running(server):
        enter(page, server)
        page.get_by_role("button", name="Close").click()
        add_and_scribble(page, [(45, 66), (75, 74)])
        assert read_labels(birds_project.segannot("birds") / "000000.png").any() and not failed


@pytest.mark.parametrize(("scheme", "light"), [("light", True), ("dark", False)])
def test_it_follows_the_browsers_light_or_dark(server: Server, page: Page, scheme: str, light: bool) -> None:
    page.emulate_media(color_scheme=scheme)
    enter(page, server)
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor").removeprefix("rgb(").removesuffix(")")
    assert (sum(map(int, colour.split(","))) / 3 > 128) is light


def test_the_shortcuts_are_listed_and_h_closes_the_list(server: Server, page: Page, tmp_path: Path) -> None:
    enter(page, server)
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.locator("#keys dt").count() > 20
    page.keyboard.press("h")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("h")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_number_key_selects_the_bird_whose_row_shows_the_number(server: Server, page: Page) -> None:
    enter(page, server)
    page.get_by_role("button", name="Close").click()
    for count in (1, 2, 3):
        page.keyboard.press("a")
        until(page, f"segannot.app.server.objects.length === {count}")
    page.get_by_label("Name").first.click()
    page.get_by_role("button", name="To back").click()
    until(page, "segannot.pending().length === 0 && segannot.app.server.objects[2].order === 1")
    page.locator("#view").focus()
    for number in ("3", "1", "2"):
        page.keyboard.press(number)
        row = page.locator("#birds li", has=page.locator("kbd", has_text=number))
        expect(row).to_have_class("chosen")
        assert int(row.get_attribute("data-id")) == page.evaluate("segannot.app.selected")


def test_from_the_annotation_page_to_a_training_set(running_app: Server, page: Page, tmp_path: Path) -> None:
    video = tmp_path / "videos" / "birds.mp4"
    write_video(video, 30, size=SIZE, picture=picture)
    project, store = Project(tmp_path / "project"), JobStore(running_app.state)
    add_video(project, video, [video.parent])
    page.goto(running_app.sign_in_url)
    go(page, "Annotation")
    page.get_by_role("button", name="Start", exact=True).click(timeout=SLOW_MS)
    link = page.get_by_role("link", name="Open SegAnnot")
    expect(link).to_be_visible(timeout=60_000)
    with page.context.expect_page() as opened:
        link.click()
    tool = opened.value
    expect(tool.get_by_text("Connected", exact=True)).to_be_visible(timeout=SLOW_MS)
    tool.get_by_role("button", name="Close").click()
    until(tool, QUIET)
    add_and_scribble(tool, [(45, 66), (75, 74)])
    tool.get_by_label("Frame", exact=True).fill("10")
    tool.keyboard.press("Enter")
    until(tool, QUIET)
    stroke(tool, [(70, 68), (90, 74)])
    expect(tool.get_by_text("All saved")).to_be_visible()

    page.reload()
    expect(page.get_by_text("2 frames, 2 drawn or accepted")).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("slider", name="Training share").focus()
    page.keyboard.press("End")  # two frames so close together cannot be split
    page.get_by_role("button", name="Create training set").click(timeout=SLOW_MS)
    until_true(lambda: store.list(kind="mask2coco") and store.list(kind="mask2coco")[0].state.is_over, 120)
    (convert,) = store.list(kind="mask2coco")
    assert convert.state is JobState.SUCCEEDED, convert.reason
    assert sorted(path.name for path in project.exported_frames("birds").glob("*.png")) == ["000000.png", "000010.png"]
    page.get_by_role("button", name="Stop", exact=True).first.click()  # the service, not a job
    until_true(lambda: store.list(kind="segannot")[0].state is JobState.STOPPED, 30)
