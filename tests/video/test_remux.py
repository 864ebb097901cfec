"""A remuxed copy shows the same pictures, and is there whole or not at all."""

import numpy as np
import pytest

from backend.project.errors import InputError
from backend.video import VideoReader
from backend.video.remux import remux
from tests.videos import cut_bytes, numbers_of


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_pictures_stay_bit_for_bit_the_same(make_video, tmp_path, suffix):
    source, target = make_video("stream.ts", 72), tmp_path / f"copy.{suffix}"
    packets = []
    remux(source, target, packets.append)
    assert packets[-1] == 72
    with VideoReader(source) as old, VideoReader(target) as new:
        assert len(new) == 72
        assert numbers_of(new.read([71, 0, 35])) == [71, 0, 35]
        np.testing.assert_array_equal(old.read(range(72)), new.read(range(72)))
        np.testing.assert_allclose(old.times, new.times, atol=0.001)


def test_a_refused_source_leaves_nothing(make_video, tmp_path):
    source = make_video("bare.h264", 10)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="carries no time"):
        remux(source, tmp_path / "copy.mkv")
    with pytest.raises(InputError, match="moov"):
        remux(cut_bytes(make_video("whole.mp4", 30), tmp_path / "torn.mp4", 0.5), tmp_path / "copy.mkv")
    with pytest.raises(InputError, match="must end in .mkv or .mp4"):
        remux(source, tmp_path / "copy.avi")
    assert {path.name for path in tmp_path.iterdir()} == {"bare.h264", "whole.mp4", "torn.mp4"} and before


def test_an_old_copy_stays_whole_until_the_new_one_is(make_video, tmp_path):
    target = tmp_path / "copy.mkv"
    remux(make_video("one.ts", 12), target)
    old = target.read_bytes()
    with pytest.raises(InputError):
        remux(make_video("bare.h264", 5), target)
    assert target.read_bytes() == old
