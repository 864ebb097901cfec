"""From zones to a report in a real browser: draw a zone, measure tracks, look at plots and tables, download."""

import io
import re
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from backend.jobs import JobState, JobStore
from backend.project.manifest import verify
from backend.project.paths import Project
from backend.video.library import add_video
from backend.zones.zone_file import read_zones, zones_path
from tests.e2e.test_first_hour import SLOW_MS, go, until
from tests.tracking.track_samples import write_run
from tests.videos import write_video
from tests.web.servers import Server
from tests.zones.made import tracks_of

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PATHS = {"red": ([20] * 8 + [100] * 9 + [None] * 8) * 2, "blue": [100] * 25 + [30] * 25}


def test_draw_measure_look_and_download(running_app: Server, page: Page, tmp_path):
    project = Project(tmp_path / "project")
    path = write_video(tmp_path / "videos" / "north.mp4", 50, size=(200, 100), fps=10)
    add_video(project, path, [path.parent], camera="pole")
    write_run(project.track_output("north", "first"), tracks_of(PATHS))
    store = JobStore(running_app.state)
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(running_app.sign_in_url)

    # without zones the page says where to draw them
    go(page, "Statistics")
    expect(page.get_by_text("No zones are drawn yet for pole.")).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("link", name="Go to Zones").click()
    expect(page.get_by_role("heading", name="Zones", exact=True, level=1)).to_be_visible(timeout=SLOW_MS)
    svg = page.get_by_role("application", name="Zones over the picture")
    expect(svg).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("button", name="Rectangle").click()
    box = svg.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] - 2, steps=4)
    page.mouse.up()
    page.keyboard.press("Control+s")
    expect(page.get_by_text(re.compile(r"px · version 1$"))).to_be_visible(timeout=SLOW_MS)
    assert read_zones(zones_path(project, "pole")).version == 1

    # measure
    go(page, "Statistics")
    name = page.get_by_role("textbox", name="Result name")
    name.fill("first-look")
    name.press("Enter")
    bins = page.get_by_role("spinbutton", name="Time bins, s")
    bins.fill("1")
    bins.press("Enter")
    page.get_by_role("button", name="Start", exact=True).click()
    until(lambda: store.list(kind="zone_stats") and store.list(kind="zone_stats")[0].state.is_over, 120)
    (job,) = store.list(kind="zone_stats")
    assert job.state is JobState.SUCCEEDED, job.reason
    out = project.root / "statistics" / "first-look"
    assert verify(out).counts["videos"] == 1
    times = pd.read_parquet(out / "birds.parquet").set_index(["bird", "zone"]).time_s
    assert times["red", "zone 1"] == pytest.approx(1.6) and times["blue", "zone 1"] == pytest.approx(2.5)

    # plots, and the frame behind a point
    page.get_by_role("button", name="View results").click(timeout=SLOW_MS)
    expect(page.get_by_role("heading", name="Birds in each zone over time")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text(re.compile(r"north, frame \d+"))).to_be_visible(timeout=SLOW_MS)
    charts = page.get_by_test_id("stVegaLiteChart")
    expect(charts).to_have_count(2, timeout=SLOW_MS)
    slider = page.get_by_role("slider", name="Time in the video, s")
    slider.press("Home")
    expect(page.get_by_text("north, frame 0")).to_be_visible(timeout=SLOW_MS)

    # compare, tables, methods
    page.get_by_text("Compare", exact=True).first.click()
    expect(page.get_by_text("Lines: one standard error")).to_be_visible(timeout=SLOW_MS)
    page.get_by_text("Tables", exact=True).click()
    rows = page.get_by_role("button", name="Download these rows (CSV)")
    expect(rows).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_test_id("stDataFrame").last).to_be_visible(timeout=SLOW_MS)
    with page.expect_download(timeout=SLOW_MS) as download:
        rows.click()
    assert {"bird", "zone", "time_s"} <= set(pd.read_csv(download.value.path()).columns)
    page.get_by_text("Methods and files", exact=True).click()
    expect(page.get_by_text(re.compile("block bootstrap"))).to_be_visible(timeout=SLOW_MS)

    # report and workbook
    with page.expect_download(timeout=SLOW_MS) as download:
        page.get_by_role("button", name="Report (HTML)").click()
    report = Path(download.value.path())
    with page.expect_download(timeout=SLOW_MS) as download:
        page.get_by_role("button", name="Workbook (XLSX)").click()
    book = openpyxl.load_workbook(io.BytesIO(Path(download.value.path()).read_bytes()), read_only=True)
    assert {"about", "birds", "counts", "bouts", "pairs"} <= set(book.sheetnames)
    html = tmp_path / "report.html"
    html.write_bytes(report.read_bytes())
    page.goto(html.as_uri())
    pictures = page.locator("img")
    assert pictures.count() >= 4
    assert pictures.evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 300)")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
