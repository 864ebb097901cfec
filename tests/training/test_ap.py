"""AP as COCO defines it: perfect, absent and half-right predictions."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from backend.masks import rle
from backend.training.ap import average_precision, coco_truth
from backend.training.read_coco import Instance, Picture, PictureSet, read_pictures


def as_results(found, score=0.9, shift=0):
    """Return the truth itself as predictions, masks moved right by ``shift`` px."""
    results = []
    for picture in found.pictures:
        for instance in picture.instances:
            mask = np.roll(rle.decode(picture.counts(instance), picture.height, picture.width), shift, 1)
            encoded = {"size": [picture.height, picture.width], "counts": rle.encode(mask)}
            results.append(
                {
                    "image_id": picture.image_id,
                    "category_id": instance.class_id,
                    "score": score,
                    "bbox": coco_mask.toBbox(encoded).tolist(),
                    "segmentation": {**encoded, "counts": encoded["counts"].decode()},
                }
            )
    return results


def test_the_truth_itself_has_an_ap_of_1(data):
    found = read_pictures(data / "val.json")
    for metrics in average_precision(found, as_results(found)).values():
        assert metrics["ap"] == metrics["ap50"] == metrics["ap75"] == metrics["ap_small"] == 1.0
        assert metrics["ap_large"] is None  # there is none to find
        assert metrics["per_class"] == {"ellipse": 1.0, "triangle": 1.0}


def test_no_predictions_have_an_ap_of_0(data):
    found = read_pictures(data / "val.json")
    assert average_precision(found, [])["mask"]["ap"] == 0.0


def test_a_shift_costs_ap_at_strict_overlaps_first(data):
    found = read_pictures(data / "val.json")
    metrics = average_precision(found, as_results(found, shift=2))["mask"]
    assert metrics["ap50"] == 1.0
    assert metrics["ap75"] < metrics["ap50"]
    assert metrics["ap"] < 0.9


def test_classes_that_are_exchanged_find_nothing(data):
    found = read_pictures(data / "val.json")
    swapped = [{**result, "category_id": 3 - result["category_id"]} for result in as_results(found)]
    assert average_precision(found, swapped)["mask"]["ap50"] == pytest.approx(0.0, abs=1e-6)


def test_more_than_a_hundred_birds_in_a_picture_count(tmp_path):
    cells = [(x, y) for x in range(0, 300, 20) for y in range(0, 200, 20)]
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], np.float32)
    instances = tuple(Instance(1, (square + place,), b"", False) for place in cells)
    picture = Picture(1, tmp_path / "a.png", 300, 200, instances)
    found = PictureSet(tmp_path / "a.json", ("ruff",), (picture,), "")
    assert len(cells) == 150
    assert average_precision(found, as_results(found), 300)["mask"]["ap"] == 1.0
    assert average_precision(found, as_results(found), 100)["mask"]["recall"] < 0.7


def test_annotation_ids_begin_with_1(data):
    assert min(coco_truth(read_pictures(data / "val.json")).anns) == 1
