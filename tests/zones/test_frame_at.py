"""The frame behind a point: the nearest one that was looked at, the birds in it, the zones of the version used."""

import cv2
import numpy as np
import pytest

from backend.project.paths import Project
from backend.video.library import add_video
from backend.zones.frame_at import birds_at, birds_of_tracks, draw_frame_at, zones_used
from backend.zones.zone_file import save_zones, zones_path
from tests.detection_runs import make_run
from tests.tracking.track_samples import write_run
from tests.zones.made import left_and_right, rectangle, tracks_of, zones_of


def test_the_nearest_frame_and_its_birds_but_no_lost_ones(tmp_path):
    tracks = tracks_of({"a": [10, 20, 30], "b": [40, None, 50 + 0j], "?x": [70]})
    assert birds_of_tracks(tracks, 0.12) == (1, [("a", "detected", (15.0, 30.0, 25.0, 50.0))])
    frame, birds = birds_of_tracks(tracks, 9)
    assert frame == 2 and [bird[:2] for bird in birds] == [("a", "detected"), ("b", "interpolated")]
    assert [bird[0] for bird in birds_of_tracks(tracks, 0)[1]] == ["a", "b", "track 3"]
    write_run(tmp_path / "run", tracks)
    assert birds_at(tmp_path / "run", True, 0.12, 0.5) == birds_of_tracks(tracks, 0.12)


def test_detections_with_the_score(tmp_path):
    boxes = {2: [(1, 1, 9, 9), (20, 1, 29, 9)]}
    make_run(tmp_path / "run", boxes, 4, fps=10, scores={2: [0.9, 0.4]})
    assert birds_at(tmp_path / "run", False, 0.2, 0.5) == (2, [("0.90", "detected", (1.0, 1.0, 9.0, 9.0))])


def test_zones_of_the_version_that_was_used(tmp_path):
    path = zones_path(Project(tmp_path), "north")
    first = save_zones(path, left_and_right(), 0)
    save_zones(path, zones_of({"name": "all", "shape": rectangle(0, 0, 200, 100)}), 1)
    assert zones_used({"zones": str(path), "zones_version": 1}) == first


@pytest.mark.parametrize("width", [80, 4000])
def test_the_picture_is_no_wider_than_asked_for(make_video, tmp_path, width):
    project = Project(tmp_path / "project")
    video = add_video(project, make_video(n_frames=5, size=(200, 100)), [tmp_path])
    plain, drawn = (
        cv2.imdecode(np.frombuffer(draw_frame_at(project, video, 3, zones, birds, width), np.uint8), cv2.IMREAD_COLOR)
        for zones, birds in (
            (zones_of(), []),
            (left_and_right(), [("a", "detected", (80.0, 30.0, 99.0, 60.0))]),
        )
    )
    assert plain.shape == drawn.shape == ((40, 80, 3) if width == 80 else (100, 200, 3))
    assert np.abs(plain.astype(int) - drawn).max() > 60
