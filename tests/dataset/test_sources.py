"""Which mask belongs to which image, and which pixel value to which class."""

from pathlib import Path

import pytest

from backend.dataset.problems import Problem, Problems
from backend.dataset.sources import Pair, list_frames, object_classes, video_names
from backend.masks.objects import LabelledObject, write_objects
from backend.project.errors import InputError


def pair_of(root: Path, images: list[str], masks: list[str]) -> Pair:
    """Make folders with empty files of these names."""
    for name, files in (("images", images), ("masks", masks)):
        (root / name).mkdir()
        for file in files:
            (root / name / file).touch()
    return Pair("lek", root / "images", root / "masks")


def frames(pair: Pair) -> tuple[list[tuple[int, str, str]], Problems]:
    problems = Problems()
    found = list_frames(0, pair, problems)
    return [(frame.number, Path(frame.image).name, Path(frame.mask).name) for frame in found], problems


def test_numbers_pair_files_whatever_their_zeros_and_prefix(tmp_path):
    found, problems = frames(pair_of(tmp_path, ["frame_0010.jpg", "frame_0002.jpg"], ["000002.png", "000010.png"]))
    assert found == [(2, "frame_0002.jpg", "000002.png"), (10, "frame_0010.jpg", "000010.png")]
    assert not problems


def test_names_that_are_no_numbers_pair_by_name_and_count_by_place(tmp_path):
    found, problems = frames(pair_of(tmp_path, ["b.png", "a.png", "c7.png"], ["a.png", "c7.png", "b.png"]))
    assert found == [(0, "a.png", "a.png"), (1, "b.png", "b.png"), (2, "c7.png", "c7.png")]
    assert not problems


def test_names_in_both_forms_of_unicode_pair(tmp_path):
    """A Mac writes the umlaut as a letter and a mark of its own."""
    found, problems = frames(pair_of(tmp_path, ["u\u0308a.png", "b.png"], ["\u00fca.png", "b.png"]))
    assert found == [(0, "b.png", "b.png"), (1, "u\u0308a.png", "\u00fca.png")]
    assert not problems


def test_hidden_and_foreign_files_are_not_looked_at(tmp_path):
    found, problems = frames(
        pair_of(tmp_path, ["1.png", "notes.txt", ".2.png"], ["1.png", "objects.json", ".1.png.tmp"])
    )
    assert len(found) == 1 and not problems


def test_a_shift_by_one_is_called_by_its_name(tmp_path):
    found, problems = frames(pair_of(tmp_path, ["1.png", "2.png", "3.png"], ["0.png", "1.png", "2.png"]))
    assert found == []
    assert problems.counts == {Problem.NUMBERING: 3}
    assert "numbered one lower" in problems.lines()[0]


def test_two_files_of_one_number_are_a_problem(tmp_path):
    _, problems = frames(pair_of(tmp_path, ["7.png", "007.jpg"], ["7.png"]))
    assert problems.lines() == ["1 of mixed numbering: " + problems.examples[Problem.NUMBERING][0]]


def test_lonely_files_are_counted_and_the_first_three_named(tmp_path):
    _, problems = frames(pair_of(tmp_path, [f"{number}.png" for number in range(9)], ["4.png"]))
    assert problems.counts == {Problem.NO_MASK: 8}
    assert problems.lines()[0].count(".png") == 3


@pytest.mark.parametrize("empty", ["images", "masks"])
def test_an_empty_folder_is_refused(tmp_path, empty):
    pair = pair_of(tmp_path, [] if empty == "images" else ["1.png"], [] if empty == "masks" else ["1.png"])
    with pytest.raises(InputError, match=f"{empty} holds no"):
        frames(pair)


def test_videos_are_named_by_the_telling_part_of_the_path_and_once():
    paths = [Path("/a/north/images"), Path("/a/south"), Path("/b/south/frames"), Path("/images")]
    assert video_names(paths) == ["north", "south", "south-2", "video"]


def test_objects_json_is_found_beside_or_above_the_masks(tmp_path):
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    beside, above = (pair_of(tmp_path / name, ["1.png"], ["1.png"]) for name in ("1", "2"))
    write_objects(beside.masks, [LabelledObject(id=4, name="a", class_name="ruff")])
    write_objects(above.masks.parent, [LabelledObject(id=9, name="b", class_name="duck")])
    names, meanings = object_classes([beside, above], [])
    assert names == ["duck", "ruff"]
    assert meanings == [{4: 2}, {9: 1}]


def test_names_given_decide_the_order_of_categories(tmp_path):
    pair = pair_of(tmp_path, ["1.png"], ["1.png"])
    write_objects(pair.masks, [LabelledObject(id=1, name="a", class_name="ruff")])
    names, meanings = object_classes([pair], ["duck", "ruff"])
    assert (names, meanings) == (["duck", "ruff"], [{1: 2}])


def test_two_spellings_of_one_class_are_one_class(tmp_path):
    pairs = []
    for folder, spelling in (("a", "Ruff"), ("b", "ruff")):
        (tmp_path / folder).mkdir()
        pairs.append(pair_of(tmp_path / folder, ["1.png"], ["1.png"]))
        write_objects(pairs[-1].masks, [LabelledObject(id=3, name="x", class_name=spelling)])
    assert object_classes(pairs, []) == (["Ruff"], [{3: 1}, {3: 1}])
    assert object_classes(pairs, ["duck", "ruff", "RUFF"]) == (["duck", "ruff"], [{3: 2}, {3: 2}])
