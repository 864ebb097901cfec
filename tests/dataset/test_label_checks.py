"""Labels that deserve a second look are found, sound ones are not."""

import numpy as np
import pytest

from backend.dataset.image_records import Flag, Record
from backend.dataset.label_checks import JumpFinder, box_iou, flag_masks


def record(number: int, areas: dict[int, int], video: int = 0, flags: list[Flag] | None = None) -> Record:
    """Return a record of a frame with objects of these areas."""
    none = np.zeros(len(areas), np.int64)
    boxes = np.tile([10.0, 10, 20, 20], (len(areas), 1))
    return Record(
        video, number, "x.png", 100, 100, 0, np.array(list(areas)), none, np.array(list(areas.values())), boxes,
        [list(flags or []) for _ in areas], [b""] * len(areas),
    )  # fmt: skip


def test_borders_twins_and_parts_are_flagged():
    boxes = np.array([[0, 10, 30, 40], [50, 50, 80, 80], [51, 50, 80, 81], [40, 5, 60, 20], [70, 70, 100, 90]], float)
    flags = flag_masks(boxes, [1, 1, 1, 5, 4], 100, 100)
    assert flags == [[Flag.BORDER], [Flag.TWIN], [Flag.TWIN], [Flag.PARTS], [Flag.BORDER]]
    assert flag_masks(np.zeros((0, 4)), [], 100, 100) == []


def test_the_iou_of_boxes_is_that_of_areas():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [50, 50, 60, 60]], float)
    assert box_iou(boxes) == pytest.approx(np.array([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]]))


def jumps(*records: Record) -> list[list[int]]:
    """Return for each record the objects that jumped."""
    finder = JumpFinder()
    for each in records:
        finder.flag(each)
    return [[int(each.objects[k]) for k, flags in enumerate(each.flags) if Flag.JUMP in flags] for each in records]


def test_an_area_that_doubles_between_neighbours_is_flagged():
    assert jumps(record(0, {1: 100, 2: 100}), record(5, {1: 210, 2: 190}), record(10, {1: 100, 2: 190})) == [
        [],
        [1],
        [1],
    ]


@pytest.mark.parametrize(
    "second",
    [record(80, {1: 900}), record(5, {1: 900}, video=1), record(5, {1: 900}, flags=[Flag.BORDER]), record(5, {2: 900})],
    ids=["far apart in time", "another video", "walking out of the picture", "another bird"],
)
def test_changes_with_a_reason_are_not_flagged(second):
    assert jumps(record(0, {1: 100}), second) == [[], []]


def test_objects_without_identity_are_not_compared():
    assert jumps(record(0, {0: 100}), record(1, {0: 900})) == [[], []]
