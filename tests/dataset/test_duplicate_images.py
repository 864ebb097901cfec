"""Copies and still moments are found, with a fixed camera too, and most images are never decoded for it."""

import cv2
import numpy as np
import pytest

from backend.dataset.duplicate_images import fingerprint, groups, layout, same_images, suspects

SIZE = (640, 360)
STILL = np.array([[100, 100, 130, 150], [300, 200, 340, 240]], float)


def picture(path, boxes: np.ndarray, seed: int = 0, light: int = 0) -> str:
    """Write the fixed camera's picture with a bright bird in every box, and noise of its own."""
    ground = np.random.default_rng(42).integers(60, 120, (9, 16)).astype(np.uint8)
    image = cv2.resize(ground, SIZE, interpolation=cv2.INTER_CUBIC).astype(int) + light
    for x1, y1, x2, y2 in boxes.astype(int).tolist():
        image[y1:y2, x1:x2] = 220
    noise = np.random.default_rng(seed).normal(0, 3, image.shape)
    cv2.imwrite(str(path), np.clip(image + noise, 0, 255).astype(np.uint8))
    return str(path)


def found(tmp_path, scenes: list[tuple[np.ndarray, int, int]]) -> tuple[list[int], list[int]]:
    """Return which images are looked at, and the group of each."""
    paths = [picture(tmp_path / f"{k}.png", boxes, seed, light) for k, (boxes, seed, light) in enumerate(scenes)]
    layouts = np.array([layout(boxes, *SIZE) for boxes, _, _ in scenes])
    sizes = np.array([(tmp_path / f"{k}.png").stat().st_size for k in range(len(scenes))])
    places = suspects(layouts, sizes)
    same = same_images(layouts, places, [fingerprint(paths[place]) for place in places])
    return places.tolist(), same.tolist()


def test_a_moment_in_which_nothing_moved_is_the_same_image(tmp_path):
    places, same = found(tmp_path, [(STILL, 1, 0), (STILL + 60, 2, 0), (STILL + 0.5, 3, 0)])
    assert places == [0, 2]
    assert same[0] == same[2] != same[1]


def test_other_light_is_another_image(tmp_path):
    places, same = found(tmp_path, [(STILL, 1, 0), (STILL, 2, 20)])
    assert places == [0, 1] and same[0] != same[1]


def test_copies_of_a_file_are_found_whatever_their_labels(tmp_path):
    places, same = found(tmp_path, [(STILL, 1, 0), (STILL + 60, 2, 0)])
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    layouts = np.array([layout(boxes, *SIZE) for boxes in (STILL, STILL + 60, STILL + 120)])
    paths = [str(tmp_path / name) for name in ("0.png", "1.png", "copy.png")]
    sizes = np.array([1000, 2000, 1000])
    places = suspects(layouts, sizes)
    assert places.tolist() == [0, 2]
    same = same_images(layouts, places, [fingerprint(paths[place]) for place in places])
    assert same[0] == same[2] != same[1]


def test_birds_that_moved_by_half_their_length_are_another_image(tmp_path):
    _, same = found(tmp_path, [(STILL, 1, 0), (STILL + [20, 0, 20, 0], 2, 0)])
    assert same[0] != same[1]


def test_images_that_cannot_be_read_are_like_no_other(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "b.png").write_bytes(b"no  image ")
    prints = [fingerprint(str(tmp_path / name)) for name in ("a.png", "b.png")]
    layouts = np.zeros((2, 1024), np.uint8)
    assert same_images(layouts, np.array([0, 1]), prints).tolist() == [0, 1]


def test_nothing_to_look_at_leaves_every_image_alone():
    layouts = np.array([layout(STILL, *SIZE), layout(STILL + 100, *SIZE)])
    assert same_images(layouts, suspects(layouts, np.array([1, 2])), []).tolist() == [0, 1]


def test_the_layout_says_how_far_each_field_is_covered():
    fields = layout(np.array([[0, 0, 320, 360.0]]), *SIZE).reshape(32, 32)
    assert (fields[:, :16] == 255).all() and not fields[:, 16:].any()
    assert layout(np.array([[0, 0, 10, 11.25]]), *SIZE)[0] == pytest.approx(127, abs=1)


def test_a_slow_drift_does_not_chain_a_day_together():
    drift = np.arange(0, 60, 4, dtype=np.uint8)[:, None].repeat(8, 1)
    assert len(set(groups(drift, 6).tolist())) > 5
