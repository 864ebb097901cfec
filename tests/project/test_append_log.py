"""The log that only grows: what was acknowledged is there, and what the disk refused leaves no trace."""

import os
from pathlib import Path

import pytest

from backend.project.append_log import AppendLog


def test_lines_are_behind_each_other_and_their_places_are_told(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log"
    log = AppendLog(path)
    assert [log.append(b"one\n"), log.append(b"two\nthree\n")] == [0, 4]
    log.close()
    again = AppendLog(path)
    assert again.append(b"four\n") == again.end - 5 == 14
    again.close()
    assert path.read_bytes() == b"one\ntwo\nthree\nfour\n"


def test_what_was_cut_short_goes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    log = AppendLog(path)
    log.cut(4)
    log.cut(100)  # nothing is there
    log.append(b"two\n")
    log.close()
    assert path.read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("broken", ["write", "fsync"])
def test_a_disk_that_does_not_take_a_line_keeps_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "log"
    log = AppendLog(path)
    log.append(b"one\n")
    real_write = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 4:
            raise OSError(28, "No space left on device")
        return real_write(file, data[:2])

    def refused(file: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, half if broken == "write" else refused)
        with pytest.raises(OSError) as raised:
            log.append(b"two\n")
    assert raised.value.filename == str(path)
    assert path.read_bytes() == b"one\n"
    log.append(b"three\n")
    log.close()
    assert path.read_bytes() == b"one\nthree\n"


def test_what_could_not_even_be_cut_off_is_gone_before_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    log = AppendLog(path)
    log.append(b"one\n")
    real_write = os.write

    def torn(file: int, data: bytes) -> int:
        real_write(file, data[:2])
        raise OSError(5, "Input/output error")

    def refused(file: int, end: int) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "truncate", refused)
        with monkeypatch.context() as at_once:
            at_once.setattr(os, "write", torn)
            with pytest.raises(OSError, match="Input/output error"):
                log.append(b"two\n")
        with pytest.raises(OSError, match="Read-only file system") as raised:
            log.append(b"three\n")
    assert raised.value.filename == str(path) and path.read_bytes() == b"one\ntw"
    assert log.append(b"four\n") == 4
    log.close()
    assert path.read_bytes() == b"one\nfour\n"
