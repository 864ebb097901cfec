"""Overlays tint what is inside, leave the rest alone, and never change the picture they are drawn on."""

import numpy as np

from backend.masks.colours import PALETTE
from backend.masks.draw_overlay import overlay


def test_masks_are_tinted_and_outlined_in_their_colour():
    image = np.full((90, 120, 3), 100, np.uint8)
    labels = np.zeros((90, 120), np.uint8)
    labels[20:60, 30:80] = 3
    drawn = overlay(image, labels)
    assert (image == 100).all()
    assert (drawn[labels == 0] == 100).all()
    assert drawn[20, 50].tolist() == PALETTE[3].tolist()
    inside = drawn[40, 50].astype(int)
    assert (np.abs(inside - PALETTE[3]) < np.abs(100 - PALETTE[3].astype(int))).all()


def test_boxes_and_texts_stay_inside_the_picture():
    image = np.zeros((60, 80, 3), np.uint8)
    boxes = np.array([[0, 0, 80, 60], [70, 2, 80, 10]], np.float32)
    drawn = overlay(image, boxes=boxes, texts=["bird 1", "a name much longer than the picture"])
    assert drawn.shape == image.shape
    assert drawn[59, 40].tolist() == PALETTE[1].tolist()


def test_touching_objects_are_told_apart_by_a_line():
    labels = np.ones((40, 40), np.uint8)
    labels[:, 20:] = 2
    drawn = overlay(np.zeros((40, 40, 3), np.uint8), labels)
    assert drawn[20, 19].tolist() == PALETTE[1].tolist()
    assert drawn[20, 20].tolist() == PALETTE[2].tolist()
