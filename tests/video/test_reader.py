"""The reader returns exactly the frame asked for, whatever the container does."""

import gc
import os
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest

from backend.video import VideoReader
from tests.video_cases import CASES, uneven_times
from tests.videos import number_of, numbers_of, write_video


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """A file and the numbers its frames show, in display order."""
    return CASES[request.param](tmp_path_factory.mktemp("case"))


@pytest.fixture(params=["pyav", pytest.param("nvdec", marks=pytest.mark.gpu)])
def decoder(request: pytest.FixtureRequest) -> str:
    """Each decoder has to pass the same tests."""
    if request.param == "nvdec":
        pytest.importorskip("PyNvVideoCodec", reason="NVDEC needs an NVIDIA GPU and PyNvVideoCodec", exc_type=Exception)
    return request.param


def test_frames_in_sequence_are_the_frames_of_the_video(case, decoder):
    path, numbers = case
    with VideoReader(path, decoder) as video:
        assert len(video) == len(numbers)
        shown = [number for batch in video.stream(0, len(video), 7) for number in numbers_of(batch)]
    assert shown == numbers


def test_any_frame_is_the_same_from_anywhere(case, decoder):
    path, numbers = case
    places = np.random.default_rng(1).integers(0, len(numbers), 60).tolist()
    with VideoReader(path, decoder, threads=1) as video:
        assert [number_of(video.read([place])[0]) for place in places] == [numbers[place] for place in places]


def test_random_reads_equal_the_stream_to_the_last_bit(case, decoder):
    path, numbers = case
    places = np.random.default_rng(2).permutation(len(numbers))[:12]
    with VideoReader(path, decoder) as video:
        in_sequence = np.concatenate(list(video.stream(0, len(video), 16)))
        for place in places:
            np.testing.assert_array_equal(video.read([place])[0], in_sequence[place])


def test_a_batch_comes_in_the_order_asked_for_with_repeats(barcode_video):
    with VideoReader(barcode_video) as video:
        assert numbers_of(video.read([40, 3, 3, 59, 0, 40])) == [40, 3, 3, 59, 0, 40]
        assert numbers_of(video.read(range(20, 0, -1))) == list(range(20, 0, -1))
        assert video.read([]).shape == (0, 96, 160, 3)


@pytest.mark.parametrize("outside", [-1, 60, 10**9], ids="frame {}".format)
def test_a_frame_outside_the_video_is_an_index_error_that_says_what_there_is(barcode_video, outside):
    with VideoReader(barcode_video) as video, pytest.raises(IndexError, match=f"frames 0 to 59; frame {outside} "):
        video.read([5, outside])


@pytest.mark.parametrize("bounds", [(-1, 5), (5, 5), (6, 5), (0, 61)], ids=str)
def test_a_range_outside_the_video_is_refused_before_anything_is_decoded(barcode_video, bounds):
    with VideoReader(barcode_video) as video, pytest.raises(IndexError, match="60 frames"):
        video.stream(*bounds, 4)


def test_batches_are_full_but_for_the_last(barcode_video):
    with VideoReader(barcode_video) as video:
        assert [len(batch) for batch in video.stream(5, 28, 10)] == [10, 10, 3]
        with pytest.raises(ValueError, match="batch 0"):
            video.stream(0, 5, 0)


def test_a_stream_can_be_left_and_another_begun(barcode_video):
    with VideoReader(barcode_video) as video:
        first, second = video.stream(0, 60, 5), video.stream(30, 60, 5)
        seen = [numbers_of(next(each)) for each in (first, second, first, second)]
    assert seen == [[0, 1, 2, 3, 4], [30, 31, 32, 33, 34], [5, 6, 7, 8, 9], [35, 36, 37, 38, 39]]


