"""The whole story in a real browser: from a video nobody has seen to a report, with a model trained on the way.

Nothing is put in from outside: two birds get a stroke each, their outlines are carried through the clip, a network of
the smallest kind learns from them, and what it finds is tracked, reviewed and counted. The rendered lek says what is
true; the model is no good one, so the bounds only tell found from not found.

On a real clip nobody knows what is true: what the person outlined stands for it. It is slow, and needs the clip:
``LEKTRACK_TEST_DATA=FOLDER python -m pytest -m slow tests/e2e/test_whole_story.py``.

The pictures of the user guide come of it:
``LEKTRACK_PICTURES=docs/pictures python -m pytest -m browser tests/e2e/test_whole_story.py``.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from backend.jobs import JobStore
from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.recording import TRUTH, record
from backend.masks import rle
from backend.masks.indexed import read_labels
from backend.pipeline.detections import open_detections
from backend.project.manifest import verify
from backend.project.paths import Project
from backend.tracking.tracks.edits import read_log
from backend.tracking.tracks.track_folder import open_tracks
from tests.e2e import story as acts
from tests.e2e.story import PATIENT_MS, Story
from tests.e2e.story_review import review
from tests.web.servers import Server, app_server, installation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(3600)]

SIZE, SECONDS = (640, 360), 6.0
WEST = 0.5  # share of the picture's width that is the zone
DATA = "LEKTRACK_TEST_DATA"  # a folder with real material, which the project does not contain
CLIP = "video/ducks.mp4"
LEFT, SWIMMER = [(112, 228), (135, 258), (150, 265)], [(265, 195), (275, 205), (295, 207)]
DUCKS = {  # frame: a stroke along each of the four large ducks, px: left, swimming, middle, right
    0: [LEFT, SWIMMER, [(305, 230), (330, 235), (352, 255)], [(372, 205), (390, 200), (405, 205)]],
    20: [LEFT, SWIMMER, [(305, 230), (330, 235), (352, 250)], [(372, 205), (390, 200), (408, 205)]],
    40: [LEFT, SWIMMER, [(305, 240), (330, 235), (350, 212)], [(374, 205), (388, 198), (405, 195)]],
    60: [
        [(115, 222), (118, 245), (148, 262)], SWIMMER, [(305, 240), (335, 235), (355, 225)],
        [(378, 205), (390, 200), (405, 178)],
    ],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything happens; its path is seen in pictures."""
    return tmp_path_factory.mktemp("season")


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """The app, with one computing thread a job: on a machine with other work, more threads wait for each other."""
    (folder / "videos").mkdir()
    app = app_server(installation(folder, allowed_roots=(folder / "videos",)))
    app.env["OMP_NUM_THREADS"] = "1"
    try:
        yield app.start()
    finally:
        app.kill()  # how fast it ends is another test's question


def begin(server: Server, page: Page, folder: Path, video: str, frames: int, part: int = 0) -> Story:
    """Sign in."""
    page.set_viewport_size({"width": 1280, "height": 860})
    page.goto(server.sign_in_url)
    expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible(timeout=PATIENT_MS)
    return Story(page, Project(folder / "project"), JobStore(server.state), video, SIZE, frames, part)


def play(
    story: Story, folder: Path, strokes: dict[int, list[acts.Stroke]], class_name: str, epochs: int, every: int
) -> float:
    """Go through all pages once; return the best mask AP at IoU 0.5 of the training."""
    acts.add_video(story, folder / "videos")
    acts.annotate(story, strokes, class_name)
    acts.export_frames(story, every)
    acts.make_set(story, class_name)
    ap50 = acts.train(story, 160, epochs)
    found = acts.find_birds(story)
    assert verify(found).counts["frames"] == story.part
    tracked = acts.track(story, len(strokes[0]))
    verdicts = review(story, tracked)
    log = read_log(story.project.root / "corrections" / story.video / f"{found.name}.jsonl")
    if verdicts:
        assert [act.verdict for act in log] == ["right" if verdict else "wrong" for verdict in verdicts]
    else:
        assert {act.act for act in log} == {"keep"}
    acts.draw_zone(story, WEST)
    out = acts.measure(story, folder / "report.html")
    verify(out)
    assert not story.complaints
    story.go("Home")
    story.shows("Nothing is running or queued.")
    story.shows("Statistics: 1 run")
    story.page.goto((folder / "report.html").as_uri())
    pictures = story.page.locator("img")
    assert pictures.count() >= 4
    assert pictures.evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 300)")
    return ap50


