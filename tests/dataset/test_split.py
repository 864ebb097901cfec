"""The split never leaks, comes near the ratio, looks alike on both sides, and is the seed's alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.dataset.split import Side, SplitBy, SplitSettings, split
from backend.project.errors import InputError


def wanted(**changes) -> SplitSettings:
    return SplitSettings(**{"train_ratio": 0.8, "by": SplitBy.BLOCKS, "gap_frames": 25, "seed": 1, **changes})


def lek(videos: int, frames: int, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return video, number and birds of ``videos`` videos with ``frames`` frames each; birds come and go slowly."""
    numbers = np.tile(np.arange(frames) * step, videos)
    birds = (10 + 9 * np.sin(np.arange(videos * frames) / 40)).astype(int)
    return np.repeat(np.arange(videos), frames), numbers, birds


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.lists(st.integers(0, 3000), min_size=1, max_size=60, unique=True), min_size=1, max_size=4),
    st.floats(0.3, 0.95),
    st.integers(1, 60),
    st.integers(0, 1000),
)
def test_no_two_frames_on_different_sides_are_within_the_gap(numbers, ratio, gap, seed):
    videos = np.repeat(np.arange(len(numbers)), [len(part) for part in numbers])
    flat = np.concatenate([np.array(part) for part in numbers])
    try:
        sides = split(videos, flat, np.ones(len(flat), int), wanted(train_ratio=ratio, gap_frames=gap, seed=seed))
    except InputError as refusal:
        assert "no validation image" in str(refusal) or "no training image" in str(refusal)
        return
    for video in range(len(numbers)):
        train, val = (flat[(videos == video) & (sides == side)] for side in (Side.TRAIN, Side.VAL))
        if len(train) and len(val):
            assert np.abs(train[:, None] - val[None, :]).min() > gap
    assert (sides == Side.TRAIN).any() and (sides == Side.VAL).any()


def test_each_video_gives_its_share():
    videos, numbers, birds = lek(4, 100, 50)
    sides = split(videos, numbers, birds, wanted())
    for video in range(4):
        assert (sides[videos == video] == Side.VAL).sum() == 20
    assert not (sides == Side.LEFT_OUT).any()


def test_both_sides_have_the_same_numbers_of_birds():
    videos, numbers, birds = lek(1, 400, 50)
    sides = split(videos, numbers, birds, wanted())
    means = [birds[sides == side].mean() for side in (Side.TRAIN, Side.VAL)]
    assert abs(means[0] - means[1]) < 0.7


def test_dense_labels_lose_few_frames_to_the_gap():
    videos, numbers, birds = lek(1, 1000, 1)
    sides = split(videos, numbers, birds, wanted())
    assert (sides == Side.LEFT_OUT).sum() <= 150


def test_the_seed_alone_decides():
    data = lek(3, 80, 40)
    same = [split(*data, wanted(seed=7)).tolist() for _ in range(2)]
    assert same[0] == same[1] != split(*data, wanted(seed=8)).tolist()


def test_single_images_of_many_places_are_shared_out():
    videos = np.arange(50)
    sides = split(videos, np.zeros(50, int), np.ones(50, int), wanted())
    assert np.bincount(sides, minlength=3).tolist() == [40, 10, 0]


def test_whole_videos_are_chosen_to_meet_ratio_and_birds():
    videos = np.repeat(np.arange(6), [50, 50, 50, 50, 25, 25])
    birds = np.repeat([2, 20, 2, 20, 2, 20], [50, 50, 50, 50, 25, 25])
    sides = split(videos, np.arange(250), birds, wanted(by=SplitBy.VIDEOS))
    assert set(videos[sides == Side.VAL].tolist()) == {4, 5}


def test_one_video_cannot_be_split_by_videos():
    with pytest.raises(InputError, match="at least two videos"):
        split(*lek(1, 10, 50), wanted(by=SplitBy.VIDEOS))


def test_a_video_too_short_for_the_gap_is_refused_with_the_remedies():
    with pytest.raises(
        InputError, match=r"10 images of 1 videos give no validation .*--gap-frames 25.*--train-ratio 1"
    ):
        split(*lek(1, 10, 1), wanted())


def test_a_ratio_of_one_trains_on_everything():
    assert not split(*lek(2, 10, 1), wanted(train_ratio=1)).any()
