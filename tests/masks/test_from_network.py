import numpy as np
import pytest

from backend.masks.from_network import encode_masks
from tests.pasting import counts, paste, random_masks

SIZE = (320, 240)


def check(masks, boxes, size=SIZE, threshold=0.5):
    encoded = encode_masks(masks, boxes, size, threshold)
    pasted = [paste(mask, box, size, threshold) for mask, box in zip(masks, boxes, strict=True)]
    assert [encoded.counts(k) for k in range(len(masks))] == [counts(full) for full in pasted]
    assert encoded.area_px2.tolist() == [int(full.sum()) for full in pasted]


@pytest.mark.parametrize("sides_px", [(0.2, 3), (3, 28), (28, 90), (90, 400)], ids=str)
def test_counts_equal_those_of_pasting_and_encoding(sides_px):
    check(*random_masks(int(sides_px[0]), 100, SIZE, sides_px))


def test_counts_are_equal_at_the_size_of_real_frames():
    check(*random_masks(5, 40, (2688, 1520), (40, 160)), size=(2688, 1520))


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.9])
def test_counts_are_equal_at_other_thresholds(threshold):
    check(*random_masks(7, 30, SIZE, (10, 80)), threshold=threshold)


@pytest.mark.parametrize("value", [0.5, np.nextafter(np.float32(0.5), np.float32(0)), 1.0, 0.0])
def test_counts_are_equal_where_rounding_alone_decides(value):
    _, boxes = random_masks(3, 40, SIZE, (5, 120))
    check(np.full((40, 28, 28), value, np.float32), boxes)


def test_hard_masks_with_many_runs_are_equal():
    checker = (np.indices((28, 28)).sum(0) % 2).astype(np.float32)
    noise = np.random.default_rng(0).integers(0, 2, (28, 28)).astype(np.float32)
    _, boxes = random_masks(4, 20, SIZE, (100, 600))
    check(np.stack([checker, noise] * 10), boxes)


def test_a_mask_from_edge_to_edge_gives_runs_that_go_on_from_column_to_column():
    width, height = SIZE
    ones = np.ones((1, 28, 28), np.float32)
    check(ones, np.array([[-50, -50, width + 50, height + 50]], np.float32))
    check(ones, np.array([[0, 0, width, height]], np.float32))


@pytest.mark.parametrize(
    "box",
    [(5, 5, 5, 9), (9, 5, 5, 9), (np.nan, 0, 9, 9), (0, 0, np.inf, 9), (400, 10, 450, 60), (-50, -50, -9, -9)],
    ids=["no width", "turned round", "nan", "infinite", "right of the frame", "left of the frame"],
)
def test_a_box_that_holds_no_pixel_has_an_empty_mask(box):
    encoded = encode_masks(np.ones((2, 28, 28), np.float32), np.array([box, (1, 1, 4, 4)], np.float32), SIZE)
    assert encoded.area_px2.tolist() == [0, 9]
    assert encoded.counts(0) == counts(np.zeros(SIZE[::-1], np.uint8, order="F"))


def test_no_masks_give_nothing():
    encoded = encode_masks(np.zeros((0, 28, 28), np.float32), np.zeros((0, 4), np.float32), SIZE)
    assert (len(encoded.data), encoded.offsets.tolist(), len(encoded.area_px2)) == (0, [0], 0)


def test_arrays_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="28, 27"):
        encode_masks(np.zeros((1, 28, 27), np.float32), np.zeros((1, 4), np.float32), SIZE)
