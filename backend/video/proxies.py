"""Proxy videos: small intra-only copies for seeking and playing, in which any frame takes one decoding step.

They can be made again at any time, so they are kept in the project's ``.cache``. Frame k of a proxy is
frame k of its video.
"""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from backend.project.atomic import atomic_file, remove_temporary
from backend.project.disk import check_space
from backend.project.errors import InputError
from backend.project.manifest import Manifest, begin_manifest, finished_file, manifest_path, now, read_manifest
from backend.project.paths import Project, check_name
from backend.video.encode import VideoWriter
from backend.video.frame_errors import DamagedFrameError
from backend.video.library import VideoRecord, index_cache
from backend.video.reader import VideoReader

PROXY = "proxy.mp4"
WIDTH = 960  # px; a 2688x1520 picture on half a screen
CRF = 26
BYTES_PER_PX = 0.12  # of grass and birds at this quality; used to ask for room on the disk


def proxy_folder(project: Project, video: str) -> Path:
    """Return the folder of a video's proxy, which need not exist."""
    return project.cache / "proxies" / check_name(video, "video")


def proxy_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) in px of the proxy of a video of ``size``: at most `WIDTH` wide, both even."""
    width = max(2, min(WIDTH, size[0]) // 2 * 2)
    return width, max(2, 2 * round(width * size[1] / size[0] / 2))


def proxy_bytes(size: tuple[int, int], n_frames: int) -> int:
    """Return the expected size of a proxy, bytes."""
    width, height = proxy_size(size)
    return round(n_frames * width * height * BYTES_PER_PX)


def has_proxy(project: Project, record: VideoRecord) -> bool:
    """Return whether the video has a complete proxy of its present file."""
    folder = proxy_folder(project, record.slug)
    path = folder / PROXY
    try:
        manifest = read_manifest(folder)
    except InputError:
        return False
    if manifest is None or not manifest.complete or manifest.inputs != inputs_of(record):
        return False
    return path.is_file() and path.stat().st_size == manifest.files[PROXY].size


def open_proxy(project: Project, record: VideoRecord, n_frames: int) -> VideoReader | None:
    """Return a reader of a video's proxy, None where there is none or it has not ``n_frames`` frames."""
    if not has_proxy(project, record):
        return None
    try:
        reader = VideoReader(proxy_folder(project, record.slug) / PROXY, cache_folder=index_cache(project), threads=1)
    except InputError:
        return None
    if len(reader) == n_frames:
        return reader
    reader.close()
    return None


def inputs_of(record: VideoRecord) -> dict[str, object]:
    """Return the inputs in a proxy's manifest: the video and its identity."""
    return {"video": record.slug, "video_identity": record.identity}


def make_proxy(
    folder: Path, reader: VideoReader, inputs: dict[str, object], report: Callable[[int], None] = lambda done: None
) -> Manifest:
    """Write the proxy of an open video into ``folder``, whole or not at all, and return its manifest.

    Whatever the folder held before goes: it can be made again. A frame that cannot be decoded becomes a black one, so
    that numbers stay. The caller holds the folder's lock.

    Raises
    ------
    InputError
        If there is not enough space on the disk.
    """
    remove_temporary(folder)
    for path in (manifest_path(folder), folder / PROXY):
        path.unlink(missing_ok=True)
    check_space(folder, proxy_bytes(reader.size, len(reader)))
    size = proxy_size(reader.size)
    manifest = begin_manifest(folder, "proxy", inputs, {"size": list(size), "crf": CRF})
    picture = np.empty((1, size[1], size[0], 3), np.uint8)
    damaged, rate = 0, Fraction(reader.fps).limit_denominator(1000)
    with atomic_file(folder / PROXY) as file, VideoWriter(file, size, rate, CRF, group=1, threads=0) as writer:
        for frame in range(len(reader)):
            try:
                reader.read([frame], size, picture)
            except DamagedFrameError:
                picture[:] = 0
                damaged += 1
            writer.write(picture[0])
            report(frame + 1)
    manifest.files = {PROXY: finished_file(folder / PROXY)}
    manifest.counts = {"frames": len(reader), "damaged": damaged}
    manifest.complete, manifest.finished = True, now()
    manifest.write(folder)
    return manifest
