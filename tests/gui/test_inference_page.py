"""The page of inference: what it submits, what it shows of a run, and what it says where something is missing."""

from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from backend.describe import DescribeSettings
from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.load import build_detector
from backend.detectors.weights import write_weights
from backend.jobs import JobStore, Slot
from backend.jobs.script import ScriptParser
from backend.project.paths import Project
from backend.track import TrackSettings
from backend.video import load_index
from backend.video.library import add_video
from backend.zone_stats import parse as parse_statistics
from backend.zones.zone_file import Zones, save_zones, zones_path
from tests.detection_runs import make_run
from tests.gui.pages import button, opened
from tests.videos import write_video

BOXES = {0: [(10, 10, 30, 40), (50, 20, 60, 30)], 30: [(100, 50, 140, 90)] * 3}
SCORES = {0: [0.9, 0.4], 30: [0.8, 0.7, 0.6]}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """General weights of a small network, untrained."""
    settings = DetectorSettings(class_names=("bird", "cat"), backbone="mobilenet_v3_large", short_side_px=64)
    path = tmp_path_factory.mktemp("weights") / "general.safetensors"
    torch.manual_seed(0)
    write_weights(path, build_detector(settings).network.state_dict(), settings)
    return path


@pytest.fixture
def project(installed: Project, tmp_path: Path) -> Project:
    """A project with two videos, and one run on the first of them."""
    videos = tmp_path / "videos"
    for name, camera in (("north", "a"), ("south", "b")):
        add_video(installed, write_video(videos / f"{name}.mp4", 60, gop=len(name) * 2), [videos], camera=camera)
    run = make_run(installed.inference_output("north", "ruffs-1"), BOXES, 60, scores=SCORES, video="north")
    run.manifest.inputs["video_identity"] = load_index(videos / "north.mp4").identity
    run.manifest.write(run.folder)
    return installed


@pytest.fixture
def general(project, weights):
    folder = project.root / "weights"
    folder.mkdir()
    (folder / weights.name).symlink_to(weights)
    return folder / weights.name


def said(app: AppTest) -> str:
    return "\n".join(each.value for each in (*app.markdown, *app.caption, *app.info)).replace("\\", "")


def test_without_a_model_the_page_says_how_to_get_one(project):
    app = opened("inference")
    assert "lektrack admin weights fetch coco_resnet50" in said(app)
    assert "Start" not in [each.label for each in app.button]


def test_start_queues_one_job_a_video_in_order_with_what_was_chosen(project, general):
    app = opened("inference")
    next(box for box in app.checkbox if box.label == "All 2 videos").check().run()
    next(field for field in app.number_input if field.label.startswith("Process every")).set_value(5).run()
    next(slider for slider in app.slider if slider.label.startswith("Crop: left")).set_value((40, 120)).run()
    assert "2 videos, 24 frames" in said(app)
    button(app, "Start").click().run()
    assert not app.exception
    jobs = list(reversed(JobStore().list(kind="inference")))
    assert [job.videos for job in jobs] == [("north",), ("south",)]
    command = list(jobs[0].command)
    assert command[:2] == ["-m", "backend.inference"]
    for name, value in (("--stride", "5"), ("--class-names", "bird"), ("--crop-from-x", "40"), ("--crop-to-x", "120")):
        assert command[command.index(name) + 1] == value
    assert "--resume" in command
    assert jobs[0].output.parent == project.root / "inference_output" / "north"
    assert (jobs[0].slot, jobs[0].resumable) == (Slot.CPU, True)
    assert "Queued, in this order (2)" in "\n".join(each.value for each in app.subheader)
    for job in jobs:
        JobStore().stop(job.id)


def test_tracking_and_statistics_follow_each_video_once_the_step_before_has_succeeded(project, general):
    save_zones(zones_path(project, "a"), Zones(image_size=(160, 96)), 0)
    app = opened("inference")
    next(each for each in app.toggle if each.label == "Track afterwards").set_value(True).run()
    next(field for field in app.number_input if field.label.startswith("Birds per video")).set_value(3).run()
    next(each for each in app.toggle if each.label == "Compute statistics afterwards").set_value(True).run()
    button(app, "Start").click().run()
    assert not app.exception
    found, describe, track, statistics = jobs = list(reversed(JobStore().list()))
    assert [job.kind for job in jobs] == ["inference", "describe", "track", "zone_stats"]
    assert [job.after for job in jobs] == [(), (found.id,), (describe.id,), (track.id,)]
    assert describe.slot is Slot.GPU
    assert track.output == project.track_output("north", found.output.name)
    for job, words in (
        (track, ["--detections", str(found.output), "--n-birds", "3", "--zones", str(zones_path(project, "a"))]),
        (statistics, ["--tracks", str(track.output), "--out", str(statistics.output)]),
    ):
        assert set(words) <= set(job.command)
    ScriptParser("backend.describe", None).settings(DescribeSettings, [*describe.command[2:], "--gpu-id", "cpu"])
    ScriptParser("backend.track", None).settings(TrackSettings, list(track.command[2:]))
    parse_statistics(list(statistics.command[2:]))
    JobStore().stop(found.id)


def test_statistics_wait_for_the_zones_of_every_camera(project, general):
    app = opened("inference")
    next(each for each in app.toggle if each.label == "Track afterwards").set_value(True).run()
    statistics = next(each for each in app.toggle if each.label == "Compute statistics afterwards")
    assert statistics.disabled and "Draw zones first for: a." in statistics.help


@pytest.mark.parametrize(
    ("part", "expected"), [((0, 0), ["6", "0", "60"]), ((20, 42), ["2", "20", "40"])], ids=["all of it", "a part"]
)
def test_the_trial_looks_at_ten_frames_spread_over_the_video(project, general, part, expected):
    app = opened("inference")
    for label, value in zip(("First frame", "End frame, not included (0: to the end)"), part, strict=True):
        next(each for each in app.number_input if each.label == label).set_value(value).run()
    button(app, "Test on 10 frames").click().run()
    (job,) = JobStore().list(kind="inference_trial")
    command = list(job.command)
    names = ("--stride", "--frame-start", "--frame-end")
    assert [command[len(command) - command[::-1].index(name)] for name in names] == expected
    assert job.output.is_relative_to(project.cache)
    JobStore().stop(job.id)


def test_the_viewer_shows_counts_odd_moments_and_any_frame(project):
    app = opened("inference", **{"inference-view": "Results"})
    assert "2 birds" not in said(app)  # the threshold hides the second one
    assert "1 bird at 0.00 s" in said(app)
    button(app, "30").click().run()
    assert "3 birds at 1.20 s" in said(app)
    next(slider for slider in app.slider if slider.label.startswith("Minimum score")).set_value(0.75).run()
    assert "1 bird at 1.20 s" in said(app)
    assert not app.exception


def test_a_video_without_a_run_says_so(project):
    app = opened("inference", **{"inference-view": "Results"})
    next(box for box in app.selectbox if box.label == "Video").select_index(1).run()
    assert "No detections for this video yet." in said(app)


def test_the_night_is_empty_at_first(project):
    assert "No jobs in the last 24 hours." in said(opened("inference", **{"inference-view": "Progress"}))
