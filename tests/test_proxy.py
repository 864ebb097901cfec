"""The small copy of a video: the same numbers, whole or not there, made anew where the video is another one."""

import subprocess
import sys
from pathlib import Path

import pytest

from backend.project.manifest import read_manifest, verify
from backend.project.paths import Project
from backend.project.settings import Settings, save_settings
from backend.upkeep.clean import rubbish
from backend.video.library import add_video, check_video, get_video, open_video
from backend.video.proxies import PROXY, has_proxy, inputs_of, make_proxy, open_proxy, proxy_folder, proxy_size
from tests.videos import numbers_of, write_video

N_FRAMES = 70
SIZE = (1200, 680)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a numbered video with B-frames, wider than a proxy."""
    return write_video(tmp_path_factory.mktemp("video") / "lek.mp4", N_FRAMES, size=SIZE, gop=30)


@pytest.fixture
def project(tmp_path: Path, video: Path) -> Project:
    """Return a project with the video "lek"."""
    found = Project(tmp_path / "project")
    found.root.mkdir()
    add_video(found, video, [video.parent])
    return found


def proxy(project: Project, video: str = "lek") -> subprocess.CompletedProcess[str]:
    """Run the script."""
    command = [sys.executable, "-m", "backend.proxy", "--project", str(project.root), "--video", video]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_every_frame_of_the_copy_is_the_frame_of_that_number(project: Project) -> None:
    assert open_proxy(project, get_video(project, "lek"), N_FRAMES) is None
    run = proxy(project)
    assert run.returncode == 0 and "70 frames" in run.stdout, run.stderr
    manifest = verify(proxy_folder(project, "lek"))
    assert manifest.counts == {"frames": N_FRAMES, "damaged": 0}
    order = [69, 0, 31, 30, 29, *range(0, 70, 7), *range(70)]
    with open_proxy(project, get_video(project, "lek"), N_FRAMES) as small:
        assert small.size == (960, 544) and len(small) == N_FRAMES
        assert numbers_of(small.read(order)) == order
        assert len(small.index.key_pts) == N_FRAMES  # each stands alone
    written = (proxy_folder(project, "lek") / PROXY).stat().st_mtime_ns
    again = proxy(project)
    assert again.returncode == 0 and "is there already" in again.stdout
    assert (proxy_folder(project, "lek") / PROXY).stat().st_mtime_ns == written


def test_a_copy_of_another_file_is_not_used_and_is_made_anew(project: Project, video: Path, tmp_path: Path) -> None:
    folder = proxy_folder(project, "lek")
    folder.mkdir(parents=True)
    with open_video(project, "lek") as reader:
        make_proxy(folder, reader, {"video": "lek", "video_identity": {"size": 1}})
        record = get_video(project, "lek")
        assert not has_proxy(project, record) and open_proxy(project, record, N_FRAMES) is None
        make_proxy(folder, reader, inputs_of(record))
    assert has_proxy(project, record)
    (folder / PROXY).write_bytes(b"torn")
    assert not has_proxy(project, record)
    (folder / "manifest.json").write_text("{")
    assert not has_proxy(project, record)


def test_a_copy_that_is_cut_short_leaves_nothing_that_could_be_used(project: Project) -> None:
    folder = proxy_folder(project, "lek")
    folder.mkdir(parents=True)
    record = get_video(project, "lek")

    def stop(done: int) -> None:
        if done == 40:
            raise KeyboardInterrupt

    with open_video(project, "lek") as reader:
        make_proxy(folder, reader, inputs_of(record))
        with pytest.raises(KeyboardInterrupt):
            make_proxy(folder, reader, inputs_of(record), stop)
    assert not list(folder.iterdir()) and not has_proxy(project, record)


def test_frames_that_cannot_be_decoded_keep_their_numbers(project: Project, tmp_path: Path) -> None:
    damaged = write_video(tmp_path / "damaged.mp4", 60, size=(320, 192), gop=20, b_frames=0)
    data = bytearray(damaged.read_bytes())
    start = len(data) // 2
    data[start : start + 1500] = bytes(1500)
    damaged.write_bytes(data)
    slug = add_video(project, damaged, [tmp_path])
    record = check_video(project, slug)
    folder = proxy_folder(project, slug)
    folder.mkdir(parents=True)
    with open_video(project, slug) as reader:
        manifest = make_proxy(folder, reader, inputs_of(record))
    with open_proxy(project, record, 60) as small:
        found = numbers_of(small.read(range(60)))
    whole = [frame for frame in range(60) if found[frame] is not None]
    assert manifest.counts["frames"] == 60 and 0 < manifest.counts["damaged"] < 60
    assert len(whole) == 60 - manifest.counts["damaged"] and all(found[frame] == frame for frame in whole)


def test_what_an_admin_cleans_takes_it_along(project: Project, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    save_settings(Settings(project_folder=project.root), state)
    folder = proxy_folder(project, "lek")
    folder.mkdir(parents=True)
    with open_video(project, "lek") as reader:
        make_proxy(folder, reader, inputs_of(get_video(project, "lek")))
    cache = next(each for each in rubbish(state) if each.kind == "cache")
    assert cache.bytes >= read_manifest(folder).files[PROXY].size
    cache.delete()
    assert not has_proxy(project, get_video(project, "lek"))


@pytest.mark.parametrize(
    ("size", "small"),
    [((2688, 1520), (960, 542)), ((1920, 1080), (960, 540)), ((321, 199), (320, 198)), ((1, 1), (2, 2))],
)
def test_a_copy_is_at_most_960_wide_and_even(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert proxy_size(size) == small
