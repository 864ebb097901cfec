"""The list of a project's videos: linked, never copied; broken and moved files are shown as such."""

import json
import multiprocessing
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import cv2
import pytest

from backend.project.errors import InputError
from backend.project.paths import Project
from backend.project.state_files import set_aside
from backend.video.library import (
    add_video,
    check_video,
    get_video,
    list_videos,
    open_video,
    relink_video,
    remove_video,
    thumbnail,
    update_video,
)
from tests.videos import number_of, write_video


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """A folder of footage that may be read."""
    folder = tmp_path / "footage"
    folder.mkdir()
    write_video(folder / "Lek North.mp4", 30, metadata={"creation_time": "2021-05-03T04:30:00Z"})
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def add(project: Project, path: Path, **options) -> str:
    return add_video(project, path, [path.parent], **options)


def test_a_video_is_linked_where_it_lies(project, footage):
    slug = add(project, footage / "Lek North.mp4", camera="  north   hide ")
    (record,) = list_videos(project)
    assert slug == record.slug == "lek-north"
    assert record.path == str(footage / "Lek North.mp4")
    assert (record.name, record.camera, record.problem) == ("Lek North", "north hide", "")
    assert record.info.n_frames == 30
    assert record.start_time == datetime(2021, 5, 3, 4, 30, tzinfo=UTC)
    assert not list(project.root.rglob("*.mp4"))


def test_names_that_make_the_same_slug_get_a_number(project, footage):
    paths = [write_video(footage / name, 3) for name in ("lek_1.mp4", "Lek_1.mkv", "lek_1!.mp4")]
    assert [add(project, path) for path in paths] == ["lek_1", "lek_1-2", "lek_1-3"]


def test_the_same_file_is_added_once(project, footage):
    add(project, footage / "Lek North.mp4")
    (footage / "link.mp4").symlink_to(footage / "Lek North.mp4")
    with pytest.raises(InputError, match="in the project already, as lek-north"):
        add(project, footage / "link.mp4")


def test_only_files_under_the_allowed_roots_are_added(project, footage, tmp_path):
    outside = write_video(tmp_path / "outside.mp4", 3)
    (footage / "link.mp4").symlink_to(outside)
    for path in (outside, footage / ".." / "outside.mp4", footage / "link.mp4"):
        with pytest.raises(InputError, match="outside the allowed folders"):
            add_video(project, path, [footage])
    with pytest.raises(InputError, match="is not a file"):
        add_video(project, footage, [footage])
    assert list_videos(project) == []


def test_a_broken_file_is_shown_with_its_reason_until_it_is_sound(project, footage):
    path = footage / "copying.mp4"
    path.write_bytes((footage / "Lek North.mp4").read_bytes()[:2000])
    slug = add(project, path)
    assert "moov atom" in get_video(project, slug).problem
    with pytest.raises(InputError, match="moov atom"):
        open_video(project, slug)
    path.write_bytes((footage / "Lek North.mp4").read_bytes())
    assert check_video(project, slug).problem == ""
    with open_video(project, slug) as video:
        assert len(video) == 30


def test_a_file_that_went_away_is_a_problem_and_can_be_found_again(project, footage):
    slug = add(project, footage / "Lek North.mp4")
    (footage / "Lek North.mp4").rename(footage / "moved.mp4")
    assert "No such file" in get_video(project, slug).problem
    other = write_video(footage / "other.mp4", 31)
    with pytest.raises(InputError, match="another video than lek-north"):
        relink_video(project, slug, other, [footage])
    assert relink_video(project, slug, footage / "moved.mp4", [footage]).problem == ""
    assert get_video(project, slug).path == str(footage / "moved.mp4")


def test_a_changed_file_is_a_problem_and_a_touched_one_is_not(project, footage):
    path = footage / "Lek North.mp4"
    slug = add(project, path)
    os.utime(path, (1, 1))
    assert get_video(project, slug).problem == ""
    write_video(path, 31)
    assert "content has changed" in get_video(project, slug).problem
    assert check_video(project, slug).info.n_frames == 31


