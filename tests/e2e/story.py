"""The ornithologist of the whole story: one function a page, from a video to a report, and pictures on the way."""

import contextlib
import io
import os
import re
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect

from backend.jobs import Job, JobState, JobStore
from backend.project.paths import Project
from tests.e2e.test_first_hour import go, until

PATIENT_MS = 300_000  # the machine may have other work; nothing here is a measurement
PATIENT_S = PATIENT_MS / 1000
PICTURE_BYTES = 150_000
PICTURES = "LEKTRACK_PICTURES"  # a folder: the pages on the way are written there, for the user guide
Stroke = list[tuple[float, float]]


@dataclass
class Story:
    """One person at one browser. ``video`` is the slug of a video of so many ``frames``, px ``size``.

    ``part``: frames at its beginning that the person works on; all of them if not given.
    """

    page: Page
    project: Project
    store: JobStore
    video: str
    size: tuple[int, int]
    frames: int
    part: int = 0
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Work on the whole video where no part of it is asked for."""
        self.part = self.part or self.frames

    def go(self, name: str) -> None:
        """Open a page by the sidebar."""
        go(self.page, name)

    def picture(self, name: str, page: Page | None = None) -> None:
        """Write what the browser shows, if pictures are wanted: a PNG of few colours, small enough for a repository."""
        if PICTURES not in os.environ:
            return
        page = page or self.page
        page.mouse.move(1, 1)  # no button looks touched
        if page is self.page:
            page.get_by_role("heading", level=1).scroll_into_view_if_needed()
        page.evaluate("() => new Promise((done) => setTimeout(done, 3000))")  # fades and charts come to rest
        target = Path(os.environ[PICTURES])
        target.mkdir(parents=True, exist_ok=True)
        shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        for width, colours in (
            (1280, 256),
            (1000, 256),
            (900, 192),
            (800, 192),
            (720, 128),
        ):  # photographs need less of both
            small = shown.resize((width, shown.height * width // shown.width), Image.Resampling.LANCZOS)
            small.quantize(colours, dither=Image.Dither.NONE).save(target / f"{name}.png", optimize=True)
            if (target / f"{name}.png").stat().st_size <= PICTURE_BYTES:
                break

    def number(self, label: str | re.Pattern[str], value: float) -> None:
        """Type a number into a field of the page."""
        entry = self.page.get_by_role("spinbutton", name=label)
        entry.fill(f"{value:g}", timeout=PATIENT_MS)
        entry.press("Enter")

    def choose(self, label: str, option: str) -> None:
        """Choose in a list of the page."""
        box = self.page.get_by_test_id("stSelectbox").filter(has_text=label)
        box.locator("input").click(timeout=PATIENT_MS)
        self.page.get_by_role("option", name=option).click(timeout=PATIENT_MS)
        expect(box.locator("input")).to_have_value(re.compile(re.escape(option)), timeout=PATIENT_MS)

    def shows(self, words: str | re.Pattern[str]) -> Locator:
        """Wait until the page shows some words."""
        found = self.page.get_by_text(words).first
        expect(found).to_be_visible(timeout=PATIENT_MS)
        return found

    def press(self, name: str | re.Pattern[str]) -> None:
        """Press a button of the page."""
        self.page.get_by_role("button", name=name).first.click(timeout=PATIENT_MS)

    def unfold(self, name: str) -> None:
        """Open a folded part of the page."""
        self.page.locator("summary").filter(has_text=name).first.click(timeout=PATIENT_MS)

    def succeeded(self, kind: str, limit_s: float = 2700) -> Job:
        """Wait until the one job of a kind has ended well; return it."""
        until(lambda: self.store.list(kind=kind) and self.store.list(kind=kind)[0].state.is_over, limit_s)
        (job,) = self.store.list(kind=kind)
        assert job.state is JobState.SUCCEEDED, (job.reason, self.store.log_tail(job.id, lines=30))
        return job

    def newest(self, kind: str) -> Path:
        """Return what the newest job of a kind made."""
        return self.store.list(kind=kind)[0].output

    def opened(self, link: str) -> Page:
        """Follow a link of the page to a server of its own; return the new tab."""
        found = self.page.get_by_role("link", name=link)
        expect(found).to_be_visible(timeout=PATIENT_MS)
        with self.page.context.expect_page(timeout=PATIENT_MS) as opened:
            found.click()
        opened.value.on("pageerror", lambda error: self.complaints.append(str(error)))
        return opened.value


def add_video(story: Story, folder: Path) -> None:
    """Add the video of a folder by the picker, and see it on the Home page."""
    page = story.page
    page.get_by_role("link", name=re.compile("Add videos")).click(timeout=PATIENT_MS)
    page.get_by_label("Allowed folders").select_option(str(folder), timeout=PATIENT_MS)
    page.get_by_role("option", name=re.compile(story.video)).locator(".tick").click(timeout=PATIENT_MS)
    page.get_by_role("button", name=re.compile("^Add videos")).last.click()
    story.shows(f"Added {story.video}.")
    story.shows(f"{story.frames} frames")
    story.picture("videos")


def annotate(story: Story, strokes: dict[int, list[Stroke]], class_name: str) -> None:
    """Outline each bird with one stroke on some frames, frame 0 among them; carry the outlines from each to the next.

    From the last of them they are carried to the end.
    """
    story.go("Annotation")
    story.press(re.compile("Start$"))
    tool = story.opened("Open SegAnnot")
    expect(tool.get_by_text("Connected", exact=True)).to_be_visible(timeout=PATIENT_MS)
    tool.get_by_role("button", name="Close").click()
    quiet(tool)
    for number, points in enumerate(strokes[0], 1):
        tool.keyboard.press("a")
        until_true(tool, f"segannot.app.server.objects.length === {number}")
        draw(tool, points, story.size)
        if number == 1:  # the class of the first bird is that of those to come
            tool.get_by_label("Class").fill(class_name)
            tool.keyboard.press("Enter")
            until_true(tool, f"segannot.app.server.objects[0].class === '{class_name}'")
            tool.locator("#view").focus()
    quiet(tool)
    story.picture("segannot", tool)
    for frame, end in pairwise([*sorted(strokes), story.part - 1]):
        if frame:
            put_right(story, tool, frame, strokes[frame])
        tool.get_by_label("Propagate to frame").fill(str(end))
        tool.get_by_role("button", name="To frame").click()
        quiet(tool)
        until_true(tool, "segannot.app.server.task && segannot.app.server.task.state === 'done'")
        quiet(tool)
    expect(tool.get_by_text("All saved")).to_be_visible(timeout=PATIENT_MS)
    story.picture("segannot-carried", tool)
    tool.close()
    story.shows(re.compile(f"{story.part} frames, {len(strokes)} drawn or accepted"))
    story.picture("annotation")
    story.page.get_by_role("button", name="Stop", exact=True).first.click()
    until(lambda: story.store.list(kind="segannot")[0].state is JobState.STOPPED, PATIENT_S)


def put_right(story: Story, tool: Page, frame: int, strokes: list[Stroke]) -> None:
    """Go to a frame to which outlines were carried, and give each bird a stroke there."""
    entry = tool.get_by_label("Frame", exact=True)
    entry.fill(str(frame))
    entry.press("Enter")
    until_true(tool, f"segannot.app.frame === {frame}")
    quiet(tool)
    tool.locator("#view").focus()
    for number, points in enumerate(strokes, 1):
        tool.keyboard.press(str(len(strokes) + 1 - number))  # 1 is the bird in front, added last
        until_true(tool, f"segannot.app.selected === {number}")
        draw(tool, points, story.size)


def quiet(tool: Page) -> None:
    """Wait until SegAnnot has saved everything and shows the frame that was asked for."""
    until_true(tool, "segannot.pending().length === 0 && segannot.shownFrame() === segannot.app.frame")


def until_true(tool: Page, script: str) -> None:
    """Wait until a script is true in the page; the page's policy forbids Playwright's own way."""
    end = time.monotonic() + PATIENT_S
    while not tool.evaluate(script):
        assert time.monotonic() < end, script
        time.sleep(0.05)


def draw(tool: Page, points: Stroke, size: tuple[int, int]) -> None:
    """Draw a stroke through ``points``, px of the frame."""
    box = tool.locator("#view").bounding_box()
    scale = min(box["width"] / size[0], box["height"] / size[1])
    left, top = box["x"] + (box["width"] - size[0] * scale) / 2, box["y"] + (box["height"] - size[1] * scale) / 2
    for number, (x, y) in enumerate(points):
        tool.mouse.move(left + x * scale, top + y * scale, steps=5 if number else 1)
        if not number:
            tool.mouse.down()
    tool.mouse.up()
    quiet(tool)


def export_frames(story: Story, every: int) -> None:
    """Export every so many frames."""
    pictures = -(-story.part // every)
    story.go("Export frames")
    if story.part < story.frames:
        story.number("End frame (not included)", story.part)
        story.shows(re.compile(f"^frame {story.part - 1}, "))
    story.page.get_by_text("Every Nth frame", exact=True).click(timeout=PATIENT_MS)
    story.number(re.compile("^Every Nth frame"), every)
    story.shows(f"{pictures} images")
    story.press("Start")
    story.succeeded("export_frames")
    story.shows(f"{pictures} exported frames")
    story.picture("export")


def make_set(story: Story, class_name: str) -> None:
    """Make a training set of frames and outlines."""
    story.go("Create COCO JSON")
    story.shows(re.compile(f"images with a mask .* classes: {class_name}"))
    story.unfold("More settings")  # masks were made for all frames, images of some were exported
    toggle = story.page.get_by_test_id("stCheckbox").filter(has_text="Skip frames that do not match")
    for _ in range(10):  # a warning that appears above moves it from under the pointer
        toggle.locator("label").click(timeout=PATIENT_MS)
        with contextlib.suppress(AssertionError):
            expect(toggle.locator("input")).to_be_checked(timeout=15_000)
            break
    expect(toggle.locator("input")).to_be_checked(timeout=PATIENT_MS)
    story.press("Start")
    story.succeeded("mask2coco")
    story.shows(re.compile(r"is ready: \d+ images for training, \d+ for validation"))
    story.picture("coco")


def train(story: Story, short_side_px: int, epochs: int) -> float:
    """Train the smallest network from random weights; return its best mask AP at IoU 0.5, from 0 to 1."""
    from backend.training.history import read_history
    from backend.training.model_folder import ModelFolder

    story.go("Train")
    story.shows(re.compile(r"^\d+ images, \d+ animals, 1 class"))
    story.choose("Network", "MobileNet v3 FPN (smallest)")
    story.number("Epochs", epochs)
    story.number("Batch size", 4)
    story.number("Workers", 1)
    story.unfold("More settings")
    story.number("Input size (shorter side), px", short_side_px)
    story.number("Early stopping: evaluations without improvement (0: off)", 0)
    story.shows(re.compile(r"\d+ steps"))
    story.picture("train-new")
    story.page.get_by_role("button", name="Start", exact=True).click()
    job = story.succeeded("train")
    expect(story.page.get_by_test_id("stVegaLiteChart").first).to_be_visible(timeout=PATIENT_MS)
    story.shows(re.compile(r"^Step \d+, validation"))
    story.picture("train")
    story.go("Models")
    story.shows("Select a row to see the model card.")
    return max(each["metrics"]["mask"]["ap50"] for each in read_history(ModelFolder(job.output).history)["evaluations"])


def find_birds(story: Story) -> Path:
    """Try the model on ten frames, run it over the video, look at a frame; return the run's folder."""
    story.go("Inference")
    if story.part < story.frames:
        story.unfold("Frame range, crop, tiles")
        story.number("End frame, not included (0: to the end)", story.part)
    story.press("Test on 10 frames")
    story.succeeded("inference_trial")
    expect(story.page.get_by_text(re.compile(r"^frame \d+$"))).to_have_count(10, timeout=PATIENT_MS)
    story.picture("inference")
    score = story.page.get_by_role("slider", name="Minimum score")
    score.press("End")  # so small a model finds birds twice; the better outline has the higher score
    score.press("ArrowLeft")
    story.shows("0.90")
    story.page.get_by_role("button", name="Start", exact=True).click()
    job = story.succeeded("inference")
    story.shows(re.compile("Ready to review"))
    story.page.get_by_role("radio", name="Results").click()
    story.shows(re.compile(r"\d+ birds? at"))
    story.picture("inference-results")
    return job.output


