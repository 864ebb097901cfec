"""Resizing is the same on the CPU and in torch, and keeps what it should."""

import numpy as np
import pytest
import torch

from backend.video.resize import resize, resize_torch, taps

SIZES = [(32, 18), (17, 31), (64, 48), (63, 47), (128, 96), (100, 90), (200, 10), (1, 1)]


@pytest.mark.parametrize("size", SIZES, ids="to {0[0]}x{0[1]}".format)
def test_torch_and_opencv_differ_by_at_most_one(size):
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    here, there = resize(image, size), resize_torch(torch.from_numpy(image), size).numpy()
    assert here.shape == there.shape == (size[1], size[0], 3)
    assert np.abs(here.astype(int) - there).max() <= 1


def test_the_same_size_is_the_same_picture():
    image = np.zeros((48, 64, 3), np.uint8)
    assert resize(image, (64, 48)) is image


@pytest.mark.parametrize("old, new, area", [(64, 17, True), (64, 64, True), (48, 90, False), (1, 5, False)])
def test_weights_of_every_new_sample_sum_to_one(old, new, area):
    places, weights = taps(old, new, area)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert places.min() >= 0 and places.max() < old


def test_shrinking_keeps_the_mean():
    image = np.random.default_rng(1).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    assert abs(resize(image, (40, 23)).mean() - image.mean()) < 0.5
