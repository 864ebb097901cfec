"""Training in a real browser: start, watch the curves, stop, go on, and find the model."""

import re

import pytest
import torch
from playwright.sync_api import Page, expect

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.load import build_detector
from backend.detectors.weights import write_weights
from backend.jobs import JobState, JobStore
from backend.mask2coco import main as make_set
from backend.project.manifest import verify
from backend.training.history import read_history
from backend.training.model_folder import ModelFolder
from tests.e2e.test_first_hour import SLOW_MS, go, until
from tests.label_folders import make_pair
from tests.web.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]


@pytest.fixture
def project(tmp_path, running_app):
    """A project with a data set and the weights of the smallest network."""
    folder = tmp_path / "project"
    images, masks = make_pair(folder, "lek", range(0, 1500, 50), 2, size=(96, 64))
    jsons = [str(folder / "COCO_jsons" / f"lek_{part}.json") for part in ("train", "val")]
    given = ["--img-folder-path", str(images), "--mask-folder-paths", str(masks), "--workers", "1"]
    make_set([*given, "--json-path-train", jsons[0], "--json-path-val", jsons[1]])
    settings = DetectorSettings(
        class_names=("ruff",),
        backbone="mobilenet_v3_large",
        norm="group",
        channels=16,
        short_side_px=64,
        long_side_px=96,
        anchor_sizes_px=(8, 16, 24, 32, 48),
        rois_in_training=8,
    )
    torch.manual_seed(0)
    (folder / "weights").mkdir(parents=True)
    weights = build_detector(settings).network.state_dict()
    write_weights(folder / "weights" / "small.safetensors", weights, settings)
    return folder


def fill(page: Page, label: str, value: str) -> None:
    """Type a number into a field and wait until the page has taken it."""
    field = page.get_by_role("spinbutton", name=label)
    field.fill(value)
    field.press("Enter")


def test_start_watch_stop_go_on_and_find_the_model(running_app: Server, page: Page, project):
    """What a person does on the evening and the morning after."""
    store = JobStore(running_app.state)
    page.goto(running_app.sign_in_url)
    go(page, "Train")
    expect(page.get_by_text(re.compile(r"^24 images, \d+ animals, 1 class: ruff$"))).to_be_visible(timeout=SLOW_MS)
    fill(page, "Workers", "1")
    fill(page, "Epochs", "10")
    expect(page.get_by_text("120 steps")).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("button", name="Start", exact=True).click()

    # live figures and curves
    expect(page.get_by_text("Train lek", exact=True)).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("Validation loss", exact=True)).to_be_visible(timeout=600_000)
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text(re.compile(r"^Step \d+, validation"))).to_be_visible(timeout=SLOW_MS)

    # stop, and go on from there
    page.get_by_role("button", name="Stop", exact=True).click()
    until(lambda: store.list(kind="train")[0].state.is_over, 300)
    (job,) = store.list(kind="train")
    assert job.state is JobState.STOPPED, job.reason
    folder = ModelFolder(job.output)
    before = read_history(folder.history)["points"][-1]["step"]
    assert before < 120
    page.get_by_role("button", name=re.compile("Retry")).click(timeout=SLOW_MS)
    until(lambda: len(store.list(kind="train")) > 1 or not store.list(kind="train")[0].state.is_over, 60)
    until(lambda: all(each.state.is_over for each in store.list(kind="train")), 1200)
    assert store.list(kind="train")[0].state is JobState.SUCCEEDED, store.list(kind="train")[0].reason
    steps = [point["step"] for point in read_history(folder.history)["points"]]
    assert steps == sorted(set(steps)) and steps[-1] == 120
    verify(folder.root)

    # the model and its card
    go(page, "Models")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("Select a row to see the model card.")).to_be_visible()
