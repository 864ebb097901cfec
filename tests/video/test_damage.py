"""Damaged and cut-off files: what can be read right is read, and nothing else is handed out."""

from pathlib import Path

import numpy as np
import pytest

from backend.video import DamagedFrameError, VideoReader
from tests.video_cases import packets_of
from tests.videos import cut_bytes, numbers_of, write_video

CODECS = {
    "H.264": {},
    "MPEG-4": {"codec": "mpeg4", "options": {"b": "2000000", "bf": "2"}},
    "MPEG-2": {"codec": "mpeg2video", "options": {"b": "2000000", "bf": "2"}},
}
H265 = {"codec": "libx265", "options": {"x265-params": "log-level=error"}}


@pytest.fixture(scope="module", params=CODECS, ids=str)
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound video of four GOPs, large enough that a wrong byte inside a packet hits picture data."""
    name = tmp_path_factory.mktemp("sound") / "sound.mp4"
    return write_video(name, 100, size=(320, 192), gop=25, **CODECS[request.param])


def damaged_copy(sound: Path, folder: Path, packet: int, seed: int) -> Path:
    """Change three bytes inside one packet."""
    generator = np.random.default_rng(seed)
    content = bytearray(sound.read_bytes())
    _, _, position, size = packets_of(sound)[packet]
    for place in generator.integers(position + size // 3, position + size, 3):
        content[place] ^= int(generator.integers(1, 255))
    target = folder / f"damaged_{packet}_{seed}.mp4"
    target.write_bytes(content)
    return target


def read_all(path: Path, places, threads: int = 0) -> dict[int, np.ndarray | None]:
    """Read each frame by itself; None for one that is refused."""
    found: dict[int, np.ndarray | None] = {}
    with VideoReader(path, threads=threads) as video:
        for place in places:
            try:
                found[int(place)] = video.read([place])[0]
            except DamagedFrameError as error:
                assert error.frame == place
                assert path.name in str(error) and f"frame {place} " in str(error)
                found[int(place)] = None
    return found


@pytest.mark.parametrize("threads", [0, 1], ids=["many threads", "one thread"])
@pytest.mark.parametrize("packet", [33, 40, 45, 62], ids="packet {}".format)
def test_a_damaged_picture_is_refused_and_so_is_all_that_builds_on_it(sound, tmp_path, packet, threads):
    with VideoReader(sound) as video:
        right = video.read(range(100))
    path = damaged_copy(sound, tmp_path, packet, seed=packet)
    for order in (range(100), np.random.default_rng(packet).permutation(100), range(99, -1, -1)):
        found = read_all(path, order, threads)
        for frame, picture in found.items():
            assert picture is None or np.array_equal(picture, right[frame]), f"frame {frame} came out wrong"
        refused = [frame for frame, picture in found.items() if picture is None]
        gop = packet // 25
        assert refused and all(gop * 25 <= frame <= gop * 25 + 25 for frame in refused), refused


@pytest.mark.parametrize("packet", [50, 76, 98, 99], ids="packet {}".format)
def test_which_frames_are_refused_depends_neither_on_threads_nor_on_what_was_read_before(sound, tmp_path, packet):
    path = damaged_copy(sound, tmp_path, packet, seed=packet)
    shuffled = np.random.default_rng(packet).permutation(100)
    refused = [
        sorted(frame for frame, picture in read_all(path, places, threads).items() if picture is None)
        for places, threads in ((range(100), 1), (range(99, -1, -1), 1), (range(100), 4), (shuffled, 3))
    ]
    assert refused[0] and refused[1:] == refused[:1] * 3


@pytest.mark.parametrize(("packet", "seed"), [(87, 135), (4, 84)])
def test_damage_that_was_decoded_but_never_asked_for_spoils_nothing_else(tmp_path, packet, seed):
    """Backwards, a reader leaves each stretch with packets decoded beyond what it took."""
    sound = write_video(tmp_path / "sound.mp4", 100, size=(320, 192), gop=25)
    with VideoReader(sound) as video:
        right = video.read(range(100))
    found = read_all(damaged_copy(sound, tmp_path, packet, seed), range(99, -1, -1), threads=4)
    assert all(picture is None or np.array_equal(picture, right[frame]) for frame, picture in found.items())
    refused = [frame for frame, picture in found.items() if picture is None]
    assert all(packet // 25 * 25 <= frame <= packet // 25 * 25 + 25 for frame in refused), refused


def test_most_damage_in_h265_is_refused(tmp_path):
    """FFmpeg hides it unless told not to; what makes sense to the decoder stays unnoticed."""
    sound = write_video(tmp_path / "sound.mp4", 100, size=(320, 192), gop=25, **H265)
    with VideoReader(sound) as video:
        right = video.read(range(100))
    refused = 0
    for seed in range(12):
        packet = 3 + 8 * seed
        found = read_all(damaged_copy(sound, tmp_path, packet, seed), range(100), threads=seed % 2 * 3 + 1)
        refused += all(picture is None or np.array_equal(picture, right[frame]) for frame, picture in found.items())
    assert refused >= 8


@pytest.mark.slow
@pytest.mark.parametrize("codec", [*CODECS.values(), H265], ids=[*CODECS, "H.265"])
def test_many_threads_hand_out_nothing_that_one_thread_refuses(tmp_path, codec):
    sound = write_video(tmp_path / "sound.mp4", 100, size=(320, 192), gop=25, **codec)
    with VideoReader(sound) as video:
        right = video.read(range(100))
    generator = np.random.default_rng(0)
    for _ in range(60):
        packet, seed = int(generator.integers(1, 100)), int(generator.integers(0, 1000))
        path = damaged_copy(sound, tmp_path, packet, seed)
        places = range(99, -1, -1) if seed % 2 else range(100)
        one, many = read_all(path, places, threads=1), read_all(path, places, threads=4)
        for frame, picture in many.items():
            known = picture is None or np.array_equal(picture, right[frame])
            assert known or one[frame] is not None, (packet, seed, frame)  # else: no decoder notices
        path.unlink()


def test_a_stream_yields_what_comes_before_the_damage_and_says_which_frame_it_is(tmp_path):
    sound = write_video(tmp_path / "sound.mp4", 100, size=(320, 192), gop=25)
    path = damaged_copy(sound, tmp_path, 40, seed=1)
    seen = []
    with VideoReader(path) as video:
        with pytest.raises(DamagedFrameError) as caught:
            for batch in video.stream(0, 100, 1):
                seen += numbers_of(batch)
        assert seen == list(range(caught.value.frame))
        assert numbers_of(video.read([75, 99])) == [75, 99]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.97], ids="{:.0%} of the bytes".format)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_cut_off_file_has_the_frames_that_are_whole(tmp_path, suffix, share):
    muxer = {"movflags": "faststart"} if suffix == "mp4" else None
    whole = write_video(tmp_path / f"whole.{suffix}", 100, muxer=muxer)
    path = cut_bytes(whole, tmp_path / f"cut.{suffix}", share)
    with VideoReader(path) as video:
        numbers = numbers_of(video.read(range(len(video))))
        assert 0.1 * 100 < len(video) < 100
        backwards = [numbers_of(video.read([place]))[0] for place in range(len(video) - 1, -1, -1)]
        if suffix == "mp4":
            assert any("cut off" in warning for warning in video.index.warnings)
    assert None not in numbers
    assert numbers == sorted(set(numbers))
    assert numbers[-1] - len(numbers) <= 3  # at the cut, some of the last frames in display order are missing
    assert backwards[::-1] == numbers