def test_the_whole_story_on_a_rendered_lek(server: Server, page: Page, folder: Path) -> None:
    lek = folder / "lek"
    record(lek, LekSettings(2, SECONDS, 5, size=SIZE, difficulty=difficulty("easy", 0.0)))
    shutil.copy(lek / "video.mp4", folder / "videos" / "lek-west.mp4")
    truth = pq.read_table(lek / TRUTH).to_pandas()
    frames = truth.frame.nunique()
    story = begin(server, page, folder, "lek-west", frames)
    strokes = {0: [stroke_along(mask) for mask in true_masks(truth, 0)]}
    ap50 = play(story, folder, strokes, "ruff", epochs=8, every=2)

    masks = story.project.segannot("lek-west")
    for frame, least in ((0, 0.6), (frames - 1, 0.3)):
        labels = read_labels(masks / f"{frame:06d}.png")
        shares = [iou(labels == number, mask) for number, mask in enumerate(true_masks(truth, frame), 1)]
        assert min(shares) > least, (frame, shares)
    assert ap50 > 0.3
    share = found_share(story.newest("inference"), truth)
    assert share > 0.5
    tracks = open_tracks(story.newest("track"))
    assert len(tracks.names) == 2
    counts = pd.read_parquet(story.newest("zone_stats") / "counts.parquet").set_index("zone")
    assert 1 < counts.birds["west court"] < 4  # in truth 2, all the time


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_whole_story_on_a_real_clip(server: Server, page: Page, folder: Path) -> None:
    """Ducks on a pond, the first seconds of the clip; four frames are drawn by hand, as white birds touch."""
    clip = Path(os.environ.get(DATA, "")) / CLIP
    if DATA not in os.environ or not clip.is_file():
        pytest.skip(f"{DATA} names no folder with {CLIP}")
    shutil.copy(clip, folder / "videos" / "ducks.mp4")
    story = begin(server, page, folder, "ducks", 927, part=80)
    ap50 = play(story, folder, DUCKS, "duck", epochs=16, every=2)

    masks = story.project.segannot("ducks")
    outlined = boxes({frame: read_labels(masks / f"{frame:06d}.png") for frame in range(story.part)})
    assert outlined.groupby("bird").frame.nunique().to_dict() == {bird: story.part for bird in (1, 2, 3, 4)}
    assert outlined.area.between(800, 5500).all()  # px; no duck is lost, none swallows another
    assert ap50 > 0.3
    assert found_share(story.newest("inference"), outlined) > 0.5
    tracks = open_tracks(story.newest("track"))
    assert len(tracks.names) == 4
    counts = pd.read_parquet(story.newest("zone_stats") / "counts.parquet").set_index("zone")
    assert counts.loc["west court", "watched_s"] == pytest.approx(story.part / 29.97, abs=0.01)
    assert np.isfinite(counts[["birds", "birds_seen", "birds_interpolated", "birds_missing"]].to_numpy()).all()
    assert 1 < counts.birds["west court"] < 4  # on the pictures 2, and one of the others stands at the line
    assert "west court" in (folder / "report.html").read_text()


def boxes(frames: dict[int, np.ndarray]) -> pd.DataFrame:
    """Return ``bird``, ``area`` and box of each outline in label maps, (H, W) uint8, by frame; px."""
    rows = []
    for frame, labels in frames.items():
        for bird in np.unique(labels[labels > 0]):
            ys, xs = np.nonzero(labels == bird)
            box = {"x1": xs.min(), "y1": ys.min(), "x2": xs.max() + 1, "y2": ys.max() + 1}
            rows.append({"frame": frame, "bird": int(bird), "area": len(xs), **box})
    return pd.DataFrame(rows)


def true_masks(truth: pd.DataFrame, frame: int) -> list[np.ndarray]:
    """Return the (H, W) bool mask of each bird in a frame, by its number."""
    rows = truth[truth.frame == frame].sort_values("bird")
    return [rle.decode(codes, SIZE[1], SIZE[0]).astype(bool) for codes in rows.rle]


def stroke_along(mask: np.ndarray) -> acts.Stroke:
    """Return the line a person draws on a bird: along its body, short of its ends."""
    ys, xs = np.nonzero(mask)
    points = np.column_stack([xs, ys]).astype(float)
    middle = points.mean(0)
    along = np.linalg.svd(points - middle, full_matrices=False)[2][0]
    ends = np.percentile((points - middle) @ along, [15, 50, 85])
    return [tuple(middle + along * end) for end in ends]


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Return intersection over union of two bool masks."""
    return float((first & second).sum() / max(1, (first | second).sum()))


def found_share(run: Path, truth: pd.DataFrame) -> float:
    """Return the share of birds and frames in which the middle of a detection is on the bird."""
    part = [each.detections for each in open_detections(run).without_masks()]
    frame = np.concatenate([each.frame for each in part])
    boxes = np.concatenate([each.boxes for each in part])
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    hit = [
        ((frame == row.frame) & (row.x1 < x) & (x < row.x2) & (row.y1 < y) & (y < row.y2)).any()
        for row in truth.itertuples()
    ]
    return float(np.mean(hit))
