"""Polygons give back the same pixels as pycocotools reads them: holes, parts, touching corners, real shapes."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from backend.masks import polygons, rle
from backend.masks.indexed import read_labels

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools
SIZES = st.tuples(st.integers(1, 24), st.integers(1, 24))
MAPS = SIZES.flatmap(lambda size: arrays(np.uint8, size, elements=st.sampled_from([0, 1, 1, 2])))


def outlines(labels: np.ndarray):
    """Yield id, mask and outline of every object."""
    runs = rle.label_runs(labels)
    for k, value in enumerate(runs.ids.tolist()):
        yield value, labels == value, polygons.outline(labels, value, runs.boxes()[k], runs.counts(k))


def rasterised(segmentation: list[list[float]], height: int, width: int) -> np.ndarray:
    """Read polygons as COCO's own tools do."""
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))) > 0


def check_all(labels: np.ndarray) -> None:
    for _, mask, outline in outlines(labels):
        segmentation = outline.coco()
        assert (rasterised(segmentation, *labels.shape) == mask).all()
        assert all(len(polygon) >= 6 for polygon in segmentation)
        assert json.loads(outline.json()) == segmentation
        assert len(segmentation) == cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1


@settings(deadline=None, max_examples=150)
@given(MAPS, st.integers(1, 5))
def test_random_maps_come_back_pixel_by_pixel(labels, factor):
    check_all(labels.repeat(factor, 0).repeat(factor, 1))


@settings(deadline=None, max_examples=60)
@given(MAPS, st.integers(1, 3))
def test_the_long_form_is_exact_too(labels, factor):
    labels = labels.repeat(factor, 0).repeat(factor, 1)
    original, polygons._short = polygons._short, lambda *_: np.zeros((0, 2), np.int64)
    try:
        check_all(labels)
    finally:
        polygons._short = original


def test_birds_with_holes_come_back_pixel_by_pixel(birds):
    check_all(birds)


def test_real_shapes_come_back_pixel_by_pixel(real_masks):
    for path in real_masks:
        check_all(read_labels(path))


def test_polygons_of_real_shapes_are_no_longer_than_opencvs(real_masks):
    ours, opencv = 0, 0
    for path in real_masks:
        for _, mask, outline in outlines(read_labels(path)):
            contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            ours += sum(map(len, outline.polygons))
            opencv += sum(map(len, contours))
    assert ours <= opencv


def test_a_ring_in_a_ring_keeps_its_holes():
    labels = np.zeros((60, 60), np.uint8)
    for radius, value in ((28, 1), (22, 0), (16, 1), (10, 0), (4, 1)):
        cv2.circle(labels, (30, 30), radius, value, -1)
    (_, mask, outline), *_ = outlines(labels)
    assert (len(outline.polygons), outline.holes) == (3, 2)
    assert (rasterised(outline.coco(), 60, 60) == mask).all()


def test_a_hole_behind_a_hole_is_reached_through_it():
    labels = np.ones((9, 30), np.uint8)
    labels[2:7, 4:26:3] = 0
    (_, mask, outline), *_ = outlines(labels)
    assert (len(outline.polygons), outline.holes) == (1, 8)
    assert (rasterised(outline.coco(), 9, 30) == mask).all()


@pytest.mark.parametrize("scale", [0.31, 1.7, 3.3])
def test_cuts_to_holes_vanish_at_any_scale(scale):
    labels = np.zeros((80, 80), np.uint8)
    cv2.circle(labels, (40, 40), 33, 1, -1)
    cv2.circle(labels, (47, 44), 12, 0, -1)
    (_, _, outline), *_ = outlines(labels)
    side = round(80 * scale)
    scaled = [[value * scale for value in polygon] for polygon in outline.coco()]
    mask = rasterised(scaled, side, side)
    pixels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1
    holes = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=8)[0] - 2
    assert (pixels, holes) == (1, 1)


def test_one_pixel_is_a_polygon():
    labels = np.zeros((4, 4), np.uint8)
    labels[0, 3] = 9
    check_all(labels)


def test_parts_are_counted_with_touching_corners_as_one():
    labels = np.array([[1, 0, 0, 1], [0, 1, 0, 0]], np.uint8)
    assert polygons.count_parts(labels, 1, (0, 0, 4, 2)) == 2


@pytest.mark.parametrize(
    ("segmentation", "complaint"),
    [
        ([], "neither"),
        (None, "neither"),
        ("text", "neither"),
        ([[1, 1, 2, 2]], "three points"),
        ([[1, 1, 2, 2, 3]], "three points"),
        ([{}], "three points"),
        ([[0, 0, 1, float("nan"), 2, 2]], "no numbers"),
        ([[0, 0, 1e18, 0, 2, 2]], "far outside"),
        ({"size": [3, 4], "counts": [12]}, "size"),
        ({"size": [10, 20], "counts": "@@@"}, "counts"),
        ({}, "size"),
    ],
)
def test_what_is_no_mask_is_refused_with_the_reason(segmentation, complaint):
    with pytest.raises(ValueError, match=complaint):
        polygons.to_counts(segmentation, 10, 20)


def test_all_forms_of_a_mask_are_the_same_mask():
    mask = np.zeros((10, 20), bool)
    mask[2:7, 3:9] = True
    counts = rle.encode(mask)
    for form in (
        {"size": [10, 20], "counts": counts.decode()},
        {"size": [10, 20], "counts": [32, *[5, 5] * 5, 5, 113]},
        [[3, 2, 9, 2, 9, 7, 3, 7]],
    ):
        assert polygons.to_counts(form, 10, 20) == counts
