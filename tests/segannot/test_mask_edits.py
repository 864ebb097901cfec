"""Strokes, polygons and cleaning, to the pixel."""

import numpy as np
import pytest

from backend.masks.strokes import polygon_mask, stroke_mask
from segannot.mask_edits import box_of, put_object, without_specks


def test_a_polygon_holds_the_pixels_whose_centres_are_inside():
    mask = polygon_mask(np.array([[2, 3], [7, 3], [7, 6], [2, 6]], float), (12, 10))
    assert box_of(mask) == (2, 3, 7, 6) and mask.sum() == 15


@pytest.mark.parametrize("radius", [1.0, 4.0, 9.5])
def test_a_stroke_is_as_wide_as_its_brush(radius):
    mask = stroke_mask(np.array([[20.5, 20.5], [60.5, 20.5]]), radius, (100, 60))
    assert abs(int(mask[:, 40].sum()) - 2 * radius) <= 1.5
    dot = stroke_mask(np.array([[30.5, 30.5]]), radius, (100, 60))
    assert abs(float(dot.sum()) - np.pi * radius**2) <= 5 * radius + 3


def test_a_stroke_far_outside_the_frame_is_harmless():
    assert not stroke_mask(np.array([[-5000.0, 9000.0]]), 3, (50, 40)).any()


def test_specks_and_small_holes_go_and_large_parts_stay():
    mask = np.zeros((60, 60), bool)
    mask[5:30, 5:30] = True
    mask[40:55, 40:55] = True
    mask[10, 10] = False
    mask[50, 3] = True
    clean = without_specks(mask)
    assert clean[10, 10] and not clean[50, 3] and clean[45, 45]


def test_objects_in_front_keep_their_pixels_unless_a_person_draws_over_them():
    labels = np.zeros((10, 10), np.uint8)
    labels[:, 5:] = 2
    mask = np.zeros((10, 10), bool)
    mask[2:4] = True
    behind = put_object(labels, mask, 1, {2})
    assert (behind[2:4, :5] == 1).all() and (behind[2:4, 5:] == 2).all()
    drawn = np.zeros((10, 10), bool)
    drawn[2, 6] = True
    over = put_object(labels, mask, 1, {2}, drawn)
    assert over[2, 6] == 1 and over[2, 7] == 2
