"""The first hour with Lektrack in a real browser: sign in, add a video, export, stop, kill the app, come back."""

import re
import shutil
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from backend.jobs import JobState, JobStore
from tests.videos import write_video
from tests.web.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SLOW_MS = 60_000


def until(question: Callable[[], object], limit_s: float = 60.0) -> object:
    """Ask until the answer is true; return it."""
    end = time.monotonic() + limit_s
    while not (answer := question()):
        assert time.monotonic() < end, f"still no answer after {limit_s} s"
        time.sleep(0.1)
    return answer


def go(page: Page, name: str) -> None:
    """Open a page by the sidebar; press twice, as people do, where Streamlit lost the first click in a rerun."""
    link = page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True)
    heading = page.get_by_role("heading", name=name, level=1)
    link.click()
    try:
        expect(heading).to_be_visible(timeout=SLOW_MS)
    except AssertionError:
        link.click()
        expect(heading).to_be_visible(timeout=SLOW_MS)


def test_sign_in_add_a_video_export_frames_stop_kill_the_app_and_come_back(running_app: Server, page: Page, tmp_path):
    """What the README's tour promises, from the first visit to a restart of the app."""
    write_video(tmp_path / "videos" / "lek-north.mp4", 600, size=(1920, 1080))

    # sign in by the link of the terminal
    page.goto(running_app.sign_in_url)
    expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible(timeout=SLOW_MS)
    assert "token" not in page.url

    # say who you are
    page.get_by_role("link", name="Who are you?").click()
    page.get_by_label("Your name").fill("Zoltán")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="Zoltán")).to_be_visible(timeout=SLOW_MS)

    # add the video with the keyboard
    page.get_by_role("link", name=re.compile("Add videos")).click()
    expect(page.get_by_role("heading", name="Videos", level=1)).to_be_visible(timeout=SLOW_MS)
    page.get_by_label("Allowed folders").select_option(str(tmp_path / "videos"))
    expect(page.get_by_role("option", name=re.compile("lek-north"))).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("listbox", name="Files and folders").press("Home")
    page.keyboard.press("Space")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Added lek-north.")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("600 frames")).to_be_visible()

    # export a few frames and watch the job end
    go(page, "Export frames")
    page.get_by_text("Every Nth frame", exact=True).click()
    expect(page.get_by_text("24 images")).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("24 exported frames")).to_be_visible(timeout=SLOW_MS)
    folder = tmp_path / "project" / "exported_frames" / "lek-north"
    assert sorted(path.name for path in folder.glob("*.png")) == [f"{frame:06d}.png" for frame in range(0, 600, 25)]
    expect(page.get_by_text("frame 25", exact=True)).to_be_visible(timeout=SLOW_MS)

    # start a long one and stop it
    page.get_by_text("All frames", exact=True).click()
    expect(page.get_by_text("600 images")).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("button", name="Start").click()
    until(lambda: len(list(folder.glob("*.png"))) > 24)
    page.get_by_role("button", name="Stop").click(timeout=SLOW_MS)
    expect(page.get_by_text("stopped on request").first).to_be_visible(timeout=SLOW_MS)
    store = JobStore(running_app.state)
    assert [job.state for job in store.list()] == [JobState.STOPPED, JobState.SUCCEEDED]
    assert {job.user for job in store.list()} == {"Zoltán"}
    kept = len(list(folder.glob("*.png")))
    assert 24 <= kept < 600

    # go on with it, and kill the app while it runs
    page.get_by_role("button", name="Retry").click()
    until(lambda: store.list()[0].state is JobState.RUNNING)
    running_app.kill()
    running_app.start()
    page.goto(running_app.sign_in_url)
    go(page, "Jobs")
    until(lambda: store.list()[0].state is JobState.SUCCEEDED, 120)
    page.get_by_text("Finished", exact=True).click()
    expect(page.get_by_text("Export 600 frames of lek-north")).to_be_visible(timeout=SLOW_MS)
    assert [job.state for job in store.list()] == [JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert len(list(folder.glob("*.png"))) == 600
    shutil.rmtree(folder)
