"""From masks to a training set in a real browser: pairs, a folder from elsewhere, start, and a look at the result."""

import json
import re

import cv2
import pytest
from playwright.sync_api import Page, expect

from tests.label_folders import make_pair
from tests.web.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
SLOW_MS = 60_000


def test_a_set_is_made_from_proposed_pairs_and_looked_at(running_app: Server, page: Page, tmp_path):
    """What the page promises: nothing to type, an explicit end, the birds in their colours."""
    project = tmp_path / "project"
    make_pair(project, "lek-north", range(0, 1500, 50), 3, size=(320, 192))
    field = tmp_path / "videos" / "field"
    elsewhere = make_pair(field, "lek-south", range(0, 1500, 50), 2, size=(320, 192), classes=("reeve",))
    page.goto(running_app.sign_in_url)
    expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible(timeout=SLOW_MS)
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Create COCO JSON", exact=True).click()
    expect(page.get_by_role("heading", name="Create COCO JSON", level=1)).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("30 images with a mask · classes: ruff")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("24 images for training")).to_be_visible()

    # folders from elsewhere find each other by name
    page.get_by_text("Other folders").click()
    for folder, action in zip(elsewhere, ("Add image folders", "Add mask folders"), strict=True):
        picker = page.locator(".picker").filter(has=page.get_by_role("button", name=re.compile(action)))
        picker.get_by_label("Allowed folders").select_option(str(tmp_path / "videos"))
        picker.get_by_role("option", name=re.compile("^field")).click(timeout=SLOW_MS)
        picker.get_by_role("option", name=re.compile(folder.parent.name)).click(timeout=SLOW_MS)
        picker.get_by_role("option", name=re.compile("lek-south")).locator(".tick").click(timeout=SLOW_MS)
        picker.get_by_role("button", name=re.compile(action)).click()
        expect(page.get_by_text("Masks of lek-south")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("classes: reeve")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("48 images for training")).to_be_visible(timeout=SLOW_MS)

    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("is ready: 48 images for training, 12 for validation")).to_be_visible(timeout=SLOW_MS)
    train = json.loads((project / "COCO_jsons" / "lek_train.json").read_text())
    assert len(train["images"]) == 48 and [entry["name"] for entry in train["categories"]] == ["ruff", "reeve"]

    page.get_by_text("Browse", exact=True).click()
    shown = page.get_by_test_id("stImage").locator("img").first
    expect(shown).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("Where the frames went")).to_be_visible(timeout=SLOW_MS)
    drawings = page.locator(".report img")
    assert drawings.count() == 8
    assert drawings.evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 100)")
    page.get_by_text("Augmentation preview", exact=True).click()
    expect(page.get_by_text("Local equalisation (CLAHE)")).to_be_visible(timeout=SLOW_MS)
    assert cv2.imread(str(project / "COCO_jsons" / train["images"][0]["file_name"])) is not None
