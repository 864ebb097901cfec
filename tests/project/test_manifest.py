"""Manifests: what a folder came from, whether it is whole, and that another run keeps out."""

import hashlib
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from backend.project.errors import InputError
from backend.project.manifest import (
    MANIFEST,
    Manifest,
    begin_manifest,
    file_identity,
    finished_file,
    hardware,
    read_manifest,
    sha256,
    verify,
    versions,
)

INPUTS = {"video": {"size": 10, "head_tail_sha256": "ab"}}
SETTINGS = {"from_frame": 0, "to_frame": 100}


@pytest.fixture
def whole(tmp_path):
    """A finished output of two files."""
    manifest = begin_manifest(tmp_path, "export_frames", INPUTS, SETTINGS)
    for name in ("000000.png", "000001.png"):
        (tmp_path / name).write_bytes(name.encode())
        manifest.files[name] = finished_file(tmp_path / name)
    manifest.complete, manifest.finished, manifest.counts = True, datetime.now(UTC), {"frames": 2}
    manifest.write(tmp_path)
    return tmp_path


class TestBegin:
    def test_a_new_folder_begins_a_new_run_and_nothing_is_written_yet(self, tmp_path):
        manifest = begin_manifest(tmp_path, "export_frames", INPUTS, SETTINGS)
        assert (manifest.script, manifest.inputs, manifest.settings) == ("export_frames", INPUTS, SETTINGS)
        assert not manifest.complete
        assert manifest.versions["python"]
        assert manifest.hardware["cores"] >= 1
        assert list(tmp_path.iterdir()) == []

    def test_the_same_run_goes_on_with_what_it_had(self, whole):
        again = begin_manifest(whole, "export_frames", INPUTS, SETTINGS)
        assert set(again.files) == {"000000.png", "000001.png"}

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"script": "inference"}, "script ('export_frames' there, 'inference' here)"),
            ({"settings": SETTINGS | {"to_frame": 200}}, "to_frame (100 there, 200 here)"),
            ({"settings": {"from_frame": 0}}, "to_frame (100 there, None here)"),
            ({"settings": SETTINGS | {"every": 2}}, "every (None there, 2 here)"),
            ({"inputs": {"video": {"size": 11, "head_tail_sha256": "ab"}}}, "video ("),
        ],
    )
    def test_another_run_is_refused_and_the_keys_that_differ_are_named(self, whole, change, words):
        before = (whole / MANIFEST).read_bytes()
        run = {"script": "export_frames", "inputs": INPUTS, "settings": SETTINGS} | change
        with pytest.raises(InputError) as error:
            begin_manifest(whole, **run)
        assert words in str(error.value)
        assert "choose another folder" in str(error.value)
        assert (whole / MANIFEST).read_bytes() == before

    def test_every_key_that_differs_is_named(self, whole):
        with pytest.raises(InputError, match=r"from_frame \(0 there, 5 here\); to_frame \(100 there, 6 here\)"):
            begin_manifest(whole, "export_frames", INPUTS, {"from_frame": 5, "to_frame": 6})


class TestVerify:
    def test_a_whole_output_verifies(self, whole):
        assert verify(whole).counts == {"frames": 2}

    def test_a_folder_without_a_manifest_does_not(self, tmp_path):
        with pytest.raises(InputError, match=r"has no manifest\.json: nothing was finished there"):
            verify(tmp_path)

    def test_one_that_is_not_complete_does_not(self, tmp_path):
        begin_manifest(tmp_path, "x", {}, {}).write(tmp_path)
        with pytest.raises(InputError, match="is not complete"):
            verify(tmp_path)

    def test_a_missing_a_short_and_a_changed_file_are_found_and_named(self, whole):
        path = whole / "000001.png"
        good = path.read_bytes()
        path.write_bytes(good[:-1])
        with pytest.raises(InputError, match=r"000001\.png is missing or has another size"):
            verify(whole)
        path.write_bytes(good[:-1] + b"?")
        with pytest.raises(InputError, match=r"000001\.png has another content"):
            verify(whole)
        path.unlink()
        with pytest.raises(InputError, match=r"000001\.png is missing"):
            verify(whole)


class TestFile:
    @pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"format": 1}', b"\xff"], ids=repr)
    def test_a_broken_manifest_is_refused_and_left_alone(self, tmp_path, data):
        (tmp_path / MANIFEST).write_bytes(data)
        with pytest.raises(InputError, match="is broken .*move it away to start anew"):
            begin_manifest(tmp_path, "x", {}, {})
        assert (tmp_path / MANIFEST).read_bytes() == data

    def test_a_folder_that_is_not_there_has_none(self, tmp_path):
        assert read_manifest(tmp_path / "none") is None

    def test_unknown_keys_are_refused(self, tmp_path):
        with pytest.raises(ValidationError):
            Manifest(script="x", inputs={}, settings={}, versions={}, hardware={}, started=datetime.now(UTC), extra=1)


class TestIdentity:
    def test_checksums_are_those_of_sha256sum(self, tmp_path):
        (tmp_path / "a").write_bytes(b"ruff")
        assert sha256(tmp_path / "a") == hashlib.sha256(b"ruff").hexdigest()

    def test_a_large_file_is_known_by_size_head_and_tail(self, tmp_path):
        path = tmp_path / "video"
        with open(path, "wb") as file:
            file.truncate(5 * 1024**2)
        before = file_identity(path)
        assert before["size"] == 5 * 1024**2
        for place in (0, 5 * 1024**2 - 1):
            with open(path, "r+b") as file:
                file.seek(place)
                file.write(b"x")
            after = file_identity(path)
            assert after != before
            before = after

    @pytest.mark.parametrize("size", [0, 1, 1024**2 - 1, 1024**2, 1024**2 + 1, 2 * 1024**2])
    def test_every_byte_of_a_small_file_counts(self, tmp_path, size):
        path = tmp_path / "a"
        path.write_bytes(b"a" * size)
        before = file_identity(path)
        if size:
            path.write_bytes(b"a" * (size // 2) + b"b" + b"a" * (size - size // 2 - 1))
            assert file_identity(path) != before


def test_versions_and_hardware_can_be_written_down():
    assert versions()["lektrack"].startswith("0.")
    assert set(hardware()) >= {"host", "processor", "cores", "memory_bytes"}
