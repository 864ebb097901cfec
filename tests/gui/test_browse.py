"""What a file picker may show."""

import os

import pytest

from backend.project.browse import MAX_ENTRIES, list_folder
from backend.project.errors import InputError


@pytest.fixture
def roots(tmp_path):
    season = tmp_path / "season"
    (season / "may" / "north").mkdir(parents=True)
    (season / "b.mp4").write_bytes(b"12345")
    (season / "A.MKV").write_bytes(b"1")
    (season / "notes.txt").write_text("x")
    (season / ".hidden.mp4").write_text("x")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.mp4").write_text("x")
    return [season]


def names(listing):
    return [entry.name for entry in listing.entries]


def test_folders_come_first_then_files_of_the_kind_by_name(roots):
    listing = list_folder(roots[0], roots, "video")
    assert names(listing) == ["may", "A.MKV", "b.mp4"]
    assert [entry.size for entry in listing.entries] == [0, 1, 5]


def test_the_folder_kind_shows_folders_only(roots):
    assert names(list_folder(roots[0], roots, "folder")) == ["may"]


def test_the_trail_leads_from_the_root_to_the_folder(roots):
    listing = list_folder(roots[0] / "may" / "north", roots, "video")
    assert [path.name for path in listing.trail] == ["season", "may", "north"]


def test_the_deepest_allowed_root_begins_the_trail(roots):
    nested = [roots[0], roots[0] / "may"]
    assert [path.name for path in list_folder(roots[0] / "may" / "north", nested, "video").trail] == ["may", "north"]


@pytest.mark.parametrize("escape", ["..", "../secret", "may/../../secret", "/", "/etc"])
def test_a_folder_outside_the_roots_is_refused(roots, escape):
    with pytest.raises(InputError, match="outside the allowed folders"):
        list_folder(escape, roots, "video")


def test_links_that_lead_out_are_not_shown_and_cannot_be_opened(roots):
    os.symlink(roots[0].parent / "secret", roots[0] / "way_out")
    os.symlink(roots[0].parent / "secret" / "s.mp4", roots[0] / "out.mp4")
    os.symlink(roots[0] / "may", roots[0] / "inside")
    os.symlink(roots[0] / "gone", roots[0] / "dangling.mp4")
    assert names(list_folder(roots[0], roots, "video")) == ["inside", "may", "A.MKV", "b.mp4"]
    with pytest.raises(InputError, match="outside the allowed folders"):
        list_folder(roots[0] / "way_out", roots, "video")


@pytest.mark.parametrize(("name", "reason"), [("gone", "No such file"), ("b.mp4", "Not a directory")])
def test_what_cannot_be_listed_says_why(roots, name, reason):
    with pytest.raises(InputError, match=reason):
        list_folder(roots[0] / name, roots, "video")


def test_a_huge_folder_is_cut_and_says_by_how_much(roots):
    for number in range(MAX_ENTRIES + 3):
        (roots[0] / "may" / f"{number:06d}.mp4").touch()
    listing = list_folder(roots[0] / "may", roots, "video")
    assert (len(listing.entries), listing.hidden) == (MAX_ENTRIES, 4)  # with the folder "north"
