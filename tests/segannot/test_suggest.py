"""The next frame to label is one that can be looked at."""

import threading
from pathlib import Path
from types import SimpleNamespace

from backend.video import VideoReader
from backend.video.frame_cache import CachedFrames
from segannot.suggest import Suggester
from tests.video.test_damage import damaged_copy, read_all
from tests.videos import write_video


def test_damaged_frames_are_passed_over_when_the_next_frame_is_proposed(tmp_path: Path) -> None:
    path = damaged_copy(write_video(tmp_path / "sound.mp4", 20, size=(320, 192), gop=10), tmp_path, 12, seed=1)
    damaged = [frame for frame, picture in read_all(path, range(20)).items() if picture is None]
    assert damaged
    labelled = [0]
    store = SimpleNamespace(
        lock=threading.Lock(), confidence={}, origins={}, seen_by_a_person=lambda: labelled
    )  # what it asks of the store
    source = CachedFrames(lambda: VideoReader(path), 10**8)
    suggester = Suggester(store, source)
    for _ in range(20 - len(damaged) - 1):
        frame, _ = suggester.next_frame()
        assert frame not in damaged and frame not in labelled
        labelled.append(frame)
    assert sorted(labelled) == [frame for frame in range(20) if frame not in damaged]
    source.close()
