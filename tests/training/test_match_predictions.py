"""Two models compared animal by animal: what is missed, invented, or outlined badly, the worst first."""

import numpy as np
import pytest

from backend.masks import rle
from backend.training.match_predictions import Mistake, match_predictions, totals
from backend.training.read_coco import Instance, Picture, PictureSet

SIZE = 100
SQUARE = (10, 10, 30, 30)
OTHER = (60, 60, 80, 80)


def square_mask(x1: int, y1: int, x2: int, y2: int) -> bytes:
    """Return the counts of a filled box."""
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y1:y2, x1:x2] = True
    return rle.encode(mask)


@pytest.fixture
def found(tmp_path):
    """One picture with two animals."""
    instances = tuple(Instance(1, (), square_mask(*box), False) for box in (SQUARE, OTHER))
    picture = Picture(7, tmp_path / "a.png", SIZE, SIZE, instances)
    return PictureSet(tmp_path / "a.json", ("ruff", "reeve"), (picture,), "")


def result(box=SQUARE, score=0.9, class_id=1):
    """Return one prediction."""
    x1, y1, x2, y2 = box
    segmentation = {"size": [SIZE, SIZE], "counts": square_mask(*box).decode()}
    bbox = [x1, y1, x2 - x1, y2 - y1]
    return {"image_id": 7, "category_id": class_id, "score": score, "bbox": bbox, "segmentation": segmentation}


RIGHT = [result(), result(OTHER)]


def test_where_both_are_right_nothing_is_listed(found):
    assert match_predictions(found, RIGHT, RIGHT) == []


def test_a_missed_animal_is_the_worst(found):
    (difference,) = match_predictions(found, RIGHT, [result()])
    assert (difference.mistake_a, difference.mistake_b) == (None, Mistake.MISSED)
    assert (difference.wrong_a, difference.wrong_b) == (0.0, 1.0)
    assert difference.box == OTHER and difference.class_name == "ruff" and difference.file == "a.png"


def test_a_poor_mask_is_as_wrong_as_its_overlap_says(found):
    (difference,) = match_predictions(found, [result((10, 10, 30, 22)), result(OTHER)], RIGHT)
    assert difference.mistake_a is Mistake.POOR_MASK
    assert difference.wrong_a == pytest.approx(0.4)


def test_what_both_invent_at_one_place_is_one_difference(found):
    ghost = (40, 0, 55, 15)
    (difference,) = match_predictions(found, [*RIGHT, result(ghost, 0.6)], [*RIGHT, result(ghost, 0.8)])
    assert (difference.mistake_a, difference.mistake_b) == (Mistake.EXTRA, Mistake.EXTRA)
    assert (difference.wrong_a, difference.wrong_b) == (0.6, 0.8)
    apart = match_predictions(found, [*RIGHT, result(ghost)], [*RIGHT, result((0, 80, 10, 95))])
    assert len(apart) == 2


def test_an_animal_found_twice_and_one_of_the_wrong_class_are_extra(found):
    twice = match_predictions(found, [*RIGHT, result(score=0.7)], RIGHT)
    assert [each.mistake_a for each in twice] == [Mistake.EXTRA]
    wrong = match_predictions(found, [result(class_id=2), result(OTHER)], RIGHT)
    assert {each.mistake_a for each in wrong} == {Mistake.EXTRA, Mistake.MISSED}


def test_doubtful_predictions_are_left_out_and_the_worst_come_first(found):
    assert match_predictions(found, [*RIGHT, result((40, 0, 55, 15), 0.3)], RIGHT) == []
    differences = match_predictions(found, [result((10, 10, 30, 22))], RIGHT)
    assert [each.wrong for each in differences] == [1.0, pytest.approx(0.4)]
    assert totals(differences)["a"] == {"missed": 1, "extra": 0, "poor mask": 1}
