"""Logs: bounded while they are written, quick to read at the end, harmless to show."""

import os
from pathlib import Path

import pytest

from backend.jobs import job_log as log
from backend.jobs.job_log import BoundedLog, clean, rotate, tail


class TestTail:
    def test_the_last_lines_and_no_more(self, tmp_path):
        path = tmp_path / "log"
        path.write_text("".join(f"line {number}\n" for number in range(1000)))
        assert tail(path, 2) == "line 998\nline 999"
        assert tail(path, 5000).startswith("line 0\n")

    def test_an_unfinished_last_line_is_shown(self, tmp_path):
        (tmp_path / "log").write_text("one\ntwo")
        assert tail(tmp_path / "log", 1) == "two"

    @pytest.mark.parametrize("content", [b"", b"\n", b"\n\n\n"])
    def test_nothing_is_nothing(self, tmp_path, content):
        (tmp_path / "log").write_bytes(content)
        assert tail(tmp_path / "log") == ""

    def test_a_missing_log_is_empty(self, tmp_path):
        assert tail(tmp_path / "none") == ""

    def test_of_a_log_of_a_gigabyte_only_the_end_is_read(self, tmp_path):
        path = tmp_path / "log"
        with open(path, "wb") as file:
            file.truncate(1000**3)  # sparse: a gigabyte of NUL bytes that takes no room
            file.seek(0, os.SEEK_END)
            file.write("".join(f"line {number}\n" for number in range(100)).encode())
        before = bytes_read()
        assert tail(path, 50).split("\n") == [f"line {number}" for number in range(50, 100)]
        assert bytes_read() - before < 2 * log.TAIL_BYTES

    def test_a_gigabyte_without_a_line_end_is_not_read_either(self, tmp_path):
        with open(tmp_path / "log", "wb") as file:
            file.truncate(1000**3)
        before = bytes_read()
        assert tail(tmp_path / "log", 50) == ""
        assert bytes_read() - before < 2 * log.TAIL_BYTES


def bytes_read() -> int:
    """Return how many bytes this process has read so far."""
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


class TestClean:
    @pytest.mark.parametrize(
        ("raw", "shown"),
        [
            (b"plain \xc3\xa9", "plain é"),
            (b"bad \xff\xfe end", "bad \ufffd\ufffd end"),
            (b"10%\r50%\r100%\ndone", "100%\ndone"),
            (b"10%\r50%\r\n", "50%\n"),
            (b"windows\r\nline", "windows\nline"),
            (b"\x1b[1;31mred\x1b[0m \x1b[2K\x1b[Aup", "red up"),
            (b"\x1b]0;title\x07text", "text"),
            (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            (b"\x1b(Bascii\x1b=", "ascii"),
            (b"bell\x07 null\x00 back\x08space", "bell null backspace"),
            ("right\u202eto left\u2066".encode(), "rightto left"),
            ("c1 \x9b31m".encode(), "c1 31m"),
            (b"tab\tstays", "tab\tstays"),
            (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
            (b"\x1b", ""),
        ],
    )
    def test_what_is_shown(self, raw, shown):
        assert clean(raw) == shown

    def test_a_line_of_a_megabyte_is_cut(self):
        assert clean(b"x" * 1000**2) == "x" * 2000 + " ... (1000000 characters)"


class TestBoundedLog:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch):
        monkeypatch.setattr(log, "CAP_BYTES", 10_000)
        monkeypatch.setattr(log, "HEAD_BYTES", 1_000)
        monkeypatch.setattr(log, "KEEP_BYTES", 4_000)

    def test_beginning_and_end_stay_and_the_size_is_bounded(self, tmp_path):
        path = tmp_path / "log"
        written = BoundedLog(path)
        for number in range(10_000):
            written.write(f"line {number}\n".encode())
            assert path.stat().st_size <= 10_000
        written.close()
        text = path.read_text()
        assert text.startswith("line 0\nline 1\n")
        assert text.endswith("line 9998\nline 9999\n")
        assert "bytes left out ..." in text
        assert os.listdir(tmp_path) == ["log"]

    def test_a_single_write_above_the_cap_is_bounded_too(self, tmp_path):
        written = BoundedLog(tmp_path / "log")
        written.write(b"a" * 50_000 + b"the end")
        written.close()
        assert (tmp_path / "log").stat().st_size < 10_000
        assert (tmp_path / "log").read_bytes().endswith(b"aaa" + b"the end")

    def test_only_its_owner_can_read_it(self, tmp_path):
        written = BoundedLog(tmp_path / "log")
        written.write(b"x")
        written.close()
        assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600

    def test_a_full_disk_loses_lines_but_raises_nothing(self, tmp_path):
        os.symlink("/dev/full", tmp_path / "log")
        for path in (tmp_path / "log", tmp_path / "no folder" / "log"):
            written = BoundedLog(path)
            written.write(b"lost\n")
            written.close()

    def test_it_goes_on_when_there_is_room_again_and_says_what_is_missing(self, tmp_path, monkeypatch):
        written = BoundedLog(tmp_path / "log")
        with monkeypatch.context() as full:
            full.setattr(BoundedLog, "_append", no_space)
            written.write(b"12345")
        written.write(b"there\n")
        written.close()
        assert (tmp_path / "log").read_text() == "\n... 5 bytes could not be written here ...\nthere\n"


def no_space(*_: object) -> None:
    """Fail as a full disk does."""
    raise OSError(28, "No space left on device")


def test_logs_of_old_attempts_are_kept_but_not_all(tmp_path):
    for attempt in range(1, 15):
        (tmp_path / "log").write_text(f"{attempt}")
        rotate(tmp_path / "log", f"log.attempt-{attempt}", keep=5)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        f"log.attempt-{attempt}": f"{attempt}" for attempt in range(10, 15)
    }
