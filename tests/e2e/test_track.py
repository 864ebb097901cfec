"""Tracking in a real browser: form, job, result in plain words, lanes, doubts and trails."""

import re

import pytest
from playwright.sync_api import Page, expect

from backend.jobs import JobState, JobStore
from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.recording import record
from backend.lek.simulated_run import detect
from backend.project.paths import Project
from backend.tracking.tracks.track_folder import open_tracks
from backend.video.library import add_video
from tests.e2e.test_first_hour import SLOW_MS, go, until
from tests.web.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def test_track_and_look_at_the_result(running_app: Server, page: Page, tmp_path):
    lek = tmp_path / "videos" / "lek"
    record(lek, LekSettings(4, 12.0, 5, size=(320, 192), difficulty=difficulty("normal")))
    project = Project(tmp_path / "project")
    page.goto(running_app.sign_in_url)
    go(page, "Track")
    expect(page.get_by_text("Run inference on a video first.")).to_be_visible(timeout=SLOW_MS)

    add_video(project, lek / "video.mp4", [tmp_path / "videos"])
    run = project.inference_output("video", "night")
    run.mkdir(parents=True)
    detect(lek, run, "normal")
    page.reload()
    birds = page.get_by_label(re.compile("Birds in the video"))
    birds.fill("4", timeout=SLOW_MS)
    birds.press("Enter")
    page.get_by_text("Learn the appearance of each bird first").click()  # not in a test of a minute
    page.get_by_role("button", name="Start", exact=True).click(timeout=SLOW_MS)
    store = JobStore(running_app.state)
    until(lambda: store.list(kind="track") and store.list(kind="track")[0].state.is_over, 240)
    (job,) = store.list(kind="track")
    assert job.state is JobState.SUCCEEDED, job.reason
    assert len(open_tracks(job.output).names) == 4

    page.get_by_role("button", name="View result").click(timeout=SLOW_MS)
    expect(page.get_by_text(re.compile(r"4 birds\. Expected identity error"))).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("heading", name=re.compile("Doubts"))).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_test_id("stImage").first).to_be_visible(timeout=SLOW_MS)
    alerts = page.get_by_test_id("stAlert")  # a film has no descriptors yet
    expect(alerts).to_have_count(1)
    expect(alerts).to_contain_text("motion alone")
