"""Frames chosen to differ do differ, the rare scene is among them, and the choice is the same every time."""

import numpy as np
import pytest

from backend.video.frame_sampling import FEATURE_SIZE, POOL, describe, farthest_points, thin


def picture(base: int, spot: tuple[int, int] | None = None) -> np.ndarray:
    width, height = FEATURE_SIZE
    image = np.full((height, width, 3), base, np.uint8)
    if spot is not None:
        image[spot[1] : spot[1] + 8, spot[0] : spot[0] + 8] = 255 - base
    return image


def test_one_frame_of_every_scene_is_chosen_however_short_it_is():
    scenes = [60] * 50 + [120] * 3 + [200] * 40 + [20]
    features = np.stack([describe(picture(scene), picture(scene)) for scene in scenes])
    assert {scenes[place] for place in farthest_points(features, 4)} == {60, 120, 200, 20}


def test_a_moving_bird_counts_more_than_a_still_one():
    still = [describe(picture(60, (8, 8)), picture(60, (8, 8)))] * 20
    moving = [describe(picture(60, (8 + step, 8)), picture(60, (step, 8))) for step in (8, 24, 40)]
    assert set(farthest_points(np.stack(still + moving), 4)) >= {20, 21, 22}


def test_the_choice_is_ascending_distinct_and_repeatable():
    features = np.random.default_rng(0).normal(size=(300, 24)).astype(np.float32)
    chosen = farthest_points(features, 40)
    assert chosen == sorted(set(chosen)) and len(chosen) == 40
    assert chosen == farthest_points(features, 40)
    assert set(farthest_points(features, 20)) <= set(chosen)


def test_chosen_frames_are_farther_apart_than_evenly_spaced_ones():
    walk = np.cumsum(np.random.default_rng(1).normal(size=(400, 16)), axis=0).astype(np.float32)

    def smallest_gap(rows: list[int]) -> float:
        distances = np.linalg.norm(walk[rows][:, None] - walk[rows][None], axis=-1)
        return float(distances[~np.eye(len(rows), dtype=bool)].min())

    evenly = np.linspace(0, 399, 20).round().astype(int).tolist()
    assert smallest_gap(farthest_points(walk, 20)) > 1.3 * smallest_gap(evenly)


def test_equal_frames_may_all_be_asked_for():
    features = np.zeros((5, 8), np.float32)
    assert farthest_points(features, 5) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [10, POOL, POOL + 1, 90_000], ids="{} candidates".format)
def test_candidates_are_thinned_evenly_to_a_bound(count):
    thinned = thin(np.arange(count))
    assert len(thinned) == min(count, POOL)
    assert thinned[0] == 0 and thinned[-1] == count - 1
    assert np.diff(thinned).max() <= -(-count // POOL)
