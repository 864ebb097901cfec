"""What the reader says of a file: size, rate, length, codec, start, and what is odd about it."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from backend.video.probe import probe
from backend.video.remux import remux
from tests.video_cases import uneven_times


def test_says_what_a_plain_video_is(barcode_video):
    info = probe(barcode_video)
    assert (info.size, info.fps, info.n_frames, info.codec, info.pixel_format) == ((160, 96), 25, 60, "h264", "yuv420p")
    assert info.duration_s == pytest.approx(60 / 25)
    assert not info.variable_rate and not info.remux_advised and info.warnings == ()


@pytest.mark.parametrize(
    "written, read",
    [
        ("2021-05-03T04:30:00Z", datetime(2021, 5, 3, 4, 30, tzinfo=UTC)),
        ("2021-05-03T06:30:00+02:00", datetime(2021, 5, 3, 4, 30, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", None),
        ("1904-01-01T00:00:00Z", None),
        ("2107-01-01T00:00:00Z", None),
    ],
    ids=["UTC", "another zone", "an empty clock of 1970", "an empty clock of 1904", "the future"],
)
def test_start_time_is_read_where_it_is_sane(make_video, written, read):
    assert probe(make_video("clock.mp4", 3, metadata={"creation_time": written})).start_time == read


def test_a_date_without_a_clock_or_nonsense_is_no_start_time(make_video):
    assert probe(make_video("none.mp4", 3)).start_time is None
    assert probe(make_video("odd.mkv", 3, metadata={"DATE": "last May"})).start_time is None


@pytest.mark.parametrize("name", ["uneven.mp4", "uneven.mkv"])
def test_a_variable_rate_is_said(make_video, name):
    times = uneven_times()
    info = probe(make_video(name, len(times), times_ms=times))
    assert info.variable_rate
    assert any("rate varies" in warning for warning in info.warnings)


@pytest.mark.parametrize("fps", [25, 30, 60], ids="{} frames/s".format)
def test_rounding_of_times_in_mkv_is_no_variable_rate(make_video, fps):
    info = probe(make_video("even.mkv", 60, fps=fps))
    assert not info.variable_rate
    assert info.fps == pytest.approx(fps, rel=1e-6)


def test_pixels_that_are_not_square_are_said_and_not_stretched(make_video):
    def widen(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    info = probe(make_video(n_frames=3, setup=widen))
    assert info.size == (160, 96)
    assert any("not square (4/3)" in warning for warning in info.warnings)


def test_a_transport_stream_is_advised_to_be_remuxed(make_video, tmp_path):
    source = make_video("stream.ts", 30)
    assert probe(source).remux_advised
    remux(source, tmp_path / "stream.mkv")
    assert not probe(tmp_path / "stream.mkv").remux_advised


def test_real_clips_are_what_their_notes_say(real_clips):
    expected = {
        "video/ducks.mp4": ((640, 360), 927, 29.97),
        "video/sparrows.mp4": ((1920, 1080), 100, 30),
        "video/chimp.mp4": ((320, 180), 450, 30),
        "identity/koi/koi.mp4": ((952, 540), 536, 23.976),
        "identity/TUD-Campus/TUD-Campus.mp4": ((640, 480), 71, 25),
        "fish/zebrafish_8.avi": ((1160, 938), 501, 28.07),
    }
    for name, (size, n_frames, fps) in expected.items():
        info = probe(real_clips / name)
        assert (info.size, info.n_frames) == (size, n_frames), name
        assert info.fps == pytest.approx(fps, abs=0.005)
