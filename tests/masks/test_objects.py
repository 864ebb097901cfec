"""What stands beside the masks is read as written, and refused in one line where it cannot be meant."""

import json

import pytest

from backend.masks.objects import (
    LabelledObject,
    MaskOrigin,
    read_frames,
    read_objects,
    write_frames,
    write_objects,
)
from backend.project.errors import InputError


def test_objects_come_back_ordered_by_id(tmp_path):
    birds = [LabelledObject(id=number, name=f"bird {number}", class_name="ruff", colour="#e69f00") for number in (2, 1)]
    write_objects(tmp_path, birds)
    assert read_objects(tmp_path) == birds[::-1]
    assert json.loads((tmp_path / "objects.json").read_text())[0]["class"] == "ruff"


def test_frames_come_back_with_their_origin(tmp_path):
    frames = {12: MaskOrigin.HAND_MADE, 3: MaskOrigin.PROPAGATED, 4: MaskOrigin.REVIEWED}
    write_frames(tmp_path, frames)
    assert read_frames(tmp_path) == frames
    assert [origin.seen_by_a_person for origin in frames.values()] == [True, False, True]


def test_a_folder_without_the_files_says_none(tmp_path):
    assert read_objects(tmp_path) is None
    assert read_frames(tmp_path) is None


def test_keys_of_later_versions_are_no_problem(tmp_path):
    (tmp_path / "objects.json").write_text('[{"id": 1, "name": "a", "class": "ruff", "rings": "left red"}]')
    assert [entry.class_name for entry in read_objects(tmp_path) or ()] == ["ruff"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "JSON"),
        ("{}", "array"),
        ('[{"id": 0, "name": "a", "class": "ruff"}]', "0.id: .*greater"),
        ('[{"id": 256, "name": "a", "class": "ruff"}]', "0.id: .*less"),
        ('[{"id": 1, "name": "a"}]', "class"),
        ('[{"id": 1, "name": "a", "class": " ruff"}]', "blank"),
        (
            '[{"id": 1, "name": "a", "class": "r"}, {"id": 1, "name": "b", "class": "r"}]',
            "id 1 is there more than once",
        ),
    ],
)
def test_unusable_objects_are_refused_with_path_and_reason(tmp_path, text, complaint):
    (tmp_path / "objects.json").write_text(text)
    with pytest.raises(InputError, match=complaint) as refusal:
        read_objects(tmp_path)
    assert str(tmp_path / "objects.json") in str(refusal.value)


def test_a_byte_order_mark_does_not_matter(tmp_path):
    text = '[{"id": 1, "name": "a", "class": "ruff"}]'
    (tmp_path / "objects.json").write_text(text, "utf-8-sig")
    (tmp_path / "frames.json").write_text('{"frames": {"1": "reviewed"}}', "utf-8-sig")
    assert [entry.name for entry in read_objects(tmp_path)] == ["a"] and list(read_frames(tmp_path)) == [1]


@pytest.mark.parametrize("text", ['{"frames": {"-1": "reviewed"}}', '{"frames": {"1": "guessed"}}', '{"format": 2}'])
def test_unusable_frames_are_refused(tmp_path, text):
    (tmp_path / "frames.json").write_text(text)
    with pytest.raises(InputError, match=r"frames\.json cannot be used"):
        read_frames(tmp_path)
