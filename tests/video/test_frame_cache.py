"""Frames for people: the exact one in any order, within the bytes that were allowed."""

import cv2
import numpy as np
import pytest

from backend.project.errors import InputError
from backend.video import DamagedFrameError, VideoReader
from backend.video.frame_cache import ByteCache, CachedFrames
from tests.video.test_damage import damaged_copy, read_all
from tests.videos import number_of, write_video

FRAME_BYTES = 160 * 96 * 3


@pytest.fixture
def shown(barcode_video):
    """The numbered video, with room for about ten decoded frames."""
    found = CachedFrames(lambda: VideoReader(barcode_video), 10 * FRAME_BYTES * 4 // 3)
    yield found
    found.close()


def test_every_frame_is_the_one_asked_for_in_any_order(shown):
    order = [5, 4, 3, 30, 29, 59, 0, 58, 30, *np.random.default_rng(0).permutation(60)]
    assert [number_of(shown.frame(int(frame))) for frame in order] == order


def test_stepping_back_shows_every_sound_frame_behind_a_damaged_one(tmp_path):
    path = damaged_copy(write_video(tmp_path / "sound.mp4", 100, size=(320, 192), gop=25), tmp_path, 73, seed=1)
    refused = [frame for frame, picture in read_all(path, range(60, 90)).items() if picture is None]
    assert refused and refused[-1] < 75
    damaged = CachedFrames(lambda: VideoReader(path), 10**8)
    for frame in range(85, refused[-1], -1):
        assert number_of(damaged.frame(frame)) == frame
    with pytest.raises(DamagedFrameError, match=f"frame {refused[-1]} is damaged"):
        damaged.frame(refused[-1])
    assert number_of(damaged.frame(refused[0] - 1)) == refused[0] - 1
    damaged.close()


def test_no_more_is_held_than_allowed(shown):
    for frame in range(60):
        shown.frame(frame)
        shown.jpeg(frame, 80)
        assert shown._frames.used + shown._jpegs.used <= 10 * FRAME_BYTES * 4 // 3


def test_a_picture_is_a_part_never_enlarged(shown):
    data = shown.jpeg(7, 1000, (10, 20, 64, 32))
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (32, 64, 3)
    whole = shown.jpeg(7, 80)
    assert cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR).shape == (48, 80, 3)


@pytest.mark.parametrize("frame", [-1, 60, 10**9])
def test_a_frame_that_is_not_there_is_refused_with_what_is(shown, frame):
    with pytest.raises(InputError, match="0 to 59"):
        shown.frame(frame)


def test_the_least_recently_used_makes_room_and_what_is_too_large_is_not_kept():
    cache = ByteCache(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 4)
    assert cache.get("a") == 1
    cache.put("c", 3, 4)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), cache.used) == (1, None, 3, 8)
    cache.put("d", 4, 11)
    assert (cache.get("d"), cache.used) == (None, 8)
    cache.put("a", 5, 6)
    assert (cache.get("a"), cache.used) == (5, 10)
