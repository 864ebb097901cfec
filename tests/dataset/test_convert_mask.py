"""One mask file becomes one record: every object is kept with the same pixels, or counted as dropped."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask

from backend.dataset.convert_mask import POLYGONS, RLE, Conversion, Refused, convert_mask, image_facts
from backend.dataset.image_records import Dropped, Record
from backend.dataset.problems import Problem
from backend.dataset.sources import MaskFrame
from backend.masks import rle
from backend.masks.indexed import encode_labels, read_labels
from backend.masks.polygons import to_counts
from backend.project.errors import InputError

SIZES = st.tuples(st.integers(2, 20), st.integers(2, 20))
MAPS = SIZES.flatmap(lambda size: arrays(np.uint8, size, elements=st.sampled_from([0, 0, 1, 2, 3])))


def frame_of(folder: Path, labels: np.ndarray) -> MaskFrame:
    """Write a mask and a picture of its size."""
    (folder / "mask.png").write_bytes(encode_labels(labels))
    cv2.imwrite(str(folder / "image.png"), np.zeros(labels.shape, np.uint8))
    return MaskFrame(0, 7, str(folder / "image.png"), str(folder / "mask.png"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("convert")


@settings(deadline=None, max_examples=60)
@given(MAPS, st.integers(1, 3), st.integers(1, 40), st.sampled_from([POLYGONS, RLE]))
def test_every_object_is_kept_exactly_or_counted(folder, labels, factor, min_area, form):
    labels = labels.repeat(factor, 0).repeat(factor, 1)
    record = convert_mask(frame_of(folder, labels), Conversion(form, min_area, ({1: 1, 2: 1, 3: 2},)))
    assert isinstance(record, Record)
    ids = [value for value in np.unique(labels).tolist() if value]
    assert len(record) + sum(record.dropped.values()) == len(ids)
    for k, body in enumerate(record.bodies):
        annotation = json.loads(b"{%s}" % body)
        mask = labels == annotation["object"]
        assert to_counts(annotation["segmentation"], *labels.shape) == rle.encode(mask)
        x, y, w, h = annotation["bbox"]
        assert [x, y, w, h] == coco_mask.toBbox({"size": list(labels.shape), "counts": rle.encode(mask)}).tolist()
        assert annotation["area"] == mask.sum() == record.areas[k] >= min_area
        assert min(w, h) >= 2
        assert annotation["category_id"] == record.categories[k] == (2 if annotation["object"] == 3 else 1)
    small = sum((labels == value).sum() < min_area for value in ids)
    assert record.dropped.get(Dropped.SMALL, 0) == small


def test_an_empty_mask_is_an_image_without_birds(folder):
    record = convert_mask(frame_of(folder, np.zeros((5, 6), np.uint8)), Conversion(POLYGONS, 1, ({1: 1},)))
    assert isinstance(record, Record) and len(record) == 0 and record.boxes.shape == (0, 4)


def test_an_unknown_object_refuses_the_frame_and_says_what_is_known(folder):
    refused = convert_mask(frame_of(folder, np.full((5, 6), 9, np.uint8)), Conversion(POLYGONS, 1, ({1: 1, 4: 1},)))
    assert isinstance(refused, Refused) and refused.kind is Problem.UNKNOWN_ID
    assert "id 9" in refused.example and "(known: 1, 4)" in refused.example


def test_an_image_stored_turned_is_refused(tmp_path):
    picture = Image.new("RGB", (8, 4))
    exif = picture.getexif()
    exif[274] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    picture.save(tmp_path / "upright.jpg")
    assert image_facts(str(tmp_path / "upright.jpg"))[:2] == (8, 4)
    with pytest.raises(InputError, match="EXIF orientation 6"):
        image_facts(str(tmp_path / "turned.jpg"))


def turned_image(path, orientation, behind=False):
    """Write an image with an EXIF orientation; ``behind`` the pixels, where PNG allows it, too."""
    picture = Image.new("RGB", (8, 4))
    exif = picture.getexif()
    exif[274] = orientation
    picture.save(path, exif=exif)
    if behind:
        data = path.read_bytes()
        place = data.index(b"eXIf") - 4
        length = 12 + int.from_bytes(data[place : place + 4], "big")
        rest = data[:place] + data[place + length :]
        path.write_bytes(rest[:-12] + data[place : place + length] + rest[-12:])
    return path


@pytest.mark.parametrize("ending", ["png", "webp", "tif", "jpg"])
@pytest.mark.parametrize("orientation", [3, 8])
def test_an_image_stored_turned_is_refused_in_every_format(tmp_path, ending, orientation):
    with pytest.raises(InputError, match=f"EXIF orientation {orientation}"):
        image_facts(str(turned_image(tmp_path / f"turned.{ending}", orientation)))
    assert image_facts(str(turned_image(tmp_path / f"upright.{ending}", 1)))[:2] == (8, 4)


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path):
    with pytest.raises(InputError, match="EXIF orientation 3"):
        image_facts(str(turned_image(tmp_path / "a.png", 3, behind=True)))


def test_a_mask_stored_turned_is_refused(tmp_path):
    mask = Image.fromarray(np.eye(4, 8, dtype=np.uint8))
    exif = mask.getexif()
    exif[274] = 3
    mask.save(tmp_path / "a.png", exif=exif)
    with pytest.raises(InputError, match="is stored turned .EXIF orientation 3."):
        read_labels(tmp_path / "a.png")
