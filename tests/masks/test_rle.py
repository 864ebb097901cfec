"""The run-length code equals pycocotools' byte for byte, and area, box, IoU and pixels come back from it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from backend.masks import rle

SIZES = st.tuples(st.integers(1, 30), st.integers(1, 40))
MAPS = SIZES.flatmap(lambda size: arrays(np.uint8, size, elements=st.sampled_from([0, 0, 0, 1, 2, 255])))


def blown_up(labels: np.ndarray, factor: int) -> np.ndarray:
    """Return the map with every pixel a square: shapes instead of noise."""
    return labels.repeat(factor, 0).repeat(factor, 1)


def coco(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def check_against_pycocotools(labels: np.ndarray) -> None:
    runs = rle.label_runs(labels)
    assert runs.ids.tolist() == [value for value in np.unique(labels).tolist() if value]
    for k, value in enumerate(runs.ids):
        truth = coco(labels == value)
        x, y, w, h = coco_mask.toBbox(truth).tolist()
        assert runs.counts(k) == truth["counts"]
        assert runs.areas()[k] == coco_mask.area(truth)
        assert runs.boxes()[k].tolist() == [x, y, x + w, y + h]


@settings(deadline=None, max_examples=150)
@given(MAPS, st.integers(1, 4))
def test_every_object_of_a_random_map_is_coded_as_pycocotools_does(labels, factor):
    check_against_pycocotools(blown_up(labels, factor))


def test_a_lek_is_coded_as_pycocotools_does(birds):
    check_against_pycocotools(birds)


def test_maps_that_are_not_contiguous_are_coded_right(birds):
    check_against_pycocotools(birds[::2, 5:501:3])


@pytest.mark.parametrize("value", [0, 1])
def test_an_even_picture_is_coded_as_pycocotools_does(value):
    mask = np.full((5, 7), value, np.uint8)
    assert rle.encode(mask) == coco(mask)["counts"]


def test_many_changes_make_the_buffers_grow():
    labels = np.indices((120, 160)).sum(0).astype(np.uint8) % 2
    check_against_pycocotools(labels)


@settings(deadline=None, max_examples=80)
@given(MAPS)
def test_pixels_come_back(labels):
    mask = labels > 0
    counts = rle.encode(mask)
    assert (rle.decode(counts, *mask.shape) == mask).all()
    assert rle.area(counts) == mask.sum()
    assert rle.box(counts, len(mask)).tolist() == rle.label_runs(mask).boxes().ravel().tolist() or not mask.any()


def test_objects_are_painted_back_in_order(birds):
    runs = rle.label_runs(birds)
    painted = rle.paint([runs.counts(k) for k in range(len(runs))], *birds.shape)
    assert (painted == np.searchsorted(np.r_[0, runs.ids], birds)).all()
    assert rle.paint([rle.encode(birds > 0), runs.counts(0)], *birds.shape)[birds == runs.ids[0]].tolist().count(2) > 0


@settings(deadline=None, max_examples=60)
@given(SIZES.flatmap(lambda size: arrays(np.bool_, (5, *size))))
def test_iou_of_all_pairs_equals_pycocotools(masks):
    counts = [rle.encode(mask) for mask in masks]
    ours = rle.iou(counts[:2], counts[2:], masks.shape[1])
    truth = coco_mask.iou([coco(mask) for mask in masks[:2]], [coco(mask) for mask in masks[2:]], [0, 0, 0])
    assert ours == pytest.approx(np.array(truth))


def test_iou_of_nothing_is_an_empty_table():
    assert rle.iou([], [rle.encode(np.ones((3, 3)))], 3).shape == (0, 1)


@settings(deadline=None, max_examples=80)
@given(MAPS, st.lists(st.integers(0, 8), max_size=5))
def test_codes_of_other_writers_become_ours(labels, empty_runs):
    mask = labels > 0
    counts = np.diff(np.flatnonzero(np.diff(mask.T.ravel(), prepend=0, append=2)), prepend=0).tolist()
    for place in empty_runs:  # a run cut in two by an empty one
        if place < len(counts) and counts[place] > 1:
            counts[place : place + 1] = [1, 0, counts[place] - 1]
    assert rle.checked(counts, *mask.shape) == rle.encode(mask)
    assert rle.checked(rle.encode(mask).decode(), *mask.shape) == rle.encode(mask)


@pytest.mark.parametrize(
    "counts",
    [None, 7, "", "~~~", "\x00", [1, 2], [-1, 13], [2**62, 2**62], [[12]], "o" * 400, "4444"],
    ids=[
        "none",
        "a number",
        "empty",
        "no code",
        "a NUL",
        "too few",
        "negative",
        "overflow",
        "nested",
        "endless",
        "wrong",
    ],
)
def test_damaged_codes_are_refused(counts):
    with pytest.raises(ValueError):
        rle.checked(counts, 3, 4)


def test_codes_of_another_size_are_refused():
    with pytest.raises(ValueError, match="12 pixels, the picture has 5 x 3"):
        rle.decode(rle.encode(np.ones((3, 4))), 3, 5)


def test_more_than_255_masks_do_not_fit_into_a_label_map():
    with pytest.raises(ValueError, match="256"):
        rle.paint([rle.encode(np.ones((1, 1)))] * 256, 1, 1)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="uint16"):
        rle.label_runs(np.zeros((2, 2), np.uint16))
