"""Batches are the same whatever the number of workers and wherever one begins."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from backend.detectors.detector_settings import DetectorSettings
from backend.project.errors import InputError
from backend.training.augmentation import LIGHT
from backend.training.data_loading import Pictures, TrainingOrder, collate, evaluation_batches, loader, read_sample
from backend.training.read_coco import read_pictures
from tests.training.shapes import shapes_set

SETTINGS = DetectorSettings(class_names=("ellipse", "triangle"), short_side_px=64, long_side_px=96)


def order_of(n, batch_size, first_step, n_steps, process=0, n_processes=1):
    order = TrainingOrder(n, batch_size, 7, process, n_processes)
    order.first_step, order.n_steps = first_step, n_steps
    return list(order)


def test_an_epoch_shows_every_picture_once_and_the_next_one_in_another_order():
    steps = order_of(10, 2, 0, 10)
    assert sorted(place for step in steps[:5] for _, place in step) == list(range(10))
    assert [place for step in steps[:5] for _, place in step] != [place for step in steps[5:] for _, place in step]
    assert {epoch for step in steps[5:] for epoch, _ in step} == {1}


def test_beginning_in_the_middle_gives_the_rest_of_the_same_order():
    assert order_of(10, 3, 7, 20) == order_of(10, 3, 0, 20)[7:]


@pytest.mark.parametrize("n", [8, 9, 10, 11, 1])
def test_two_processes_take_together_what_one_takes_with_twice_the_batch(n):
    both = [order_of(n, 2, 0, 12, process, 2) for process in (0, 1)]
    assert [first + second for first, second in zip(*both, strict=True)] == order_of(n, 4, 0, 12)


def test_evaluation_batches_hold_the_same_pictures_however_they_are_shared():
    alone = evaluation_batches(11, 3, 0, 1)
    shared = [evaluation_batches(11, 3, process, 3) for process in range(3)]
    assert sorted(batch for share in shared for batch in share) == alone
    assert [place for batch in alone for _, place in batch] == list(range(11))


@pytest.mark.parametrize("n_workers", [0, 2])
def test_samples_do_not_depend_on_workers_or_on_what_was_read_before(data, n_workers):
    pictures = Pictures(read_pictures(data / "train.json"), SETTINGS, 3, LIGHT)
    torch.manual_seed(n_workers)
    batches = list(loader(pictures, [[(0, 1)], [(0, 5)], [(1, 1)]], n_workers, pin=False))
    assert torch.equal(batches[1].pictures, collate([pictures[0, 5]]).pictures)
    assert not torch.equal(batches[0].pictures, batches[2].pictures)  # another epoch, other random numbers


@pytest.mark.parametrize("form", ["polygons", "rle"])
@pytest.mark.parametrize("short", [48, 96, 160])
def test_masks_and_boxes_fit_the_resized_picture(tmp_path, form, short):
    found = read_pictures(shapes_set(tmp_path, form, 6, 9, (128, 96), form=form))
    settings = SETTINGS.model_copy(update={"short_side_px": short, "long_side_px": 400})
    for picture in found.pictures:
        sample = read_sample(picture, settings)
        height, width = sample.picture.shape[1:]
        assert (width, height) == settings.input_size((128, 96))
        assert len(sample.target.boxes) == len(picture.instances)
        for box, mask in zip(sample.target.boxes.numpy(), sample.target.masks.numpy(), strict=True):
            rows, columns = np.nonzero(mask)
            tight = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert np.abs(box - tight).max() <= 2.0, (box, tight)
            assert mask.max() == 1


def test_bright_shapes_lie_under_their_masks(data):
    for picture in read_pictures(data / "train.json").pictures:
        sample = read_sample(picture, SETTINGS)
        for mask in sample.target.masks.bool():
            assert sample.picture[:, mask].float().mean() > sample.picture[:, ~mask].float().mean() + 30


def test_pictures_of_different_size_are_padded_right_and_below(tmp_path, data):
    small = read_pictures(shapes_set(tmp_path, "tall", 1, 4, (64, 96)))
    samples = [
        read_sample(read_pictures(data / "train.json").pictures[0], SETTINGS),
        read_sample(small.pictures[0], SETTINGS),
    ]
    batch = collate(samples)
    assert batch.pictures.shape == (2, 3, 96, 96)
    assert batch.sizes == [(96, 64), (64, 96)]
    assert batch.pictures[0, :, 64:].sum() == 0
    assert torch.equal(batch.pictures[1, :, :96, :64], samples[1].picture)


def test_an_instance_that_vanishes_at_the_networks_size_is_left_out(tmp_path):
    found = read_pictures(shapes_set(tmp_path, "a", 1, 3, (1280, 960)))
    sample = read_sample(found.pictures[0], SETTINGS.model_copy(update={"short_side_px": 32, "long_side_px": 48}))
    assert len(sample.target.boxes) == len(found.pictures[0].instances)
    tiny = SETTINGS.model_copy(update={"short_side_px": 32, "long_side_px": 48})
    small = found.pictures[0].instances[0].polygons[0] * 0.001
    picture = type(found.pictures[0])(
        1, found.pictures[0].path, 1280, 960, (type(found.pictures[0].instances[0])(1, (small,), b"", False),)
    )
    assert len(read_sample(picture, tiny).target.boxes) == 0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b"no picture"), "cannot be read as an image"),
        (lambda path: path.unlink(), "cannot be read as an image"),
        (
            lambda path: path.write_bytes((path.parent.parent / "b" / "0001.png").read_bytes()),
            "128x96, its JSON says 64x96",
        ),
    ],
)
@pytest.mark.parametrize("n_workers", [0, 1])
def test_a_picture_that_cannot_be_read_is_named_even_from_a_worker(tmp_path, spoil, words, n_workers):
    found = read_pictures(shapes_set(tmp_path, "a", 2, 3, (64, 96)))
    shapes_set(tmp_path, "b", 1, 3, (128, 96))
    spoil(found.pictures[1].path)
    batches = list(loader(Pictures(found, SETTINGS), [[(0, 0), (0, 1)]], n_workers, pin=False))
    with pytest.raises(InputError, match=words):
        batches[0].to(torch.device("cpu"))


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_an_image_stored_turned_is_not_learnt_from(data, tmp_path, ending):
    """OpenCV would turn it by half, its masks not: animals would be learnt as background."""
    picture = read_pictures(data / "train.json").pictures[0]
    with Image.open(picture.path) as image:
        exif = image.getexif()
        exif[274] = 3
        image.save(tmp_path / f"turned.{ending}", exif=exif)
    with pytest.raises(InputError, match="EXIF orientation 3"):
        read_sample(replace(picture, path=tmp_path / f"turned.{ending}"), SETTINGS)