def track(story: Story, birds: int) -> Path:
    """Track a known number of birds by motion alone; return the folder of the tracks."""
    story.go("Track")
    story.number(re.compile("Birds in the video"), birds)
    story.page.get_by_text("Learn the appearance of each bird first").click()  # minutes without a GPU
    story.page.get_by_role("button", name="Start", exact=True).click(timeout=PATIENT_MS)
    job = story.succeeded("track")
    story.press("View result")
    story.shows(re.compile(rf"{birds} birds\. Expected identity error"))
    story.picture("track")
    return job.output


def draw_zone(story: Story, share: float) -> None:
    """Draw one zone over the left ``share`` of the picture and save it."""
    page = story.page
    story.go("Zones")
    svg = page.get_by_role("application", name="Zones over the picture")
    expect(svg).to_be_visible(timeout=PATIENT_MS)
    page.get_by_role("button", name="Rectangle").click()
    box = svg.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] - 2, steps=4)
    page.mouse.up()
    name = page.get_by_label("Name")
    name.fill("west court")
    name.press("Tab")
    page.get_by_role("button", name="Save", exact=True).click()
    story.shows(re.compile(r"px · version 1$"))
    story.picture("zones")


def measure(story: Story, target: Path) -> Path:
    """Measure, look at plots and tables, download the report to ``target``; return the folder of the statistics."""
    page = story.page
    story.go("Statistics")
    story.number("Time bins, s", 1)
    page.get_by_role("button", name="Start", exact=True).click(timeout=PATIENT_MS)
    job = story.succeeded("zone_stats")
    story.press("View results")
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(2, timeout=PATIENT_MS)
    story.shows(re.compile(rf"{story.video}, frame \d+"))
    story.picture("statistics")
    page.get_by_text("Tables", exact=True).click()
    expect(page.get_by_role("button", name="Download these rows (CSV)")).to_be_visible(timeout=PATIENT_MS)
    with page.expect_download(timeout=PATIENT_MS) as download:
        page.get_by_role("button", name="Report (HTML)").click()
    target.write_bytes(Path(download.value.path()).read_bytes())
    return job.output
