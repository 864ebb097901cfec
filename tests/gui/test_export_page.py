"""The page of the frame export: what it says of a range is what is in the file."""

from backend.video.library import add_video
from tests.gui.pages import opened
from tests.videos import write_video


def test_the_ends_of_the_range_have_their_own_times_where_the_rate_varies(installed, tmp_path):
    times_ms = [0, 40, 80, 1000, 2000, 5000]
    video = write_video(tmp_path / "videos" / "lek.mkv", 6, times_ms=times_ms)
    add_video(installed, video, [tmp_path / "videos"])
    app = opened("export")
    shown = [caption for each in app.get("image") for caption in each.captions]
    assert shown == ["frame 0, 0.00 s", "frame 5, 5.00 s"]
