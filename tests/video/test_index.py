"""The packet index: kept on disk, made anew when the file changes, the same for the same file."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from backend.project.errors import InputError
from backend.video import index as index_module
from backend.video.index import PacketIndex, build_index, load_index
from backend.video.probe import video_identity
from tests.video_cases import uneven_times
from tests.videos import write_video


def same(one: PacketIndex, other: PacketIndex) -> bool:
    arrays = ("pts", "order", "key_pts", "key_seek")
    rest = [name for name in PacketIndex.__dataclass_fields__ if name not in arrays]
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays) and all(
        getattr(one, name) == getattr(other, name) for name in rest
    )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every path that is really read through."""
    read: list[Path] = []

    def build(path: Path, beat: Callable[[], None]) -> PacketIndex:
        read.append(path)
        return build_index(path)

    monkeypatch.setattr(index_module, "build_index", build)
    return read


def test_the_second_opening_reads_only_the_cache(make_video, tmp_path, counted):
    path = make_video("variable.mkv", 72, times_ms=uneven_times())
    first, second = load_index(path, tmp_path / "cache"), load_index(path, tmp_path / "cache")
    assert len(counted) == 1
    assert same(first, second)


def test_a_changed_file_is_read_again(make_video, tmp_path, counted):
    path = make_video(n_frames=10)
    load_index(path, tmp_path / "cache")
    make_video(n_frames=20)
    assert len(load_index(path, tmp_path / "cache").pts) == 20
    os.utime(path, (1, 1))
    load_index(path, tmp_path / "cache")
    assert len(counted) == 3
    assert len(list((tmp_path / "cache").iterdir())) == 1  # one small file a video, not one a version


@pytest.mark.parametrize("content", [b"", b"PK nonsense", b"\x80\x04pickle"], ids=["empty", "torn", "foreign"])
def test_a_broken_cache_file_is_made_anew(make_video, tmp_path, counted, content):
    path = make_video(n_frames=10)
    load_index(path, tmp_path / "cache")
    (cached,) = (tmp_path / "cache").iterdir()
    cached.write_bytes(content)
    assert len(load_index(path, tmp_path / "cache").pts) == 10
    assert len(counted) == 2


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(make_video, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert len(load_index(make_video(n_frames=10), tmp_path / "file" / "cache").pts) == 10


def test_a_link_and_its_file_share_an_index(make_video, tmp_path, counted):
    path = make_video(n_frames=10)
    link = tmp_path / "link.mp4"
    link.symlink_to(path)
    load_index(path, tmp_path / "cache")
    load_index(link, tmp_path / "cache")
    assert len(counted) == 1


def test_identity_tells_videos_apart_and_copies_not(make_video, tmp_path):
    path = make_video("one.mp4", 10)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(path.read_bytes())
    other = make_video("other.mp4", 11)
    one, again, different = (video_identity(each, tmp_path / "cache") for each in (path, copy, other))
    assert one == again
    assert one["size"] == path.stat().st_size
    assert one["index_sha256"] != different["index_sha256"]


def test_a_file_that_grows_while_it_is_read_is_refused(make_video, tmp_path, monkeypatch):
    path = make_video(n_frames=10)

    def grow(target: Path, beat: Callable[[], None]) -> PacketIndex:
        index = build_index(target)
        with open(target, "ab") as file:
            file.write(b"more")
        return index

    monkeypatch.setattr(index_module, "build_index", grow)
    with pytest.raises(InputError, match="still being written"):
        load_index(path, tmp_path / "cache")


def test_frames_of_equal_time_are_left_out_with_a_warning(make_video, tmp_path):
    source, path = make_video("even.mkv", 20, codec="mjpeg", pix_fmt="yuvj420p"), tmp_path / "double.mkv"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            packet.pts = packet.dts = 40 * (number - (number == 7))
            packet.stream = copy
            new.mux(packet)
    index = load_index(path, tmp_path / "cache")
    assert len(index.pts) == 19
    assert any("share their time" in warning for warning in index.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("start_ms", [0, 1000, 1013], ids="the second begins at {} ms".format)
def test_recordings_joined_into_one_file_whose_times_overlap_are_refused(make_video, tmp_path, start_ms):
    times = [start_ms + 40 * number for number in range(60)]
    parts = [make_video("a.ts", 60), make_video("b.ts", 60, times_ms=times)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(path.read_bytes() for path in parts))
    with pytest.raises(InputError, match=r"joined.ts: its clock jumps back \(recordings joined into one file\?\)"):
        load_index(joined, tmp_path / "cache")


def test_sixteen_b_frames_in_a_row_are_no_jump_of_the_clock(make_video, tmp_path):
    deep = {"x264-params": "b-adapt=0:b-pyramid=normal:bframes=16"}
    index = load_index(make_video("deep.mp4", 200, gop=120, b_frames=16, options=deep), tmp_path / "cache")
    assert len(index.pts) == 200 and np.abs(index.order - np.arange(200)).max() == 16


def test_an_hour_is_indexed_in_seconds_and_opened_again_at_once(tmp_path):
    path = write_video(tmp_path / "hour.mp4", 90_000, size=(64, 48), gop=250)
    begin = time.monotonic()
    assert len(load_index(path, tmp_path / "cache").pts) == 90_000
    middle = time.monotonic()
    load_index(path, tmp_path / "cache")
    assert middle - begin < 30
    assert time.monotonic() - middle < 0.5
