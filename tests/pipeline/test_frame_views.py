import numpy as np
import pytest

from backend.masks.rle import encode
from backend.pipeline.draw_frame import draw_birds, label_map
from backend.pipeline.frame_views import frame_views, view_of
from backend.tracking.tracks.tracks import Tracks
from tests.detection_runs import make_run

BOXES = {0: [(10, 10, 30, 40), (50, 20, 60, 30)], 25: [(100, 50, 140, 90)]}
SCORES = {0: [0.9, 0.4], 25: [0.8]}


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", BOXES, 40, scores=SCORES)


def tracks():
    """Bird 3 in frame 0 is detection 1; in frame 1 it is interpolated, in frame 2 lost."""
    return Tracks(
        frame=np.array([0, 1, 2], np.int32),
        detection=np.array([1, -1, -1], np.int32),
        track_id=np.array([3, 3, 3], np.int32),
        identity=np.array([0, 0, 0], np.int16),
        state=np.array([0, 1, 2], np.int8),
        p_identity=np.array([1, 1, np.nan], np.float32),
        boxes=np.array([[50, 20, 60, 30], [51, 20, 61, 30], [np.nan] * 4], np.float32),
        names=("Rosa",),
        frames=np.arange(40, dtype=np.int32),
        times=np.arange(40) / 25,
    )


def test_every_frame_of_the_range_has_a_view_and_the_threshold_thins_it(run):
    views = list(frame_views(run, 0, 30, score_threshold=0.5))
    assert [view.frame for view in views] == list(range(30))
    assert {view.frame: len(view) for view in views if len(view)} == {0: 1, 25: 1}
    assert views[25].time_s == pytest.approx(1.0)


def test_with_tracks_there_is_one_bird_a_track_interpolated_ones_too_and_lost_ones_not(run):
    first, second, third = list(frame_views(run, 0, 3, score_threshold=0.9, tracks=tracks()))
    assert (first.track.tolist(), first.names, first.detection.tolist()) == ([3], ["Rosa"], [1])
    assert first.masks == [run.at(0).counts(1)]
    assert first.score.tolist() == pytest.approx([0.4])
    assert (second.boxes.tolist(), second.masks, second.class_id.tolist()) == ([[51, 20, 61, 30]], [None], [0])
    assert np.isnan(second.score).all()
    assert len(third) == 0


def test_in_a_label_map_the_first_mask_lies_on_top():
    masks = [np.zeros((20, 30), bool) for _ in range(2)]
    masks[0][2:8, 3:9] = True
    masks[1][5:15, 5:25] = True
    labels = label_map([*map(encode, masks), None], (30, 20))
    assert labels.shape == (20, 30)
    assert ((labels == 1) == masks[0]).all()
    assert ((labels == 2) == (masks[1] & ~masks[0])).all()


def test_birds_change_their_pixels_and_leave_the_others(run):
    picture = np.full((96, 160, 3), 100, np.uint8)
    drawn = draw_birds(picture, view_of(25, 1.0, run.at(25)), ("bird",))
    assert (picture == 100).all()
    assert (drawn[60:80, 110:130] != 100).any(-1).all()
    assert (drawn[:30] == 100).all()


def test_zones_and_another_size_are_drawn_in_proportion(run):
    picture = np.zeros((96, 160, 3), np.uint8)
    zone = np.array([[20, 20], [140, 20], [140, 80], [20, 80]])
    drawn = draw_birds(picture, view_of(1, 0.04, run.at(1)), zones=[zone], size=(320, 192))
    assert drawn.shape == (192, 320, 3)
    rows, columns = np.nonzero(drawn.any(-1))
    assert abs(columns.min() - 40) <= 2 and abs(columns.max() - 280) <= 2
    assert abs(rows.min() - 40) <= 2 and abs(rows.max() - 160) <= 2
