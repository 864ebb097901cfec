import csv
import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from backend.import_detections import main as import_detections
from backend.masks.rle import decode
from backend.pipeline.detections import open_detections
from backend.pipeline.export_pictures import write_video as write_drawn
from backend.pipeline.frame_views import frame_views
from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.project.paths import Project
from backend.tracking.tracks.track_folder import write_tracks
from backend.video import VideoReader, load_index
from backend.video.encode import VideoWriter
from backend.video.library import add_video, relink_video
from backend.visualize import main
from tests.detection_runs import make_run
from tests.pipeline.test_frame_views import tracks
from tests.videos import write_video

BOXES = {0: [(10, 10, 30, 40), (50, 20, 60, 30)], 7: [(100, 50, 140, 90)]}
SCORES = {0: [0.9, 0.4], 7: [0.8]}
N_FRAMES = 12


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "state"))
    return make_run(tmp_path / "run", BOXES, N_FRAMES, scores=SCORES, chunk_frames=5)


@pytest.fixture
def video(tmp_path, run):
    """The video that the run says it is of."""
    path = write_video(tmp_path / "lek.mp4", N_FRAMES)
    run.manifest.inputs.update(video_path=str(path), video_identity=load_index(path).identity)
    run.manifest.write(run.folder)
    return path


def visualize(run, *more):
    main(["--detections", str(run.folder), *more])
    return run.folder / "visualize"


def test_coco_results_hold_every_detection_above_the_threshold_with_boxes_masks_and_ids_from_1(run):
    out = visualize(run, "--to", "coco", "--score-threshold", "0.3")
    rows = json.loads((out / "coco_results.json").read_text())
    assert [(row["image_id"], row["category_id"], row["bbox"]) for row in rows] == [
        (1, 1, [10, 10, 20, 30]),
        (1, 1, [50, 20, 10, 10]),
        (8, 1, [100, 50, 40, 40]),
    ]
    assert [coco.area(row["segmentation"]) for row in rows] == [600, 100, 1600]
    assert verify(out).counts["frames"] == N_FRAMES


def test_coco_results_without_a_bird_are_an_empty_list(run):
    out = visualize(run, "--to", "coco", "--from-frame", "1", "--to-frame", "5")
    assert json.loads((out / "coco_results.json").read_text()) == []


def test_mot_text_counts_frames_from_1_and_has_id_minus_1_without_tracks(run):
    out = visualize(run, "--to", "mot")
    assert (out / "mot.txt").read_text().splitlines() == [
        "1,-1,10.00,10.00,20.00,30.00,0.9000,-1,-1,-1",
        "8,-1,100.00,50.00,40.00,40.00,0.8000,-1,-1,-1",
    ]


def test_csv_can_be_read_back(run):
    with open(visualize(run, "--to", "csv") / "detections.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["time_s"], row["class"], row["x2"], row["area_px2"]) for row in rows] == [
        ("0", "0.000000", "bird", "30.00", "600"),
        ("7", "0.280000", "bird", "140.00", "1600"),
    ]


def test_yolo_has_a_file_for_every_frame_and_shares_of_the_frame(run):
    out = visualize(run, "--to", "yolo")
    assert len(list((out / "labels").iterdir())) == N_FRAMES
    assert (out / "labels" / "000001.txt").read_text() == ""
    number, *values = (out / "labels" / "000007.txt").read_text().split()
    assert number == "0"
    assert [float(value) for value in values] == pytest.approx([120 / 160, 70 / 96, 40 / 160, 40 / 96, 0.8], abs=1e-6)
    assert (out / "classes.txt").read_text() == "bird\n"


def test_masks_are_16_bit_and_hold_the_number_of_the_detection_plus_1(run):
    out = visualize(run, "--to", "masks", "--score-threshold", "0")
    picture = cv2.imread(str(out / "masks" / "000000.png"), cv2.IMREAD_UNCHANGED)
    assert (picture.dtype, picture.shape) == (np.uint16, (96, 160))
    birds = run.at(0)
    for k in range(2):
        assert ((picture == k + 1) == decode(birds.counts(k), 96, 160)).all()


def test_the_video_has_every_frame_at_its_time_with_the_birds_in_it(run, video):
    out = visualize(run, "--to", "mp4", "--width", "320")
    with VideoReader(video) as before, VideoReader(out / "birds.mp4") as drawn:
        assert len(drawn) == N_FRAMES
        assert drawn.size == (320, 192)
        assert np.allclose(drawn.times, before.times, atol=1e-4)
        plain = cv2.resize(before.read([7])[0], (320, 192)).astype(int)
        changed = np.abs(drawn.read([7])[0].astype(int) - plain).max(-1) > 40
    assert changed[110:170, 210:270].mean() > 0.8
    assert changed[:60, :150].mean() < 0.1


@pytest.mark.parametrize("width", [320, 1280], ids="{} px wide".format)
def test_the_video_has_the_colours_of_the_original(run, tmp_path, width):
    with VideoReader(colourful(tmp_path / "lek.mp4", N_FRAMES)) as reader:
        before = reader.read([5])[0].astype(int)
        write_drawn(tmp_path, frame_views(run), run.facts, reader, width)
    with VideoReader(tmp_path / "birds.mp4") as drawn:
        shown = cv2.resize(drawn.read([5])[0], (160, 96), interpolation=cv2.INTER_AREA).astype(int)
    for x in range(16, 160, 32):
        assert np.abs(shown[48, x] - before[48, x]).max() <= 4, x


