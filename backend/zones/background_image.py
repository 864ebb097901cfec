"""The image that zones are drawn on: one frame of a camera, or the median of several, in which moving birds vanish."""

import cv2
import numpy as np

from backend.project.atomic import atomic_write
from backend.project.paths import Project
from backend.video.library import get_video, open_video

MEDIAN_FRAMES = 9
JPEG_QUALITY = 82


def frame_jpeg(project: Project, video: str, frame: int) -> bytes:
    """Return one frame at full size as JPEG; made once, then kept in the project's ``.cache``."""
    return _kept(project, video, f"frame-{frame}", [frame])


def median_jpeg(project: Project, video: str) -> bytes:
    """Return the median, pixel by pixel, of frames spread over the video, at full size as JPEG."""
    info = get_video(project, video).info
    n = info.n_frames if info else 1
    return _kept(project, video, "median", np.unique(np.linspace(0, n - 1, MEDIAN_FRAMES).astype(int)).tolist())


def _kept(project: Project, video: str, what: str, frames: list[int]) -> bytes:
    identity = str(get_video(project, video).identity.get("index_sha256", ""))[:12]
    path = project.cache / "zone_pictures" / f"{video}.{identity}.{what}.jpg"
    if path.is_file():
        return path.read_bytes()
    with open_video(project, video, threads=1) as reader:
        pictures = reader.read(frames)
    picture = pictures[0] if len(frames) == 1 else _median(pictures)
    _, jpeg = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, jpeg.tobytes(), durable=False)
    return jpeg.tobytes()


def _median(pictures: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8, the middle value of (N, H, W, 3); a few rows at a time, so that memory stays small."""
    median = np.empty(pictures.shape[1:], np.uint8)
    for first in range(0, len(median), 64):
        part = pictures[:, first : first + 64]
        median[first : first + 64] = np.partition(part, len(pictures) // 2, axis=0)[len(pictures) // 2]
    return median
