"""A camera that shakes: how far it moved is found in the video, and birds are followed through it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.light import Weather
from backend.lek.recording import record
from backend.lek.simulated_run import detect
from backend.lek.world import found
from backend.masks import rle
from backend.pipeline.detections import open_detections
from backend.project.errors import InputError
from backend.track import main
from backend.tracking.online.association import OnlineTracker, chunk_arrays, default_settings
from backend.tracking.online.camera_motion import STILL, camera_motion
from backend.tracking.online.overlap import rle_buffers
from backend.tracking.online.track_state import ChunkArrays
from backend.tracking.tracks.track_folder import open_tracks
from backend.video import VideoReader

SHAKEN = replace(difficulty("normal"), shake_px=25.0)
SETTINGS = LekSettings(birds=5, seconds=4.0, seed=9, size=(480, 272), difficulty=SHAKEN)


@pytest.fixture(scope="module")
def shaken(tmp_path_factory):
    """Four seconds of a lek filmed from a pole in a gale, and a detections run of it."""
    root = tmp_path_factory.mktemp("shaken")
    record(root / "lek", SETTINGS)
    detect(root / "lek", root / "run", "normal")
    return root


@pytest.fixture(scope="module")
def motion(shaken):
    with VideoReader(shaken / "lek" / "video.mp4") as reader:
        return camera_motion(open_detections(shaken / "run"), reader)


def test_the_shake_is_found_to_less_than_a_pixel(motion):
    weather = Weather(found(SETTINGS))
    place = np.array([weather.at(frame / SETTINGS.fps).shake for frame in range(SETTINGS.n_frames)])
    true = np.diff(place, axis=0, prepend=place[:1])
    assert np.abs(true).max() > 3, "it shakes"
    corners = np.array([[0, 0, 1], [480, 0, 1], [0, 272, 1], [480, 272, 1]], float)
    for step, row in zip(true, motion, strict=True):
        off = corners @ row.reshape(2, 3).T - corners[:, :2] - step
        assert np.abs(off).max() < 1.0
    assert tuple(motion[0]) == STILL


def test_birds_are_followed_through_a_shake(shaken, motion):
    run = open_detections(shaken / "run")
    part = run.load(run.chunks[0])
    widths = part.detections.boxes[:, 2] - part.detections.boxes[:, 0]
    tracklets = {}
    for name, known in (("given", motion), ("not given", None)):
        tracker = OnlineTracker(default_settings(run.facts.height, 1 / run.facts.fps, widths))
        tracklets[name] = int(tracker.update(chunk_arrays(part, known)).tracklet.max())
    assert tracklets["given"] < tracklets["not given"]


def test_the_motion_lies_in_the_track_folder(shaken, tmp_path):
    video = ["--video-path", str(shaken / "lek" / "video.mp4")]
    arguments = ["--detections", str(shaken / "run"), "--out", str(tmp_path / "out"), "--n-birds", "5"]
    main([*arguments, *video, "--camera-motion", "estimate"])
    table = pq.read_table(tmp_path / "out" / "camera.parquet")
    assert table["frame"].to_pylist() == open_tracks(tmp_path / "out").frames.tolist()
    assert np.abs(table["c"].to_numpy()).max() > 3
    with pytest.raises(InputError, match="camera_motion"):
        main([*arguments, "--camera-motion", "off"])  # other settings than the tracks there


def test_a_picture_without_corners_says_nothing_of_the_camera(shaken):
    class Fog:
        size = SETTINGS.size

        def read(self, frames, size):
            return np.full((len(frames), size[1], size[0], 3), 128, np.uint8)

    still = camera_motion(open_detections(shaken / "run"), Fog())
    assert np.array_equal(still, np.tile(STILL, (SETTINGS.n_frames, 1)))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--camera-motion", "guess"], "camera-motion"), (["--camera-motion", "estimate"], "--video-path")],
)
def test_what_cannot_be_estimated_is_said(shaken, tmp_path, arguments, says):
    with pytest.raises(InputError, match=says):
        main(["--detections", str(shaken / "run"), "--out", str(tmp_path / "out"), *arguments])


def still_birds(pan_px: int) -> ChunkArrays:
    """Three birds that stand side by side, their boxes overlapping, under a camera that pans; with masks."""
    height, n_frames, birds = 200, 50, 3
    boxes, masks = [], []
    for x in (100 + pan_px * frame + 32 * bird for frame in range(n_frames) for bird in range(birds)):
        boxes.append((x, 100, x + 40, 140))
        mask = np.zeros((height, 2000), np.uint8)
        mask[100:140, x + 5 : x + 35] = 1
        masks.append(rle.encode(mask))
    offsets, codes = rle_buffers(pa.array(masks, pa.binary()))
    n = n_frames * birds
    moved = np.tile([1.0, 0, pan_px, 0, 1, 0], (n_frames, 1))
    moved[0] = STILL
    times = np.arange(n_frames) / 25
    boxes_px, starts = np.array(boxes, float), np.arange(0, n + 1, birds)
    return ChunkArrays(0, starts, times, boxes_px, np.full(n, 0.9), offsets, codes, moved)


def test_masks_move_with_the_picture_as_boxes_do():
    """What the camera did is known, so a pan changes nothing; masks used to stay where they were."""
    found = {}
    for pan_px in (0, 10, 32):
        chunk = still_birds(pan_px)
        tracker = OnlineTracker(default_settings(200, 1 / 25, chunk.boxes[:, 2] - chunk.boxes[:, 0]))
        found[pan_px] = tracker.update(chunk).tracklet.tolist()
    assert found[0] == [1, 2, 3] * 50
    assert found[10] == found[0] and found[32] == found[0]
