"""What the reader says of a file: size, rate, length, codec, start, and what is odd about it."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from backend.project.errors import InputError
from backend.video.probe import probe
from backend.video.reader import VideoReader
from backend.video.remux import remux
from tests.video_cases import uneven_times
from tests.videos import cut_bytes, with_pictures, with_sound, write_video


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


@pytest.mark.parametrize("name", ["whole.mkv", "whole.webm", "whole.flv", "whole.mp4", "whole.avi", "whole.ts"])
def test_a_file_that_was_cut_off_is_said_and_a_whole_one_is_not(make_video, tmp_path, name):
    codec = {"webm": "libvpx-vp9", "avi": "mpeg4"}.get(name.split(".")[1], "libx264")
    whole = make_video(name, 60, codec=codec)
    assert not any("cut off" in warning for warning in probe(whole).warnings)
    if not name.endswith((".mp4", ".ts")):  # a cut mp4 has no index and is refused; a transport stream states no length
        cut = probe(cut_bytes(whole, tmp_path / f"cut-{name}", 0.8))
        assert cut.n_frames < 60
        assert any("cut off" in warning for warning in cut.warnings), cut.warnings


def test_sound_that_ends_a_little_later_is_no_sign_of_a_cut(tmp_path):
    for name, more_s, is_said in (("level.mkv", 0.5, False), ("longer.mkv", 2.0, True)):
        path = with_sound(tmp_path / name, n_frames=25, sound_s=1 + more_s)
        assert any("cut off" in warning for warning in probe(path).warnings) is is_said, name


@pytest.mark.parametrize(
    ("sizes", "default", "used"),
    [
        (((80, 48), (160, 96)), 1, (160, 96)),
        (((160, 96), (80, 48)), 1, (80, 48)),
        (((80, 48), (160, 96)), None, (160, 96)),
    ],
    ids=["a preview before the picture", "the smaller one is the default", "none is the default"],
)
def test_of_several_pictures_in_a_file_the_one_that_players_show_is_used_and_the_others_are_named(
    tmp_path, sizes, default, used
):
    path = with_pictures(tmp_path / ("two.mp4" if default is not None else "two.avi"), sizes, default)
    info = probe(path)
    assert info.size == used
    other = next(size for size in sizes if size != used)
    assert any("holds 2 videos" in text and f"{other[0]}x{other[1]}" in text for text in info.warnings)
    assert VideoReader(path).size == used


@pytest.mark.parametrize(
    ("name", "code", "start"),
    [
        ("GH010123.MP4", "04:30:00:00", "04:30:00"),
        ("GH020123.MP4", "05:20:00:00", "05:20:00"),
        ("GX030123.MP4", "05:20:00:12", "05:20:00.480"),
        ("GP010123.MP4", "05:20:00:00", "05:20:00"),
        ("GOPR0123.MP4", "05:20:00:00", "04:30:00"),
        ("DSC_0001.MP4", "05:20:00:00", "04:30:00"),
        ("GH020123.MP4", None, "04:30:00"),
    ],
)
def test_a_chapter_of_a_gopro_recording_begins_at_its_own_time_code(tmp_path, name, code, start):
    write_video(tmp_path / name, 3, metadata={"creation_time": "2024-05-01T04:30:00Z"}, time_code=code)
    assert probe(tmp_path / name).start_time == datetime.fromisoformat(f"2024-05-01T{start}+00:00")


def test_a_chapter_after_midnight_begins_on_the_next_day(tmp_path):
    path = tmp_path / "GH030001.MP4"
    write_video(path, 3, metadata={"creation_time": "2024-05-01T23:30:00Z"}, time_code="00:20:00:00")
    assert probe(path).start_time == datetime(2024, 5, 2, 0, 20, tzinfo=UTC)


@pytest.mark.parametrize("n_frames", [6, 20, 60])
def test_recordings_joined_byte_by_byte_are_refused_with_the_reason(make_video, tmp_path, n_frames):
    one = make_video("one.ts", n_frames)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one.read_bytes() * 2)
    with pytest.raises(InputError, match="its clock jumps back"):
        probe(joined)


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