def test_camera_name_and_start_time_can_be_edited(project, footage):
    slug = add(project, footage / "Lek North.mp4")
    local = datetime(2021, 5, 3, 6, 0, tzinfo=timezone(timedelta(hours=2)))
    update_video(project, slug, camera="süd", name="Morning", start_time=local)
    record = get_video(project, slug)
    assert (record.camera, record.name, record.start_time) == ("süd", "Morning", local)
    assert update_video(project, slug, camera="x").start_time == local
    assert update_video(project, slug, start_time=None).start_time is None


def test_bad_edits_are_refused(project, footage):
    slug = add(project, footage / "Lek North.mp4")
    with pytest.raises(InputError, match="time zone"):
        update_video(project, slug, start_time=datetime(2021, 5, 3))
    with pytest.raises(InputError, match="200 printable"):
        update_video(project, slug, camera="x" * 201)
    with pytest.raises(InputError, match="no video 'nobody'"):
        update_video(project, "nobody", camera="x")
    with pytest.raises(InputError, match="not allowed"):
        get_video(project, "../../etc/passwd")


def test_a_removed_video_leaves_its_file(project, footage):
    slug = add(project, footage / "Lek North.mp4")
    picture = thumbnail(project, slug)
    remove_video(project, slug)
    assert list_videos(project) == []
    assert (footage / "Lek North.mp4").is_file()
    assert not picture.exists()


def test_a_thumbnail_shows_its_frame(project, footage):
    slug = add(project, footage / "Lek North.mp4")
    picture = thumbnail(project, slug, frame=17, width=120)
    pixels = cv2.imread(str(picture))
    assert pixels.shape == (72, 120, 3)
    assert number_of(pixels) == 17
    assert thumbnail(project, slug, 17, 120) == picture
    assert project.cache in picture.parents


def test_a_broken_record_is_set_aside_and_the_others_stay(project, footage):
    add(project, footage / "Lek North.mp4")
    add(project, write_video(footage / "second.mp4", 3))
    project.video("second").write_text('{"format": 1, "slug": ')
    assert [record.slug for record in list_videos(project)] == ["lek-north"]
    assert [path.name.split(".corrupt")[0] for path in set_aside(project.videos)] == ["second.json"]


def test_a_record_of_a_newer_format_is_not_taken_for_this_one(project, footage):
    slug = add(project, footage / "Lek North.mp4")
    table = json.loads(project.video(slug).read_text())
    project.video(slug).write_text(json.dumps({**table, "format": 2}))
    assert list_videos(project) == []
    assert set_aside(project.videos)


@pytest.mark.parametrize("name", ["$(reboot).mp4", "-rf.mp4", "a\nb.mp4", "<script>.mp4", "🦆.mp4"], ids=ascii)
def test_a_hostile_name_becomes_a_plain_slug(project, footage, name):
    slug = add(project, write_video(footage / "x.mp4", 3).rename(footage / name))
    record = get_video(project, slug)
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    assert "\n" not in record.name
    assert Path(record.path).name == name


def test_a_name_that_is_no_utf_8_is_refused(project, footage):
    raw = os.path.join(os.fsencode(footage), b"lek\xff.mp4")
    os.rename(footage / "Lek North.mp4", raw)
    with pytest.raises(InputError, match="not valid UTF-8"):
        add(project, Path(os.fsdecode(raw)))


def _add_one(arguments: tuple[Path, Path]) -> str:
    root, path = arguments
    return add_video(Project(root), path, [path.parent])


def test_videos_added_at_the_same_time_get_slugs_of_their_own(project, footage, tmp_path):
    paths = []
    for number in range(4):
        (footage / str(number)).mkdir()
        paths.append(write_video(footage / str(number) / "same.mp4", 2 + number))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        slugs = pool.map(_add_one, [(project.root, path) for path in paths], chunksize=1)
    assert sorted(slugs) == ["same", "same-2", "same-3", "same-4"]
    assert len(list_videos(project)) == 4
