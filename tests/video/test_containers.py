"""Files that are no videos, or hostile, are refused with the reason in words."""

import os
import socket
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from backend.project.errors import InputError
from backend.video import VideoReader
from backend.video.containers import VIDEO_SUFFIXES, open_video_file
from backend.video.probe import probe
from tests.videos import barcode, cut_bytes, numbers_of, write_video


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Return name: (file, what the refusal must say)."""
    whole = write_video(folder / "whole.mp4", 40)
    audio_only(folder / "sound.mp4")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("This is no video.\n" * 200)
    (folder / "playlist.m3u8").write_text(f"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:2,\n{whole}\n#EXT-X-ENDLIST\n")
    (folder / "list.mp4").write_text(f"ffconcat version 1.0\nfile {whole}\n")
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    os.mkfifo(folder / "pipe.mp4")
    return {
        "a missing file": (folder / "nothing.mp4", "No such file"),
        "a folder": (folder, "not a file"),
        "a pipe": (folder / "pipe.mp4", "not a file"),
        "an empty file": (folder / "empty.mp4", "0 bytes"),
        "text": (folder / "text.mp4", "not a video file of a known kind"),
        "noise": (folder / "noise.mp4", "not a video file of a known kind"),
        "sound only": (folder / "sound.mp4", "no video stream .only audio"),
        "a recording that was cut off": (cut_bytes(whole, folder / "torn.mp4", 0.6), "moov atom"),
        "a playlist": (folder / "playlist.m3u8", "not a video file of a known kind"),
        "a list of files": (folder / "list.mp4", "not a video file of a known kind"),
        "a bare stream": (write_video(folder / "bare.h264", 30), "does not say when its frames are shown"),
        "H.264 with B-frames in AVI": (write_video(folder / "reordered.avi", 30), "does not say when its frames"),
    }


BROKEN = [
    "a missing file",
    "a folder",
    "a pipe",
    "an empty file",
    "text",
    "noise",
    "sound only",
    "a recording that was cut off",
    "a playlist",
    "a list of files",
    "a bare stream",
    "H.264 with B-frames in AVI",
]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    return broken_files(tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize("name", BROKEN)
def test_is_refused_in_one_line_that_names_file_and_reason(broken, name):
    path, reason = broken[name]
    with pytest.raises(InputError, match=reason) as caught:
        probe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_playlist_leads_to_no_other_file_or_host(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:2,\n{address}\n#EXT-X-ENDLIST\n")
        with pytest.raises(InputError):
            probe(tmp_path / "list.mp4")
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "name",
    ["-rf.mp4", "$(touch x).mp4", "a\nb.mp4", "quote'\"`.mp4", "100%03d.mp4", "http:x.mp4", "Füchse 🦊.mp4", " .mp4"],
    ids=ascii,
)
def test_a_hostile_name_is_only_a_name(tmp_path, monkeypatch, name):
    write_video(tmp_path / "plain.mp4", 4).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with VideoReader(name) as video:
        assert numbers_of(video.read([3])) == [3]
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_a_change_of_size_inside_a_file_is_refused_not_stretched(tmp_path):
    path = tmp_path / "two_sizes.h264"
    parts = [write_video(tmp_path / f"{width}.h264", 12, size=(width, 96), b_frames=0) for width in (160, 192)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = tmp_path / "two_sizes.mkv"
    with av.open(str(path)) as old, av.open(str(source), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in old.demux(stream) if packet.size):
            packet.pts = packet.dts = number * int(0.04 / stream.time_base)
            packet.stream = copy
            new.mux(packet)
    with VideoReader(source) as video, pytest.raises(InputError, match="192x96 px, the first is not"):
        video.read(range(len(video)))


def test_a_cover_picture_is_no_film(tmp_path):
    path = tmp_path / "cover.mp4"
    with av.open(str(path), "w") as container:
        cover, film = container.add_stream("mjpeg", rate=1), container.add_stream("libx264", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        film.width, film.height, film.pix_fmt = 160, 96, "yuv420p"
        for stream, numbers in ((cover, [9]), (film, range(5))):
            for place, number in enumerate(numbers):
                picture = av.VideoFrame.from_ndarray(barcode(number, (stream.width, stream.height)), format="rgb24")
                frame = picture.reformat(format=stream.pix_fmt)
                frame.pts = place
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    with VideoReader(path) as video:
        assert numbers_of(video.read(range(len(video)))) == [0, 1, 2, 3, 4]


CODECS = {".webm": "libvpx", ".mpg": "mpeg2video", ".mpeg": "mpeg2video", ".wmv": "wmv2", ".flv": "flv"}


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_video_of_each_ending_opens(tmp_path, suffix):
    path = tmp_path / f"lek{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS.get(suffix, "libx264"), rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(stream.encode())
    container, stream = open_video_file(path)
    with container:
        assert (stream.codec_context.width, stream.codec_context.height) == (64, 48)
