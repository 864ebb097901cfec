from dataclasses import replace

import cv2
import numpy as np
import pytest

from backend.project.errors import InputError
from backend.tracking.review.views import counts, lanes, picture_of, read_summary, worth_removing
from backend.tracking.tracks.tracks import NONE
from tests.tracking.track_samples import two_birds
from tests.videos import write_video


def test_lanes_are_the_states_of_each_bird_by_time():
    found = lanes(two_birds(50, lost=tuple(range(10, 20))))
    assert [(lane.bird, lane.state) for lane in found] == [
        ("bird 01", "seen"),
        ("bird 02", "seen"),
        ("bird 02", "lost"),
        ("bird 02", "seen"),
    ]
    assert [round(value, 2) for value in (found[2].from_s, found[2].to_s)] == [0.4, 0.8]
    assert round(found[0].to_s, 2) == 2.0


def test_long_videos_are_shown_in_few_stretches():
    tracks = two_birds(6000, lost=tuple(range(0, 6000, 3)))
    assert all(lane.state == "seen" for lane in lanes(tracks))
    times, birds = counts(tracks)
    assert len(times) == len(birds) <= 600
    assert abs(birds.mean() - 5 / 3) < 0.01


def test_counts_are_of_birds_that_are_seen():
    _, birds = counts(two_birds(20, lost=(3, 4)))
    assert np.array_equal(np.flatnonzero(birds == 1), [3, 4])


def test_the_first_doubts_that_stand_for_most_of_the_error():
    assert worth_removing([8.0, 1.0, 1.0]) == 1
    assert worth_removing([4.0, 3.0, 2.0, 1.0]) == 3
    assert worth_removing([]) == 0


@pytest.mark.parametrize(("content", "says"), [(None, "summary.json is missing"), (b"{", "summary.json is damaged")])
def test_a_run_without_a_summary_is_named_in_one_line(tmp_path, content, says):
    if content is not None:
        (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_summary(tmp_path)


@pytest.mark.parametrize("unnamed", [False, True])
def test_the_picture_of_a_doubt_shows_its_track_with_or_without_an_identity(tmp_path, unnamed):
    """Both birds are drawn in any case; with ``only`` the other one is left out."""
    clip = write_video(tmp_path / "clip.mp4", 12, picture=lambda number, size: np.full((*size[::-1], 3), 128, np.uint8))
    tracks = two_birds(10)
    if unnamed:
        tracks = replace(tracks, identity=np.where(tracks.track_id == 2, NONE, tracks.identity).astype(np.int16))
    drawn = {}
    for only in ((), (1,), (2,)):
        jpeg = picture_of(tracks, clip, tmp_path / "index", 5, only, 160)
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
        marked = np.abs(picture - 128).max(axis=2) > 40
        drawn[only] = bool(marked[:, :80].any()), bool(marked[:, 80:].any())
    assert drawn == {(): (True, True), (1,): (True, False), (2,): (False, True)}