def test_pictures_are_resized_before_they_are_handed_over(barcode_video):
    with VideoReader(barcode_video) as video:
        (small,) = video.stream(7, 10, 3, size=(80, 48))
        (there,) = video.stream(7, 10, 3, size=(80, 48), device="cpu:0")
        np.testing.assert_array_equal(small, video.read([7, 8, 9], size=(80, 48)))
    assert small.shape == (3, 48, 80, 3)
    assert small.dtype == np.uint8
    assert numbers_of(small) == [7, 8, 9]
    assert np.abs(small.astype(int) - there.numpy()).max() <= 1


def test_read_fills_the_room_it_is_given(barcode_video):
    with VideoReader(barcode_video) as video:
        room = np.empty((1, 96, 160, 3), np.uint8)
        assert video.read([12], out=room) is room
        assert number_of(room[0]) == 12


def test_times_and_rate_come_from_the_display_times(tmp_path, barcode_video):
    with VideoReader(barcode_video) as video:
        assert video.fps == 25.0
        np.testing.assert_allclose(video.times, np.arange(60) / 25, atol=1e-6)
    times_ms = np.array(uneven_times())
    with VideoReader(write_video(tmp_path / "variable.mkv", len(times_ms), times_ms=times_ms.tolist())) as video:
        np.testing.assert_allclose(video.times, (times_ms - times_ms[0]) / 1000, atol=1e-6)
        assert video.fps == pytest.approx((len(times_ms) - 1) * 1000 / (times_ms[-1] - times_ms[0]))


def test_one_frame_is_a_video(make_video):
    with VideoReader(make_video(n_frames=1)) as video:
        assert len(video) == 1
        assert video.fps > 0
        assert numbers_of(video.read([0])) == [0]


@pytest.mark.parametrize("turn", [90, 180, 270], ids="{} degrees".format)
def test_a_rotated_video_stands_upright(make_video, turn):
    plain, turned = make_video("plain.mp4", 3), make_video(n_frames=3, setup=lambda s: s.set_display_rotation(turn))
    with VideoReader(plain) as video:
        expected = np.rot90(video.read([2])[0], turn // 90)
    with VideoReader(turned) as video:
        assert video.size == expected.shape[1::-1]
        np.testing.assert_array_equal(video.read([2])[0], expected)
        (there,) = video.stream(2, 3, 1, device="cpu:0")
        np.testing.assert_array_equal(there[0].numpy(), expected)


def test_memory_does_not_grow_with_the_frames_read(make_video):
    process = psutil.Process()

    def grown(video: VideoReader, frames: int) -> int:
        before = process.memory_info().rss
        for _ in video.stream(0, frames, 4):
            pass
        return process.memory_info().rss - before

    path = make_video(n_frames=240, size=(640, 384), gop=250)
    with VideoReader(path) as video:
        grown(video, 60)
        assert grown(video, 240) < 40 * 2**20  # a read-ahead of all frames would be 240 x 0.7 MB


def test_200_openings_leave_nothing_open(barcode_video):
    with VideoReader(barcode_video) as video:
        video.read([30])
    gc.collect()
    before = len(os.listdir("/proc/self/fd")), threading.active_count(), psutil.Process().num_threads()
    for _ in range(200):
        with VideoReader(barcode_video) as video:
            video.read([30])
    gc.collect()
    after = len(os.listdir("/proc/self/fd")), threading.active_count(), psutil.Process().num_threads()
    assert all(late - early <= 2 for early, late in zip(before, after, strict=True))


def test_real_clips_read_alike_from_anywhere(real_clips):
    clips = [*real_clips.glob("video/*.mp4"), *real_clips.glob("identity/*/*.mp4"), *real_clips.glob("fish/*.avi")]
    assert clips
    for clip in clips:
        with VideoReader(clip) as video:
            begin = len(video) // 2
            expected = np.concatenate(list(video.stream(begin, begin + 20, 5)))
            for offset in (17, 2, 9):
                np.testing.assert_array_equal(video.read([begin + offset])[0], expected[offset])
