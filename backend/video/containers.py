"""Video containers: the formats that may be opened (`FORMATS`), and why a file is refused.

A new container needs FFmpeg's name of its format and its file suffix here; the file picker offers the suffixes.
"""

import stat
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from backend.project.errors import InputError

# Single files only: playlists (hls, concat, dash, sdp) and image patterns would lead FFmpeg to other files and hosts.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,asf,flv,ogg,mxf,nut,ivf,y4m,yuv4mpegpipe,m4v,h264,hevc"
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"),
    *(".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv"),
)
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


def open_video_file(path: Path | str) -> tuple[InputContainer, VideoStream]:
    """Open ``path`` with FFmpeg and return the container with the video stream that players show.

    That is the default one, of several the largest; covers and thumbnails do not count (`real_video_streams`).

    Raises
    ------
    InputError
        If it is not a readable video file; the message gives the reason.
    """
    path = Path(path).resolve()  # absolute: a relative "http:x.mp4" would be taken for an address
    _check_file(path)
    try:
        container = av.open(str(path), options=OPTIONS, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path} {_why_not(path, error)}") from error
    try:
        streams = real_video_streams(container)
        if not streams:
            raise InputError(f"{path} has no video stream ({_streams(container)})")
        stream = max(streams, key=lambda each: (_is_default(each), _area_px2(each)))
        if stream.codec_context is None or not stream.codec_context.width:
            raise InputError(f"{path} has a video stream of a codec or size that FFmpeg does not know")
    except BaseException:
        container.close()
        raise
    return container, cast(VideoStream, stream)


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path} is not a file; choose a video file")
        with open(path, "rb"):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error
    if status.st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)")


def real_video_streams(container: InputContainer) -> list[VideoStream]:
    """Return the video streams of a file that are no cover or thumbnail."""
    return [each for each in container.streams.video if not each.disposition & each.disposition.__class__.attached_pic]


def _is_default(stream: VideoStream) -> bool:
    return bool(stream.disposition & stream.disposition.__class__.default)


def _area_px2(stream: VideoStream) -> int:
    codec = stream.codec_context
    return codec.width * codec.height if codec is not None else 0


def _streams(container: InputContainer) -> str:
    kinds = sorted({stream.type for stream in container.streams})
    return f"only {', '.join(kinds)}" if kinds else "no stream at all"


def _why_not(path: Path, error: Exception) -> str:
    boxes = _mp4_boxes(path)
    if boxes and "moov" not in boxes:
        return (
            "is an mp4 file without its index (moov atom): the recording or the copy was cut off before it was "
            "finished; copy it again from the camera"
        )
    if isinstance(error, av.error.InvalidDataError | av.error.ArgumentError | av.error.EOFError):
        return "is not a video file of a known kind, or its beginning is damaged"
    return f"cannot be opened as a video: {getattr(error, 'strerror', None) or error}"


def _mp4_boxes(path: Path) -> list[str]:
    """Return the names of the top-level boxes of an mp4 or mov file; empty if it does not look like one."""
    size = path.stat().st_size
    names: list[str] = []
    with open(path, "rb") as file:
        offset = 0
        while offset + 8 <= size and len(names) < 10_000:
            file.seek(offset)
            head = file.read(16)
            length, name = int.from_bytes(head[:4], "big"), head[4:8]
            if not names and name not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return []
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            names.append(name.decode("latin-1"))
            if length < 8:
                break
            offset += length
    return names
