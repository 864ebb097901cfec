"""Room is asked for before a job starts."""

from collections import namedtuple

import pytest

from backend.project import disk
from backend.project.disk import RESERVE_BYTES, as_bytes, check_space
from backend.project.errors import InputError

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def free(monkeypatch):
    """Set how much is free."""
    return lambda size: monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(10**12, 0, size))


def test_what_fits_is_let_through(tmp_path):
    check_space(tmp_path, 1)


def test_what_no_disk_holds_is_refused_with_all_figures(tmp_path):
    with pytest.raises(InputError, match=r"about 1000000\.0 TB are needed and 536\.9 MB kept in reserve, but only"):
        check_space(tmp_path, 10**18)


def test_the_reserve_stays_free(tmp_path, free):
    free(RESERVE_BYTES + 1000)
    check_space(tmp_path, 1000)
    with pytest.raises(InputError, match="only 536.9 MB are free"):
        check_space(tmp_path, 1001)


def test_a_folder_that_is_still_to_be_made_is_asked_where_it_will_be(tmp_path):
    check_space(tmp_path / "a" / "b" / "c", 1)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (3_200_000_000, "3.2 GB"),
        (10**15, "1000.0 TB"),
        (-5000, "-5.0 kB"),
    ],
)
def test_sizes_are_said_as_people_read_them(size, text):
    assert as_bytes(size) == text