def colourful(path, n_frames):
    """Write a video of five plain colours side by side."""
    picture = np.zeros((96, 160, 3), np.uint8)
    for place, colour in enumerate([(200, 40, 40), (40, 160, 40), (40, 40, 200), (200, 180, 40), (120, 90, 60)]):
        picture[:, 32 * place : 32 * (place + 1)] = colour
    with open(path, "wb") as file, VideoWriter(file, (160, 96), 25, 10, 12) as writer:
        for _ in range(n_frames):
            writer.write(picture)
    return path


def test_tracks_give_their_numbers_names_and_interpolated_birds(run, tmp_path):
    folder = tmp_path / "tracks"
    folder.mkdir()
    write_tracks(folder, tracks())
    (folder / "manifest.json").write_text(
        json.dumps(
            {
                **{"script": "track", "complete": True, "inputs": {"detections_run": "run"}, "settings": {}},
                **{"versions": {}, "hardware": {}, "started": "2026-01-01T00:00:00Z"},
            }
        )
    )
    main(["--detections", str(run.folder), "--tracks", str(folder), "--to", "mot", "csv"])
    out = run.folder / "visualize-tracks"
    assert (out / "mot.txt").read_text().splitlines() == [
        "1,3,50.00,20.00,10.00,10.00,0.4000,-1,-1,-1",
        "2,3,51.00,20.00,10.00,10.00,0.0000,-1,-1,-1",
    ]
    with open(out / "detections.csv", newline="") as file:
        assert [(row["identity"], row["score"]) for row in csv.DictReader(file)] == [("Rosa", "0.400000"), ("Rosa", "")]


def test_the_same_again_replaces_and_something_else_is_refused(run):
    visualize(run, "--to", "csv")
    verify(visualize(run, "--to", "csv", "mot"))
    with pytest.raises(InputError, match="score_threshold"):
        visualize(run, "--to", "csv", "--score-threshold", "0.9")


def test_what_cannot_be_shown_is_refused(run, video, tmp_path):
    zones = tmp_path / "zones.json"
    zones.write_text('{"image_size": [10, 10], "zones": []}')
    other = write_video(tmp_path / "other.mp4", N_FRAMES, gop=3)
    refusals = {
        "looked at 0 to 12": ["--to", "csv", "--from-frame", "12", "--to-frame", "20"],
        "10x10": ["--to", "mp4", "--zones", str(zones)],
        "is no zone file": ["--to", "mp4", "--zones", str(other)],
        "its content differs": ["--to", "mp4", "--video-path", str(other)],
        "is not there": ["--to", "mp4", "--video-path", str(tmp_path / "none.mp4")],
        "holds no tracks": ["--to", "csv", "--tracks", str(tmp_path)],
        "'mp4', 'masks'": ["--to", "gif"],
    }
    for number, (words, more) in enumerate(refusals.items()):
        with pytest.raises(InputError) as refusal:
            visualize(run, *more, "--out-dir", str(tmp_path / f"out-{number}"))
        assert words in str(refusal.value)


def test_a_project_that_was_moved_finds_its_video_and_its_run_by_their_content(tmp_path, monkeypatch):
    """As after a restore to another folder, or Repair on the page Videos: the run still says the old path."""
    monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "state"))
    (tmp_path / "old").mkdir()
    old = write_video(tmp_path / "old" / "lek.mp4", N_FRAMES)
    root = tmp_path / "project"
    add_video(Project(root), old, [tmp_path])
    run = make_run(root / "inference_output" / "lek" / "run", BOXES, N_FRAMES, scores=SCORES)
    run.manifest.inputs.update(video_path=str(old), video_identity=load_index(old).identity)
    run.manifest.write(run.folder)
    made = (visualize(run, "--to", "mp4") / "birds.mp4").stat().st_size
    (tmp_path / "old").rename(tmp_path / "new")
    with pytest.raises(InputError, match=rf"{old} is not there"):
        visualize(run, "--to", "mp4")
    relink_video(Project(root), "lek", tmp_path / "new" / "lek.mp4", [tmp_path])
    root.rename(tmp_path / "moved")
    moved = open_detections(tmp_path / "moved" / "inference_output" / "lek" / "run")
    assert (visualize(moved, "--to", "mp4") / "birds.mp4").stat().st_size == made
    other = make_run(tmp_path / "moved" / "inference_output" / "lek" / "other", BOXES, N_FRAMES)
    with pytest.raises(InputError, match="differs in detections"):
        visualize(other, "--to", "csv", "--out-dir", str(moved.folder / "visualize"))


def test_imported_detections_know_the_video_that_they_were_imported_with(tmp_path, monkeypatch):
    monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "state"))
    video, source = write_video(tmp_path / "lek.mp4", N_FRAMES), tmp_path / "det.txt"
    source.write_text("1,-1,10,10,20,30,0.9\n")
    out = tmp_path / "imported"
    import_detections(["--from", str(source), "--video-path", str(video), "--out", str(out)])
    assert (visualize(open_detections(out), "--to", "mp4") / "birds.mp4").stat().st_size
    size = ["--size", "160x96", "--fps", "25", "--frames", str(N_FRAMES)]
    import_detections(["--from", str(source), *size, "--out", str(tmp_path / "without")])
    with pytest.raises(InputError, match="does not say where its video is; say it with --video-path"):
        visualize(open_detections(tmp_path / "without"), "--to", "mp4")


@pytest.mark.parametrize(
    ("frames", "size"), [(N_FRAMES, (320, 192)), (N_FRAMES - 1, (160, 96))], ids=["size", "length"]
)
def test_a_video_that_cannot_be_that_of_a_run_without_an_identity_is_refused(run, tmp_path, frames, size):
    del run.manifest.inputs["video_identity"]  # as in a run that was imported
    run.manifest.write(run.folder)
    other = write_video(tmp_path / "other.mp4", frames, size=size)
    with pytest.raises(InputError, match="its size or length differs"):
        visualize(run, "--to", "mp4", "--video-path", str(other))
