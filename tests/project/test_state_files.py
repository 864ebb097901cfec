"""State files that cannot be read are set aside with their time and a warning, never emptied."""

import json

import pytest

from backend.project.errors import InputError
from backend.project.state_files import read_state, set_aside


def parse(data: bytes) -> dict:
    """Read JSON; a negative value is a sound file with a value that is not allowed."""
    value = json.loads(data)
    if value.get("n", 0) < 0:
        raise InputError("n must not be negative")
    return value


def test_a_file_that_is_not_there_is_the_default(tmp_path):
    assert read_state(tmp_path / "none", parse, dict) == {}
    assert set_aside(tmp_path) == []


def test_a_sound_file_is_read(tmp_path):
    (tmp_path / "a").write_text('{"n": 1}')
    assert read_state(tmp_path / "a", parse, dict) == {"n": 1}


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"\0" * 4096, b"<html>"], ids=repr)
def test_a_broken_file_is_kept_under_another_name_and_said(tmp_path, caplog, data):
    (tmp_path / "a").write_bytes(data)
    assert read_state(tmp_path / "a", parse, dict) == {}
    (aside,) = set_aside(tmp_path)
    assert aside.read_bytes() == data
    assert not (tmp_path / "a").exists()
    assert f"it was moved to {aside.name}" in caplog.text


def test_a_value_that_is_not_allowed_is_said_and_the_file_stays(tmp_path):
    (tmp_path / "a").write_text('{"n": -1}')
    with pytest.raises(InputError, match="n must not be negative"):
        read_state(tmp_path / "a", parse, dict)
    assert (tmp_path / "a").exists()


def test_a_file_that_may_not_be_read_is_not_taken_for_broken(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        read_state(tmp_path / "a", parse, dict)
    assert set_aside(tmp_path) == []


def test_a_folder_that_is_not_there_has_nothing_set_aside(tmp_path):
    assert set_aside(tmp_path / "none") == []
