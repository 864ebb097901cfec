"""What a training will need, told before it starts."""

from pathlib import Path

import pytest

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.registry import DETECTRON2, TORCHVISION
from backend.training.estimate import (
    NEEDS,
    SetFacts,
    anchors_for,
    facts_of,
    memory_bytes,
    seen_px,
    suggested_anchors,
    suggested_rate,
)
from backend.training.read_coco import read_pictures
from backend.training.settings import TrainSettings
from tests.training.shapes import shapes_set

FRAME = (2688, 1520)


def need(batch=2, half=False, **given):
    """Return the estimate for a network of COCO's input size."""
    settings = TrainSettings(train_annot=Path("a"), out_dir=Path("b"), batch_size=batch)
    return memory_bytes(DetectorSettings(class_names=("ruff",), **given), settings, FRAME, half)


def test_every_network_has_an_estimate():
    assert set(NEEDS) == {backbone.name for info in (TORCHVISION, DETECTRON2) for backbone in info.backbones}


def test_two_full_size_pictures_fit_into_24_gb_and_sixty_do_not():
    assert 3e9 < need() < 24e9
    assert need(batch=60) > 24e9


def test_more_pictures_need_more_half_precision_and_frozen_stages_less():
    assert need(1) < need(2) < need(4)
    assert need(half=True) < need()
    assert need(norm="frozen", frozen_stages=2) < need(norm="group")


@pytest.mark.parametrize(("median_px", "smallest"), [(200, 32), (60, 32), (30, 16), (15, 8), (3, 8)])
def test_small_animals_get_small_anchors(median_px, smallest):
    assert suggested_anchors(median_px, DetectorSettings(class_names=("ruff",)), FRAME)[0] == smallest


def test_the_rate_grows_with_the_pictures_of_a_step():
    assert suggested_rate(2, 1, random_start=False) == 0.00075
    assert suggested_rate(4, 2, random_start=False) == 0.003
    assert suggested_rate(4, 1, random_start=True) == 0.01


@pytest.mark.parametrize("form", ["polygons", "rle"])
def test_facts_of_a_set(tmp_path, form):
    found = facts_of(read_pictures(shapes_set(tmp_path, "a", 5, 3, form=form)))
    assert (found.images, found.class_names, found.picture_size) == (5, ("ellipse", "triangle"), (128, 96))
    assert 15 < found.median_px < 45


def test_each_picture_of_a_set_of_mixed_resolution_has_its_own_scale():
    """Nine animals of 40 px in small pictures, which are enlarged, and two in large ones, which are reduced."""
    detector = DetectorSettings(class_names=("ruff",), short_side_px=800, long_side_px=1333)
    facts = SetFacts(2, 11, ("ruff",), (3840, 2160), 40.0, (((640, 400), (40.0,) * 9), ((3840, 2160), (40.0,) * 2)))
    assert seen_px(facts, detector) == pytest.approx(80, rel=0.02)
    assert anchors_for(seen_px(facts, detector))[0] == 32
    assert anchors_for(40 * 1333 / 3840)[0] == 16, "what the largest picture's scale would suggest for all of them"


def test_the_size_seen_follows_from_the_pictures_of_a_set(tmp_path):
    detector = DetectorSettings(class_names=("ruff",), short_side_px=192, long_side_px=256)
    facts = facts_of(read_pictures(shapes_set(tmp_path, "a", 5, 3)))
    assert seen_px(facts, detector) == pytest.approx(2 * facts.median_px, rel=0.02)
