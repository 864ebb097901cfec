"""Inference in a real browser: page, job and viewer, with a real video where there is one."""

import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page, expect

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.load import build_detector
from backend.detectors.weights import write_weights
from backend.jobs import JobState, JobStore
from backend.pipeline.detections import open_detections
from backend.project.manifest import verify
from backend.project.paths import Project
from backend.video.library import add_video
from tests.e2e.test_first_hour import SLOW_MS, go, until
from tests.videos import write_video
from tests.web.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

DATA = "LEKTRACK_TEST_DATA"  # a folder with real material, which the project does not contain
CLIP = "video/ducks.mp4"


@pytest.fixture(params=["rendered", pytest.param("ducks", marks=pytest.mark.slow)])
def video(request, tmp_path, running_app) -> Path:
    """A video in the project, and general weights (untrained: what they find is of no account here)."""
    target = tmp_path / "videos" / f"{request.param}.mp4"
    if request.param == "rendered":
        write_video(target, 200, size=(320, 192))
    else:
        clip = Path(os.environ.get(DATA, "")) / CLIP
        if DATA not in os.environ or not clip.is_file():
            pytest.skip(f"{DATA} names no folder with {CLIP}")
        shutil.copy(clip, target)
    project = Project(tmp_path / "project")
    add_video(project, target, [target.parent])
    settings = DetectorSettings(
        class_names=("bird", "cat"), backbone="mobilenet_v3_large", short_side_px=96, long_side_px=192, proposals=50
    )
    torch.manual_seed(0)
    (project.root / "weights").mkdir(parents=True)
    write_weights(
        project.root / "weights" / "general.safetensors", build_detector(settings).network.state_dict(), settings
    )
    return target


def test_try_start_watch_and_review(running_app: Server, page: Page, video: Path):
    store = JobStore(running_app.state)
    page.goto(running_app.sign_in_url)
    go(page, "Inference")

    # ten frames, shown in the page
    page.get_by_role("button", name="Test on 10 frames").click(timeout=SLOW_MS)
    until(lambda: store.list(kind="inference_trial") and store.list(kind="inference_trial")[0].state.is_over, 240)
    assert store.list(kind="inference_trial")[0].state is JobState.SUCCEEDED, store.list()[0].reason
    expect(page.get_by_text(re.compile(r"^frame \d+$"))).to_have_count(10, timeout=SLOW_MS)

    # the night, coarse so that it is short
    stride = page.get_by_label(re.compile("Process every Nth frame"))
    stride.fill("20")
    stride.press("Enter")
    expect(page.get_by_text(re.compile(r"1 video, \d+ frames"))).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("button", name="Start", exact=True).click(timeout=SLOW_MS)
    expect(page.get_by_text(re.compile(f"Inference on {video.stem}"))).to_be_visible(timeout=SLOW_MS)
    until(lambda: store.list(kind="inference") and store.list(kind="inference")[0].state.is_over, 300)
    (job,) = store.list(kind="inference")
    assert job.state is JobState.SUCCEEDED, job.reason
    expect(page.get_by_text(re.compile("Ready to review"))).to_be_visible(timeout=SLOW_MS)
    assert verify(job.output).counts["frames"] == len(open_detections(job.output).frames())

    # any frame, with its birds
    page.get_by_role("radio", name="Results").click()
    expect(page.get_by_text("frame 0", exact=True)).to_be_visible(timeout=SLOW_MS)
    number = page.get_by_label(re.compile("^Frame, "))
    number.fill("40")
    number.press("Enter")
    expect(page.get_by_text("frame 40", exact=True)).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text(re.compile(r"\d+ birds? at"))).to_be_visible()
