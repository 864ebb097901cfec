"""Frames of the project's other videos, beside the board's own: other cameras, synchronised by their start times."""

import threading
from collections import OrderedDict
from typing import Any

from backend.project.paths import Project
from backend.video.frame_cache import CachedFrames
from backend.video.library import VideoRecord, get_video, list_videos, open_video
from backend.video.proxies import has_proxy, open_proxy

MAX_OPEN = 6  # three views beside the board's own video, each with a proxy video


class OtherVideos:
    """The other videos of a project, each opened on first use. Safe for use from several threads.

    Parameters
    ----------
    video
        Slug of the board's own video; ``late_s`` of the others is relative to its start.
    cache_bytes
        Memory for decoded frames of all of them together.
    """

    def __init__(self, project: Project, video: str, cache_bytes: int):
        self._project, self._own, self._cache_bytes = project, video, cache_bytes // MAX_OPEN
        self._open: OrderedDict[tuple[str, bool], CachedFrames] = OrderedDict()
        self._lock = threading.Lock()

    def listed(self) -> list[dict[str, Any]]:
        """Return the facts of each readable video; ``late_s``: how many s after the board's video it starts."""
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
        with self._lock:  # one frame at a time: the board's own video goes first
            frames = self._frames_of(get_video(self._project, video), quick)
            return frames.jpeg(frames.check(frame), width)

    def close(self) -> None:
        """Close all videos."""
        with self._lock:
            for frames in self._open.values():
                frames.close()
            self._open.clear()

    def _frames_of(self, record: VideoRecord, quick: bool) -> CachedFrames:
        quick = quick and has_proxy(self._project, record)
        key = (record.slug, quick)
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        n_frames = record.info.n_frames if record.info else 0
        proxy = open_proxy(self._project, record, n_frames) if quick else None
        self._open[key] = CachedFrames(
            lambda: proxy or open_video(self._project, record.slug, threads=1), self._cache_bytes
        )
        while len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)[1].close()
        return self._open[key]


def _late_s(own: VideoRecord, other: VideoRecord) -> float | None:
    if own.start_time is None or other.start_time is None:
        return None
    return (other.start_time - own.start_time).total_seconds()
