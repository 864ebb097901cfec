"""The zone editor in a real browser, at the size of the field's pictures: mouse, keyboard, files, versions."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from backend.project.paths import Project
from backend.video.library import add_video
from backend.zones.zone_file import parse_zones, read_zones, save_zones, zones_path
from tests.e2e.test_first_hour import SLOW_MS, go, until
from tests.videos import write_video
from tests.web.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
SIZE = (2688, 1520)


@pytest.fixture
def project(tmp_path, running_app) -> Project:
    """A project with a camera at full size and a small one."""
    project = Project(tmp_path / "project")
    for name, size in (("large", SIZE), ("small", (320, 192))):
        path = write_video(tmp_path / "videos" / f"{name}.mp4", 10, size=size)
        add_video(project, path, [path.parent], camera=name)
    return project


class Stage:
    """The picture of the editor; places are px of the frame."""

    def __init__(self, page: Page):
        self.page, self.svg = page, page.get_by_role("application", name="Zones over the picture")
        expect(self.svg).to_be_visible(timeout=SLOW_MS)

    def at(self, x: float, y: float) -> tuple[float, float]:
        box = self.svg.bounding_box()
        return box["x"] + x * box["width"] / SIZE[0], box["y"] + y * box["height"] / SIZE[1]

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=5)
        self.page.mouse.up()

    def tool(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def save(self) -> None:
        self.page.get_by_role("button", name="Save", exact=True).click()


def shapes(path: Path) -> dict[str, list]:
    return {zone.name: [list(point) for point in zone.shape] for zone in read_zones(path).zones}


def fill(field: Locator, value: str) -> None:
    field.fill(value)
    field.press("Tab")


def test_zones_are_drawn_changed_saved_and_come_back(running_app: Server, page: Page, project: Project, tmp_path):
    path = zones_path(project, "large")
    page.set_viewport_size({"width": 1440, "height": 1100})
    page.goto(running_app.sign_in_url)
    go(page, "Zones")
    stage = Stage(page)

    # a polygon by clicks, a rectangle and a circle by dragging
    stage.tool("Polygon")
    for x, y in ((300, 300), (900, 300), (900, 800), (300, 800), (300, 300)):
        stage.click(x, y)
    fill(page.get_by_label("Name"), "court A")
    stage.tool("Rectangle")
    stage.drag((1200, 200), (1700, 600))
    stage.tool("Circle")
    stage.drag((2200, 1000), (2200, 1300))
    expect(page.get_by_role("heading", name="Zones (3)")).to_be_visible()
    stage.save()
    expect(page.get_by_text("Saved as version 1.")).to_be_visible(timeout=SLOW_MS)
    found = shapes(path)
    assert list(found) == ["court A", "zone 1", "zone 2"]
    for drawn, wanted in zip(found["court A"], ((300, 300), (900, 300), (900, 800), (300, 800)), strict=True):
        assert drawn == pytest.approx(wanted, abs=4)
    assert len(found["zone 2"]) == 32

    expect(page.get_by_text(re.compile(r"px · version 1$"))).to_be_visible(timeout=SLOW_MS)

    # a vertex is moved, one is inserted, and both are undone
    stage.click(600, 500)
    stage.drag((900, 800), (1000, 900))
    stage.drag((600, 300), (600, 200))
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("version 1, changed")).to_be_visible()
    stage.save()
    expect(page.get_by_text("Saved as version 2.")).to_be_visible(timeout=SLOW_MS)
    assert shapes(path)["court A"][2] == pytest.approx([1000, 900], abs=4) and len(shapes(path)["court A"]) == 4

    # a zone by the keyboard alone
    expect(page.get_by_text(re.compile(r"px · version 2$"))).to_be_visible(timeout=SLOW_MS)
    stage.svg.focus()
    page.keyboard.press("p")
    for key in ("ArrowLeft", "ArrowDown", "ArrowRight"):
        page.keyboard.press("Enter")
        for _ in range(5):
            page.keyboard.press(f"Shift+{key}")
    page.keyboard.press("Enter")
    page.keyboard.press("f")
    expect(page.get_by_role("heading", name="Zones (4)")).to_be_visible()
    page.keyboard.press("n")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Control+s")
    until(lambda: read_zones(path).version == 3)
    assert len(shapes(path)["zone 3"]) == 4

    expect(page.get_by_text(re.compile(r"px · version 3$"))).to_be_visible(timeout=SLOW_MS)

    # a crossing outline is refused with words, then repaired
    stage.svg.focus()
    page.keyboard.press("Escape")
    stage.click(600, 500)
    stage.drag((300, 800), (1300, 500))
    expect(page.get_by_text(re.compile("The outline crosses itself"))).to_be_visible()
    stage.save()
    expect(page.get_by_text(re.compile("outline of zone 'court A' crosses itself"))).to_be_visible(timeout=SLOW_MS)
    assert read_zones(path).version == 3
    page.get_by_role("button", name="Repair and save").click()
    until(lambda: read_zones(path).version == 4)

    expect(page.get_by_text(re.compile(r"px · version 4$"))).to_be_visible(timeout=SLOW_MS)

    # a scale by four ground points
    stage.tool("Ground points")
    for x, y in ((700, 1300), (2000, 1300), (1700, 700), (1000, 700)):
        stage.click(x, y)
    fill(page.get_by_label("point 2 x, m"), "4")
    fill(page.get_by_label("point 3 x, m"), "4")
    fill(page.get_by_label("point 3 y, m"), "3")
    fill(page.get_by_label("point 4 y, m"), "3")
    stage.save()
    until(lambda: read_zones(path).version == 5)
    assert read_zones(path).scale.ground == ((0, 0), (4, 0), (4, 3), (0, 3))

    expect(page.get_by_text(re.compile(r"px · version 5$"))).to_be_visible(timeout=SLOW_MS)

    # export, copy, back to version 1
    with page.expect_download(timeout=SLOW_MS) as download:
        page.get_by_role("button", name="Export").click()
    assert len(json.loads(Path(download.value.path()).read_text())["features"]) == 4
    page.get_by_role("button", name="Copy", exact=True).click()
    until(lambda: zones_path(project, "small").exists())
    assert read_zones(zones_path(project, "small")).image_size == (320, 192)
    page.get_by_test_id("stSelectbox").filter(has_text="Version").locator("input").click()
    page.get_by_role("option", name="1", exact=True).click()
    page.get_by_role("button", name="Restore this version").click(timeout=SLOW_MS)
    until(lambda: read_zones(path).version == 6)
    assert list(shapes(path)) == ["court A", "zone 1", "zone 2"]


def test_geojson_from_elsewhere_is_imported_and_bad_files_are_refused(
    running_app: Server, page: Page, project, tmp_path
):
    ring = [[10, 10], [500, 10], [500, 400], [10, 10]]
    feature = {
        "type": "Feature",
        "properties": {"name": "pond"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    good = tmp_path / "good.geojson"
    good.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    bad = tmp_path / "bad.geojson"
    bad.write_text('{"type": "FeatureCollection", "features": []}')
    page.goto(running_app.sign_in_url)
    go(page, "Zones")
    Stage(page)
    page.locator("input[type=file]").set_input_files(bad)
    page.get_by_role("button", name="Add these zones").click(timeout=SLOW_MS)
    expect(page.get_by_text("the file has no polygons")).to_be_visible(timeout=SLOW_MS)
    page.locator("input[type=file]").set_input_files(good)
    expect(page.get_by_text("good.geojson")).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("button", name="Add these zones").click()
    until(lambda: zones_path(project, "large").exists())
    expect(page.get_by_role("button", name=re.compile("pond"))).to_be_visible(timeout=SLOW_MS)


def test_unsaved_zones_stay_when_somebody_else_saves_and_when_another_camera_is_chosen(
    running_app: Server, page: Page, project: Project
):
    path = zones_path(project, "large")
    page.set_viewport_size({"width": 1440, "height": 1100})
    page.goto(running_app.sign_in_url)
    go(page, "Zones")
    stage = Stage(page)
    stage.tool("Rectangle")
    stage.drag((300, 300), (900, 800))
    expect(page.get_by_text("not saved yet, changed")).to_be_visible()
    mine = page.get_by_role("button", name=re.compile("zone 1"))

    # a colleague saves, and the page runs again
    theirs = {"id": 1, "name": "colleague's", "shape": [[10, 10], [500, 10], [500, 400]]}
    save_zones(path, parse_zones({"image_size": SIZE, "zones": [theirs]}), 0)
    frame = page.get_by_test_id("stNumberInput").locator("input")
    fill(frame, "3")
    words = page.get_by_text("not saved yet, changed; someone else saved version 1, so yours cannot be saved")
    expect(words).to_be_visible(timeout=SLOW_MS)
    expect(mine).to_be_visible()
    stage.save()
    expect(page.get_by_text(re.compile("was changed by somebody else"))).to_be_visible(timeout=SLOW_MS)
    assert list(shapes(path)) == ["colleague's"]

    # another camera and back
    for camera in ("small", "large"):
        page.get_by_test_id("stSelectbox").filter(has_text="Camera").locator("input").click()
        page.get_by_role("option", name=camera, exact=True).click()
        size = "320 x 192 px" if camera == "small" else "2688 x 1520 px"
        expect(page.get_by_text(re.compile(f"^{size}"))).to_be_visible(timeout=SLOW_MS)
        expect(mine).to_have_count(int(camera == "large"))
    expect(words).to_be_visible()

    # theirs is loaded when asked for, and can be saved over
    page.get_by_role("button", name="Load version 1").click()
    expect(page.get_by_role("button", name=re.compile("colleague's"))).to_be_visible()
    expect(mine).to_have_count(0)
    stage.tool("Rectangle")
    stage.drag((1200, 200), (1700, 600))
    stage.save()
    expect(page.get_by_text("Saved as version 2.")).to_be_visible(timeout=SLOW_MS)
    assert len(shapes(path)) == 2
