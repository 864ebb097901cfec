"""Augmentation: the generator alone decides, masks and boxes follow, every transform does what it says."""

import cv2
import numpy as np
import pytest
import torch

from backend.detectors.exposure import auto_gamma, gamma_for
from backend.training.augmentation import CHANGES_OF_LIGHT, LIGHT, AugmentSettings, augment, box_of
from backend.training.augmentation_preview import preview
from backend.training.white_balance import NEUTRAL_MIRED, cast_tables, channel_gains, chromaticity

OFF = AugmentSettings(
    chance=1, **dict.fromkeys([name for _, name in CHANGES_OF_LIGHT.values()] + ["flip", "rotate", "scale"], 0)
)


def only(**strengths) -> AugmentSettings:
    return OFF.model_copy(update=strengths)


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a picture with three bright birds on darker ground, their masks and boxes."""
    rng = np.random.default_rng(3)
    image = cv2.resize(rng.integers(20, 90, (9, 12, 3)).astype(np.uint8), (240, 160), interpolation=cv2.INTER_CUBIC)
    masks = np.zeros((3, 160, 240), np.uint8)
    for mask, centre in zip(masks, ((60, 60), (150, 90), (228, 30)), strict=True):
        cv2.ellipse(mask, centre, (24, 13), 30, 0, 360, 1, -1)
        image[mask > 0] = image[mask > 0] // 3 + 170
    return image, masks, np.array([box_of(mask) for mask in masks], np.float32)


def run(scene, settings: AugmentSettings, seed: int = 0):
    return augment(*scene, np.random.default_rng(seed), settings)


def test_the_same_seed_gives_the_same_picture_and_another_another(scene):
    first, again, other = (run(scene, LIGHT.model_copy(update={"chance": 0.9}), seed) for seed in (5, 5, 6))
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert (first.image != other.image).any()


def test_nothing_happens_at_strength_zero(scene):
    seen = run(scene, OFF)
    assert (seen.image == scene[0]).all() and (seen.masks == scene[1]).all() and (seen.boxes == scene[2]).all()


def test_nothing_happens_at_chance_zero(scene):
    assert (run(scene, LIGHT.model_copy(update={"chance": 0.0, "flip": 0.0})).image == scene[0]).all()


@pytest.mark.parametrize("name", [name for _, name in CHANGES_OF_LIGHT.values()])
def test_a_change_of_light_changes_the_picture_and_nothing_else(scene, name):
    before = scene[0].copy()
    seen = run(scene, only(**{name: getattr(LIGHT, name)}), seed=1)
    assert seen.image.shape == before.shape and seen.image.dtype == np.uint8
    assert (seen.image != before).any()
    assert (scene[0] == before).all()
    assert (seen.masks == scene[1]).all() and (seen.boxes == scene[2]).all()


def test_mirroring_twice_is_the_picture_itself(scene):
    once = run(scene, only(flip=1.0))
    assert (once.boxes[0] == [240 - scene[2][0][2], scene[2][0][1], 240 - scene[2][0][0], scene[2][0][3]]).all()
    twice = run(once[:3], only(flip=1.0))
    assert (twice.image == scene[0]).all() and (twice.masks == scene[1]).all() and (twice.boxes == scene[2]).all()


@pytest.mark.parametrize("seed", range(8))
def test_masks_and_boxes_follow_a_turned_and_zoomed_picture(scene, seed):
    seen = run(scene, only(rotate=20.0, scale=0.4, flip=0.5), seed)
    bright = cv2.cvtColor(seen.image, cv2.COLOR_RGB2GRAY) > 140
    together = seen.masks.any(0)
    assert (bright & together).sum() / (bright | together).sum() > 0.93
    assert len(seen.masks) == len(seen.boxes) == len(seen.kept)
    for mask, box in zip(seen.masks, seen.boxes, strict=True):
        assert box_of(mask) == tuple(box)


def test_birds_that_leave_the_picture_are_dropped(scene):
    kept = {len(run(scene, only(scale=0.9), seed).kept) for seed in range(20)}
    assert min(kept) < 3 and max(kept) == 3
    for seed in range(20):
        seen = run(scene, only(scale=0.9, min_visible=0.5), seed)
        assert (seen.masks.sum((1, 2)) > 0).all()


def test_a_picture_without_birds_can_be_turned(scene):
    seen = augment(scene[0], np.zeros((0, 160, 240), np.uint8), np.zeros((0, 4), np.float32), np.random.default_rng(0),
                   only(rotate=5.0, flip=1.0))  # fmt: skip
    assert seen.masks.shape == (0, 160, 240) and seen.boxes.shape == (0, 4)


def test_strengths_that_make_no_sense_are_refused():
    for wrong in ({"chance": 1.5}, {"blur": -1}, {"saturation": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            AugmentSettings(**wrong)


def test_daylight_is_no_cast():
    grey = np.arange(256).astype(np.uint8)[None, :, None].repeat(3, 2)
    assert (cv2.LUT(grey, cast_tables(NEUTRAL_MIRED)) == grey).all()


@pytest.mark.parametrize(("mired", "warm"), [(90, False), (230, True)])
def test_lamps_are_redder_and_blue_sky_is_bluer_at_the_same_luminance(mired, warm):
    red, _, blue = channel_gains(mired)
    assert (red > blue) == warm
    assert channel_gains(mired) @ [0.2126, 0.7152, 0.0722] == pytest.approx(1)


@pytest.mark.parametrize(("kelvin", "x", "y"), [(2000, 0.5267, 0.4133), (2856, 0.4476, 0.4074), (6504, 0.3134, 0.3235)])
def test_chromaticities_are_those_of_black_bodies(kelvin, x, y):
    assert chromaticity(kelvin) == pytest.approx((x, y), abs=0.002)


def bleached(share: float, rest: int = 180) -> torch.Tensor:
    picture = torch.full((3, 100, 100), rest, dtype=torch.uint8)
    picture[:, : round(100 * share)] = 255
    return picture


def test_only_pictures_with_more_than_a_fifth_bleached_are_darkened():
    assert gamma_for(bleached(0.20)) == 1.0
    assert gamma_for(bleached(0.21)) > 1.5
    assert auto_gamma(bleached(0.20)).equal(bleached(0.20))
    darker = auto_gamma(bleached(0.4))
    assert darker[0, 99, 0] / 255 == pytest.approx(0.45, abs=0.01)
    assert darker[0, 0, 0] == 255


def test_dark_pictures_with_a_lamp_and_white_ones_are_left_alone():
    assert gamma_for(bleached(0.4, rest=60)) == 1.0
    assert gamma_for(bleached(1.0)) == 1.0
    assert gamma_for(bleached(0.4, rest=249)) == 3.0


def test_each_picture_of_a_batch_is_judged_alone():
    batch = torch.stack([bleached(0.1), bleached(0.5)])
    result = auto_gamma(batch)
    assert result[0].equal(batch[0]) and result[1].equal(auto_gamma(batch[1]))
    assert auto_gamma(batch[:0]).shape == (0, 3, 100, 100)


def test_the_preview_shows_each_transform_with_its_masks(scene):
    image, masks, _ = scene
    labels = (masks * np.array([1, 2, 3])[:, None, None]).max(0).astype(np.uint8)
    shown = preview(image, labels)
    titles = [title for title, _ in shown]
    assert titles[0] == "As it is" and {*CHANGES_OF_LIGHT, "Mirrored", "Turned and zoomed"} <= set(titles)
    assert all(picture.shape == image.shape for _, picture in shown)
    assert [title for title, picture in shown[1:] if (picture == shown[0][1]).all()] == []
    assert "Sepia" not in [title for title, _ in preview(image, labels, LIGHT.model_copy(update={"sepia": 0.0}))]
    image = np.maximum(image, 180)
    image[:, :100] = 255
    assert any(title.startswith("Automatic gamma") for title, _ in preview(image, labels))
