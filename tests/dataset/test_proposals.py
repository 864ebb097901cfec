"""Pairs are proposed from names, problems are told before anything starts, and counts come near what will be."""

import pytest

from backend.dataset.proposals import look_at, project_folders, propose, resulting_counts, thumbnail
from backend.dataset.split import Side, SplitBy, SplitSettings
from backend.masks.objects import MaskOrigin, write_frames
from backend.project.errors import InputError
from backend.project.paths import Project
from tests.label_folders import make_pair

WAYS = SplitSettings(0.8, SplitBy.BLOCKS, 25, 0)


def test_folders_of_one_name_are_paired(tmp_path):
    pairs = [make_pair(tmp_path, video, range(2)) for video in ("south", "north")]
    (tmp_path / "exported_frames" / "lonely").mkdir()
    images, masks = project_folders(Project(tmp_path))
    assert [folder.name for folder in images] == ["lonely", "north", "south"]
    assert propose(images, masks) == dict(pairs)


def test_folders_from_elsewhere_are_paired_by_what_their_path_says(tmp_path):
    images, masks = [tmp_path / "dog" / "images"], [tmp_path / "cat" / "masks", tmp_path / "dog" / "masks"]
    assert propose(images, masks) == {images[0]: masks[1]}


def test_an_empty_project_has_no_folders(tmp_path):
    assert project_folders(Project(tmp_path)) == ([], [])


def test_facts_tell_counts_classes_an_example_and_what_was_reviewed(tmp_path):
    images, masks = make_pair(tmp_path, "lek", range(0, 50, 10), classes=("ruff", "reeve"))
    write_frames(masks, {0: MaskOrigin.HAND_MADE, 10: MaskOrigin.PROPAGATED, 20: MaskOrigin.REVIEWED})
    facts = look_at(images, masks)
    assert (facts.numbers, facts.lines, facts.classes, facts.reviewed) == (
        (0, 10, 20, 30, 40),
        (),
        ("reeve", "ruff"),
        2,
    )
    assert thumbnail(*facts.example, 80).shape == (48, 80, 3)


def test_facts_tell_problems_instead_of_failing(tmp_path):
    images, masks = make_pair(tmp_path, "lek", range(3))
    (masks / "000001.png").unlink()
    assert look_at(images, masks).lines == (f"1 of images without a mask: {images}/000001.png",)
    (masks / "frames.json").write_text("{")
    assert "frames.json cannot be used" in look_at(images, masks).lines[0]
    assert "No such file" in look_at(tmp_path / "gone", masks).lines[0]


def test_counts_are_those_of_the_split(tmp_path):
    facts = [look_at(*make_pair(tmp_path, video, range(0, 2000, 50))) for video in ("a", "b")]
    assert resulting_counts(facts, WAYS) == {Side.TRAIN: 64, Side.VAL: 16, Side.LEFT_OUT: 0}
    with pytest.raises(InputError, match="no image has a mask"):
        resulting_counts([], WAYS)
