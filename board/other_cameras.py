"""Pictures of other videos of the project beside the board's own: other cameras, synchronised by their start times."""

import threading
from collections import OrderedDict
from typing import Any

from backend.project.paths import Project
from backend.video.frame_cache import ShownFrames
from backend.video.library import VideoRecord, get_video, list_videos, open_video
from backend.video.proxies import has_proxy, open_proxy

MOST_OPEN = 6  # as many as there are places beside the board's own picture, each with a small copy


class OtherVideos:
    """The other videos of a project, opened when they are looked at. Safe for use from several threads.

    Parameters
    ----------
    video
        The board's own, whose start time is that of the others' ``late_s``.
    cache_bytes
        What pictures of all of them may take.
    """

    def __init__(self, project: Project, video: str, cache_bytes: int):
        self._project, self._own, self._room = project, video, cache_bytes // MOST_OPEN
        self._open: OrderedDict[tuple[str, bool], ShownFrames] = OrderedDict()
        self._lock = threading.Lock()

    def listed(self) -> list[dict[str, Any]]:
        """Return what the page needs to know of each: size, length, and how many seconds later it begins."""
        own = get_video(self._project, self._own)
        usable = [
            each for each in list_videos(self._project) if each.info and not each.problem and each.slug != own.slug
        ]
        return [
            {"video": each.slug, "name": each.name, "camera": each.camera, "late_s": _late_s(own, each),
             "frames": each.info.n_frames, "fps": each.info.fps, "width": each.info.size[0],
             "height": each.info.size[1], "quick": has_proxy(self._project, each)}
            for each in usable if each.info
        ]  # fmt: skip

    def jpeg(self, video: str, frame: int, width: int, quick: bool) -> bytes:
        """Return a JPEG of a frame; InputError if the project has no such video or the video no such frame."""
        with self._lock:  # one picture at a time: the board's own come first
            shown = self._shown(get_video(self._project, video), quick)
            return shown.jpeg(shown.check(frame), width)

    def close(self) -> None:
        """Give all files back."""
        with self._lock:
            for shown in self._open.values():
                shown.close()
            self._open.clear()

    def _shown(self, record: VideoRecord, quick: bool) -> ShownFrames:
        quick = quick and has_proxy(self._project, record)
        key = (record.slug, quick)
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        n_frames = record.info.n_frames if record.info else 0
        small = open_proxy(self._project, record, n_frames) if quick else None
        self._open[key] = ShownFrames(lambda: small or open_video(self._project, record.slug, threads=1), self._room)
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return self._open[key]


def _late_s(own: VideoRecord, other: VideoRecord) -> float | None:
    if own.start_time is None or other.start_time is None:
        return None
    return (other.start_time - own.start_time).total_seconds()
