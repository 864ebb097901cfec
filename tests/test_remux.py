"""A transport stream becomes a file with the same pictures that can be read at any frame."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from backend.project.paths import Project
from backend.project.settings import REPOSITORY
from backend.video.library import add_video, get_video, open_video
from tests.videos import numbers_of, write_video


def remux(project, *arguments):
    command = [sys.executable, "-m", "backend.remux", "--project", str(project.root), *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)


@pytest.fixture
def project(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / "camcorder.ts", 40, codec="libx264")
    project = Project(tmp_path / "project")
    start = datetime(2026, 5, 9, 4, 30, tzinfo=UTC)
    add_video(project, videos / "camcorder.ts", [videos], camera="north", start_time=start)
    return project


def test_the_copy_has_the_same_pictures_camera_and_start_time(project):
    assert get_video(project, "camcorder").info.remux_advised
    run = remux(project, "--video", "camcorder")
    assert (run.returncode, run.stderr) == (0, "")
    record = get_video(project, "camcorder-2")
    assert record.path.endswith("remuxed_videos/camcorder.mkv")
    assert (record.camera, record.start_time) == ("north", datetime(2026, 5, 9, 4, 30, tzinfo=UTC))
    assert not record.info.remux_advised
    with open_video(project, "camcorder-2") as reader:
        assert numbers_of(reader.read([39, 0, 17])) == [39, 0, 17]


@pytest.mark.parametrize("video", ["unknown", "../camcorder"])
def test_a_video_that_is_not_in_the_project_is_refused_in_one_line(project, video):
    run = remux(project, "--video", video)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1 and video in run.stderr


def test_a_second_copy_is_refused_and_the_first_one_kept(project):
    assert remux(project, "--video", "camcorder").returncode == 0
    run = remux(project, "--video", "camcorder")
    assert run.returncode == 2
    assert "is there already" in run.stderr
