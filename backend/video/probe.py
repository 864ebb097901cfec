"""Properties of a video file: size, frame rate, duration, codec, start of the recording, and warnings."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from pydantic import AwareDatetime, BaseModel, ConfigDict

from backend.video.containers import open_video_file
from backend.video.index import PacketIndex, load_index

START_KEYS = ("com.apple.quicktime.creationdate", "creation_time", "date", "DATE")
CHAPTER = re.compile(r"(?P<kind>G[HXLP])(?P<number>\d\d)\d{4}\.\w+", re.IGNORECASE)  # GoPro's names
TIME_CODE = re.compile(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)[:;.](\d{1,3})")
FIRST_YEAR = 1990  # cameras with an empty clock say 1904, 1970 or 1980
VARIABLE_SHARE = 0.02  # frame intervals off the median by more than this make the rate variable (a time base rounds)


class VideoInfo(BaseModel):
    """Properties of a video file. Sizes in px of the upright picture, times in s."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    width: int
    height: int
    fps: float
    n_frames: int
    duration_s: float
    codec: str
    pixel_format: str
    container: str
    rotation: int = 0
    variable_rate: bool = False
    remux_advised: bool = False  # MPEG-TS: seeking is slow and fragile; see `remux`
    start_time: AwareDatetime | None = None
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px, upright."""
        return (self.width, self.height)


def probe(path: Path | str, cache_folder: Path | None = None) -> VideoInfo:
    """Return the properties of the video file at ``path``. The first time, the whole file is read (see `load_index`).

    Raises
    ------
    InputError
        If it is no video that can be read frame by frame, with the reason in words.
    """
    index = load_index(path, cache_folder)
    container, stream = open_video_file(path)
    with container:
        return _describe(container, stream, index)


def video_identity(path: Path | str, cache_folder: Path | None = None) -> dict[str, Any]:
    """Return the identity of a video: ``size``, ``head_tail_sha256``, ``index_sha256``; cached by its mtime."""
    return dict(load_index(path, cache_folder).identity)


def recording_start(container: InputContainer, stream: VideoStream) -> datetime | None:
    """Return when the file says that its first frame was taken, in UTC; None where it says nothing sane.

    GoPro writes the begin of the whole recording into every chapter (GH01..., GH02...); the chapter's own time of day
    stands in its time code.
    """
    start = _stated_start(container, stream)
    own = _time_code(container, stream) if _chapter(container.name) > 1 else None
    if start is None or own is None:
        return start
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + own + timedelta(days=0 if midnight + own >= start.replace(microsecond=0) else 1)


def _chapter(path: str) -> int:
    """Return the chapter's number in a name that GoPro gives (GH020123.MP4, GX02..., GP01...), else 1."""
    name = CHAPTER.fullmatch(Path(path).name)
    if name is None:
        return 1
    return int(name["number"]) + (1 if name["kind"].upper() == "GP" else 0)  # GOPR0123, then GP010123


def _time_code(container: InputContainer, stream: VideoStream) -> timedelta | None:
    """Return the time of day of the first frame by the file's time code (hours:minutes:seconds:frames)."""
    for metadata in (stream.metadata, *(each.metadata for each in container.streams), container.metadata):
        code = TIME_CODE.fullmatch(metadata.get("timecode", ""))
        if code is not None:
            hours, minutes, seconds, frames = map(int, code.groups())
            rate = float(stream.average_rate or 0)
            return timedelta(hours=hours, minutes=minutes, seconds=seconds + (frames / rate if rate else 0))
    return None


def _stated_start(container: InputContainer, stream: VideoStream) -> datetime | None:
    """Return the begin of the recording as the file's metadata state it.

    mp4 and mov store UTC by their standard, but many cameras write their local clock there, and some the end of the
    recording: a person has to look, which is why a video's start time can be edited. A time without a zone is taken
    as UTC.
    """
    for metadata in (container.metadata, stream.metadata):
        for key in START_KEYS:
            try:
                found = datetime.fromisoformat(metadata.get(key, ""))
            except ValueError:
                continue
            found = found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
            if found.year >= FIRST_YEAR and found <= datetime.now(UTC) + timedelta(days=1):
                return found
    return None


def _describe(container: InputContainer, stream: VideoStream, index: PacketIndex) -> VideoInfo:
    variable = _is_variable(index.times)
    is_ts = container.format.name == "mpegts"
    codec = stream.codec_context
    return VideoInfo(
        width=index.size[0],
        height=index.size[1],
        fps=index.fps,
        n_frames=len(index.pts),
        duration_s=float(index.times[-1]) + 1 / index.fps,
        codec=codec.name,
        pixel_format=codec.pix_fmt or "",
        container=container.format.name,
        rotation=index.rotation,
        variable_rate=variable,
        remux_advised=is_ts,
        start_time=recording_start(container, stream),
        warnings=(*index.warnings, *_oddities(stream, variable, is_ts)),
    )


def _is_variable(times: np.ndarray) -> bool:
    gaps = np.diff(times)
    if len(gaps) < 2:
        return False
    usual = float(np.median(gaps))
    return bool(np.mean(np.abs(gaps - usual) > max(0.1 * usual, 0.0011)) > VARIABLE_SHARE)  # 1.1 ms: mkv rounds to 1 ms


def _oddities(stream: VideoStream, variable: bool, is_ts: bool) -> list[str]:
    odd = []
    if variable:
        odd.append("the frame rate varies; times are right, counts a second are not constant")
    if is_ts:
        odd.append("MPEG-TS: finding a frame is slow; a remuxed copy (mkv) is advised")
    if (stream.sample_aspect_ratio or 1) != 1:
        odd.append(f"pixels are not square ({stream.sample_aspect_ratio}); they are counted and drawn as stored")
    return odd
