import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.pipeline.regions import Region, crop_region, merge_tiles, tile_regions
from backend.project.errors import InputError

FRAME = (400, 300)
TILES = tile_regions(Region(0, 0, *FRAME), (220, 170), 60)


def test_without_a_crop_the_whole_frame_is_looked_at():
    assert crop_region(FRAME, (0, 0, None, None)) == Region(0, 0, 400, 300)


@pytest.mark.parametrize("crop", [(-1, 0, 9, 9), (0, 0, 401, 9), (0, 0, 9, 301), (9, 0, 9, 9), (0, 9, 9, 5)], ids=str)
def test_a_crop_that_is_empty_or_leaves_the_frame_is_refused_with_its_size(crop):
    with pytest.raises(InputError, match="400x300"):
        crop_region(FRAME, crop)


@given(st.integers(10, 500), st.integers(10, 500), st.integers(2, 200), st.integers(2, 200), st.integers(0, 100))
def test_tiles_cover_the_crop_and_overlap_enough(width, height, tile_width, tile_height, overlap):
    crop = Region(7, 11, 7 + width, 11 + height)
    tile = (min(tile_width, width), min(tile_height, height))
    overlap = min(overlap, tile[0] - 1, tile[1] - 1)
    tiles = tile_regions(crop, tile, overlap)
    assert {each.size for each in tiles} == {tile}
    for low, high in (("x1", "x2"), ("y1", "y2")):
        spans = sorted({(getattr(each, low), getattr(each, high)) for each in tiles})
        assert (spans[0][0], spans[-1][1]) == (getattr(crop, low), getattr(crop, high))
        assert all(before[1] - after[0] >= overlap for before, after in zip(spans, spans[1:], strict=False))


def test_boxes_come_back_to_the_frame_from_the_networks_input():
    region = Region(100, 50, 300, 150)
    boxes = np.array([[0, 0, 100, 50], [10, 10, 400, 20]], np.float32)
    assert region.to_frame(boxes, (400, 200)).tolist() == [[100, 50, 150, 75], [105, 55, 300, 60]]


def seen_by_tiles(birds):
    """Return what each tile sees of the birds: boxes cut off at its borders, scores falling with what is lost."""
    boxes, scores, place = [], [], []
    for number, tile in enumerate(TILES):
        for x1, y1, x2, y2 in birds:
            part = max(x1, tile.x1), max(y1, tile.y1), min(x2, tile.x2), min(y2, tile.y2)
            if part[0] < part[2] - 4 and part[1] < part[3] - 4:
                boxes.append(part)
                scores.append(0.9 * (part[2] - part[0]) * (part[3] - part[1]) / ((x2 - x1) * (y2 - y1)))
                place.append(number)
    return np.array(boxes, np.float32), np.array(scores), np.array(place)


@pytest.mark.parametrize("seed", range(20))
def test_birds_that_do_not_overlap_count_once_wherever_they_are(seed):
    rng = np.random.default_rng(seed)
    columns, rows = np.meshgrid(np.arange(7), np.arange(6))
    corner = np.stack([columns.ravel() * 56, rows.ravel() * 48], 1) + rng.uniform(0, 8, (42, 2))
    birds = np.concatenate([corner, corner + rng.uniform(20, 39, (42, 2))], 1)
    boxes, scores, place = seen_by_tiles(birds.tolist())
    assert len(boxes) > len(birds)
    kept = boxes[merge_tiles(boxes, scores, place, TILES)]
    assert len(kept) == len(birds)
    assert np.allclose(sorted(kept.tolist()), sorted(birds.tolist()), atol=1e-4)


def test_two_birds_one_in_front_of_the_other_stay_two():
    birds = [(190, 140, 230, 170), (200, 142, 236, 171)]
    boxes, scores, place = seen_by_tiles(birds)
    kept = boxes[merge_tiles(boxes, scores, place, TILES)]
    assert sorted(kept.tolist()) == [list(bird) for bird in birds]


def test_detections_of_one_tile_are_left_as_the_network_gave_them():
    boxes = np.array([[10, 10, 50, 50], [11, 11, 51, 51]], np.float32)
    assert merge_tiles(boxes, np.array([0.9, 0.8]), np.array([0, 0]), TILES).tolist() == [0, 1]


def test_no_detections_give_none():
    assert merge_tiles(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), TILES).tolist() == []
