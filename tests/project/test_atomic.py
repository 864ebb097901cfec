"""Whole files: content, permissions, what is left after an error. Kills and failing disks are in tests/faults."""

import errno
import json
import os
import stat
import time

import pytest

from backend.project.atomic import atomic_file, atomic_json, atomic_write, move_aside, remove_temporary


def test_a_new_file_has_its_content_and_nothing_lies_beside_it(tmp_path):
    atomic_write(tmp_path / "a", b"\0bytes")
    atomic_write(tmp_path / "b", "text é")
    assert (tmp_path / "a").read_bytes() == b"\0bytes"
    assert (tmp_path / "b").read_text() == "text é"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_the_old_file_is_there_until_the_block_ends(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with atomic_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_block_leaves_the_old_file_and_no_temporary_one(tmp_path, error):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(error), atomic_file(path) as file:
        file.write(b"new")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_reader_never_sees_anything_between(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with open(path) as reader:
        atomic_write(path, "new")
        assert reader.read() == "old"


@pytest.mark.parametrize(("mode", "expected"), [(0o666, 0o644), (0o600, 0o600)])
def test_permissions_hold_from_the_first_moment(tmp_path, mode, expected):
    before = os.umask(0o022)
    try:
        with atomic_file(tmp_path / "a", mode=mode):
            (temporary,) = tmp_path.iterdir()
            assert stat.S_IMODE(temporary.stat().st_mode) == expected
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == expected


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        atomic_write(tmp_path / "none" / "a", "x")
    assert error.value.filename == str(tmp_path / "none" / "a")


def test_a_full_disk_is_named_also_when_the_caller_writes(tmp_path):
    with pytest.raises(OSError) as error, atomic_file(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.filename == str(tmp_path / "a")


def test_an_error_of_another_file_keeps_its_own_name(tmp_path):
    with pytest.raises(OSError) as error, atomic_file(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device", "/other")
    assert error.value.filename == "/other"
    with pytest.raises(OSError) as error, atomic_file(tmp_path / "a"):
        raise OSError(errno.EIO, "Input/output error")  # of whatever was read for it
    assert error.value.filename is None


def test_a_name_of_any_length_works(tmp_path):
    atomic_write(tmp_path / ("x" * 255), "x")
    assert (tmp_path / ("x" * 255)).exists()


class TestJson:
    def test_it_is_readable_and_ends_with_a_newline(self, tmp_path):
        atomic_json(tmp_path / "a", {"é": [1, 2.5, None]})
        text = (tmp_path / "a").read_text()
        assert json.loads(text) == {"é": [1, 2.5, None]}
        assert "é" in text
        assert text.endswith("}\n")

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    def test_what_json_does_not_know_is_refused_and_the_old_file_stays(self, tmp_path, value):
        atomic_json(tmp_path / "a", 1)
        with pytest.raises(ValueError, match="JSON"):
            atomic_json(tmp_path / "a", {"x": [value]})
        assert json.loads((tmp_path / "a").read_text()) == 1


def test_only_our_own_temporary_files_are_removed(tmp_path):
    mine = [".a.json.123-0123abcd.tmp", f".{'x' * 200}.1-ffffffff.tmp"]
    others = ["a.tmp", ".a.tmp", ".hidden", "b.123-0123abcd.tmp", ".a.123-0123abcd.tmp2"]
    for name in mine + others:
        (tmp_path / name).write_text("")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / mine[0]).write_text("")
    assert remove_temporary(tmp_path) == 2
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "below"])
    assert (tmp_path / "below" / mine[0]).exists()


def test_what_is_moved_aside_keeps_its_content_and_says_when(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xff")
    aside = move_aside(path, "corrupt")
    assert not path.exists()
    assert aside.read_bytes() == b"\xff"
    assert aside.name.startswith(time.strftime("a.toml.corrupt-%Y%m"))
