"""The packet index of a video: its frames in display order, and the key frames at which decoding can begin.

One pass over the packets, without decoding. Containers lie about frame counts, rates and key frames in many ways (edit
lists, open GOPs, variable rate, cut files); the packets' own display times do not. The index is kept on disk, keyed by
real path, size and modification time, so that a file of hours opens at once the second time.
"""

import hashlib
import io
import logging
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.project.manifest import file_identity
from backend.project.settings import state_folder
from backend.video.containers import open_video_file, real_video_streams

CACHE_FORMAT = 3
TRIM_PACKETS = 1000  # how far the first frame that can be decoded is looked for
BEAT_PACKETS = 500
CHECKED_FRAMES = 16  # decoded to see that the packets' times are the frames' times
MAX_REORDERED = 40  # packets a frame may be from its place in display order: with 16 B-frames in a row it is 16
SOUND_MAY_GO_ON_S = 1.0  # sound that ends this much after the pictures is no sign of a cut
CONVERT = "convert it to mp4 or mkv with a video tool first"
JUMPS_BACK = f"its clock jumps back (recordings joined into one file?); {CONVERT}"
NO_TIMES = f"does not say when its frames are shown (AVI with B-frames, or a bare stream); {CONVERT}"
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """Frames and key frames of a video file. All times are in units of ``time_base``.

    Attributes
    ----------
    pts
        (N,) int64, ascending, unique: display time of each frame; its position is the frame's number.
    order
        (N,) int64: position of each frame's packet in the file, that is, in the order of decoding.
    key_pts, key_seek
        (K,) int64, ascending by pts: key frames, and the time to seek to for each, ``min(pts, dts)``.
    first_seek
        Time that leads to the first packet of the file.
    time_base
        Seconds a unit.
    declared_fps
        The rate the container states, 0 where it states none.
    width, height, rotation
        Stored size in px, and the degrees (0, 90, 180, 270, counter-clockwise) it is turned by when it is shown.
    identity
        ``size``, ``head_tail_sha256`` and ``index_sha256`` of the file.
    warnings
        Messages for the user, such as packets left out.
    """

    pts: np.ndarray
    order: np.ndarray
    key_pts: np.ndarray
    key_seek: np.ndarray
    first_seek: int
    time_base: Fraction
    declared_fps: Fraction
    width: int
    height: int
    rotation: int
    identity: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @cached_property
    def needs(self) -> np.ndarray:
        """(N,) int64: for each frame, the last in display order of all frames decoded up to it."""
        by_order = np.argsort(self.order)
        needs = np.empty_like(by_order)
        needs[by_order] = np.maximum.accumulate(by_order)
        return needs

    @cached_property
    def times(self) -> np.ndarray:
        """(N,) float64: seconds since the first frame."""
        return (self.pts - self.pts[0]) * float(self.time_base)

    @property
    def fps(self) -> float:
        """Return the mean frame rate: the declared one where the frames agree within 0.1 %, else the measured."""
        declared = float(self.declared_fps)
        seconds = float(self.times[-1])
        if seconds <= 0:
            return declared or 1.0
        measured = (len(self.pts) - 1) / seconds
        return declared if abs(declared - measured) <= measured / 1000 else measured

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in px as they are shown, that is upright."""
        return (self.height, self.width) if self.rotation % 180 else (self.width, self.height)

    def frame_of(self, pts: int) -> int | None:
        """Return the number of the frame shown at ``pts``, None if no frame is."""
        place = int(np.searchsorted(self.pts, pts))
        return place if place < len(self.pts) and self.pts[place] == pts else None

    def key_order(self, frame: int) -> int:
        """Return the order of the last key frame shown at or before ``frame``, -1 where there is none."""
        return int(self._key_orders[np.searchsorted(self.key_pts, self.pts[frame], side="right")])

    def key_number(self, frame: int) -> int:
        """Return the number of the last key frame shown at or before ``frame``, 0 where there is none."""
        place = int(np.searchsorted(self.key_pts, self.pts[frame], side="right")) - 1
        return 0 if place < 0 else int(np.searchsorted(self.pts, self.key_pts[place]))

    @cached_property
    def _key_orders(self) -> np.ndarray:
        shown = [self.frame_of(pts) for pts in self.key_pts.tolist()]
        return np.array([-1, *(-1 if frame is None else self.order[frame] for frame in shown)], np.int64)

    def starts_for(self, frame: int) -> list[int | None]:
        """Return times to seek to that may lead to ``frame``: nearest key first, at last None for the beginning.

        Some containers search by display time, some by decoding time; the earlier of the two is safe everywhere, but
        leads one key frame too far back in mp4, so the display time is tried first.
        """
        last = int(np.searchsorted(self.key_pts, self.pts[frame], side="right")) - 1
        if last < 0:
            return [None]
        back = [0, *(2**n for n in range(last.bit_length()))]
        return [int(self.key_pts[last]), *(int(self.key_seek[last - step]) for step in back if step <= last), None]


def load_index(
    path: Path | str, cache_folder: Path | None = None, beat: Callable[[], None] = lambda: None
) -> PacketIndex:
    """Return the index of a video, from the cache if the file has not changed since it was made.

    Parameters
    ----------
    path
        The video.
    cache_folder
        Where indexes are kept (one small file a video); by default ``video_index/`` in the state folder.
    beat
        Called now and then while a long file is read.

    Raises
    ------
    InputError
        If the file is not a video whose frames can be told apart, with the reason in words.
    """
    real = Path(os.path.realpath(path))
    folder = cache_folder or state_folder() / "video_index"
    cached = folder / f"{hashlib.sha256(os.fsencode(real)).hexdigest()[:32]}.npz"
    try:
        before = real.stat()
    except OSError as error:
        raise InputError(f"{real} cannot be opened: {error.strerror}") from error
    stamp = [CACHE_FORMAT, before.st_size, before.st_mtime_ns]
    found = _read_cache(cached, stamp)
    if found is not None:
        return found
    index = build_index(real, beat)
    after = real.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise InputError(f"{real} is still being written; add it when the copy or recording has finished")
    _write_cache(cached, stamp, index)
    return index


def build_index(path: Path, beat: Callable[[], None] = lambda: None) -> PacketIndex:
    """Read every packet of ``path`` once and return its index; see `load_index`."""
    container, stream = open_video_file(path)
    with container:
        packets = _Packets(path, stream)
        packets.read(container, stream, beat)
    container, stream = open_video_file(path)
    with container:
        first = _first_frames(container, stream)
    return packets.index(first)


class _Packets:
    """Collects the packets of one pass."""

    def __init__(self, path: Path, stream: VideoStream):
        self.path = path
        self.rows: list[tuple[int, int, int, bool]] = []  # pts, dts, size, key
        self.hidden_keys: list[tuple[int, int]] = []  # key frames before an edit: not shown, but decoding starts there
        self.first_seek: int | None = None
        self.time_base = stream.time_base
        self.declared_fps = stream.average_rate or Fraction(0)
        self.reorders = stream.codec_context.has_b_frames
        self.warnings: list[str] = []
        self.broken = 0
        self.seen = 0
        self.promised = stream.frames  # 0 where the container does not say
        self.end: int | None = None  # of the last frame, in units of the time base
        self.last_dts: int | None = None
        self.clock_jumps_back = False

    def read(self, container: InputContainer, stream: VideoStream, beat: Callable[[], None]) -> None:
        try:
            for packet in container.demux(stream):
                if packet.size:
                    self._add(packet)
                if self.seen % BEAT_PACKETS == 0:
                    beat()
        except (av.error.FFmpegError, OSError) as error:
            self.warnings.append(f"reading stopped early ({error.strerror or error})")
        self._check_streams(container, stream)
        self._check_length(container, stream)
        if self.broken:
            self.warnings.append(f"{self.broken} packets are cut off or damaged and left out")
        if not self.rows:
            raise InputError(f"{self.path} holds a video stream without a single whole frame; it may be cut off")

    def _check_streams(self, container: InputContainer, stream: VideoStream) -> None:
        others = [each for each in real_video_streams(container) if each.index != stream.index]
        if others:
            sizes = ", ".join(f"{each.width}x{each.height}" for each in others)
            used = f"{stream.width}x{stream.height}"
            self.warnings.append(f"the file holds {len(others) + 1} videos; this one is {used}, not used: {sizes}")

    def _check_length(self, container: InputContainer, stream: VideoStream) -> None:
        """Compare what was read with the number of frames, or else the length, that the file's header states."""
        if self.promised > self.seen:
            self.warnings.append(f"the file is cut off: it promises {self.promised} frames and holds {self.seen}")
        if self.promised or not container.duration or self.end is None:
            return
        stated_s, end_s = container.duration / av.time_base, float(self.end * self.time_base)
        frame_s = 1 / float(self.declared_fps) if self.declared_fps else end_s / max(1, self.seen)
        alone = all(each.index == stream.index for each in container.streams)
        if stated_s - end_s > (frame_s if alone else max(frame_s, SOUND_MAY_GO_ON_S)):
            self.warnings.append(
                f"the file is cut off: it promises {stated_s:.2f} s and its frames end at {end_s:.2f} s"
            )

    def _add(self, packet: av.Packet) -> None:
        pts = packet.pts if packet.pts is not None else packet.dts
        dts = packet.dts if packet.dts is not None else pts
        if pts is None or (packet.pts is None and self.reorders):
            raise InputError(f"{self.path} {NO_TIMES}")
        if packet.dts is not None:
            self.clock_jumps_back |= self.last_dts is not None and packet.dts < self.last_dts
            self.last_dts = packet.dts
        end = pts + (packet.duration or 0)
        self.end = end if self.end is None else max(end, self.end)
        seek = min(pts, dts)
        self.first_seek = seek if self.first_seek is None else min(seek, self.first_seek)
        self.seen += 1
        if packet.is_corrupt:
            self.broken += 1
        elif packet.is_discard:
            if packet.is_keyframe:
                self.hidden_keys.append((pts, seek))
        else:
            self.rows.append((pts, dts, packet.size, packet.is_keyframe))

    def index(self, decoded: list[av.VideoFrame]) -> PacketIndex:
        """Return the index, checked against the first frames that came out of the decoder."""
        rows = np.array(self.rows, np.int64)  # P x 4
        moved = np.abs(np.argsort(rows[:, 0], kind="stable") - np.arange(len(rows)))
        if moved.max() > MAX_REORDERED:
            raise InputError(f"{self.path}: {JUMPS_BACK}")
        first = self._checked_first(decoded)
        pts, order = np.unique(rows[:, 0], return_index=True)
        if len(pts) < len(rows):
            self.warnings.append(f"{len(rows) - len(pts)} frames share their time with another and are left out")
        lost = int(np.searchsorted(pts, first.pts))
        if lost:
            self.warnings.append(f"the first {lost} frames cannot be decoded (cut inside a GOP) and are left out")
        if first.interlaced_frame:
            self.warnings.append("interlaced: both half pictures are read as one frame")
        keys = rows[rows[:, 3] == 1]
        starts = np.array([*self.hidden_keys, *zip(keys[:, 0], keys[:, :2].min(axis=1), strict=True)], np.int64)
        starts = np.unique(starts.reshape(-1, 2), axis=0)
        identity = {**file_identity(self.path), "index_sha256": hashlib.sha256(rows.tobytes()).hexdigest()}
        return PacketIndex(
            pts=pts[lost:],
            order=order[lost:],
            key_pts=starts[:, 0].copy(),
            key_seek=starts[:, 1].copy(),
            first_seek=int(self.first_seek or 0),
            time_base=self.time_base,
            declared_fps=self.declared_fps,
            width=first.width,
            height=first.height,
            rotation=round(first.rotation / 90) * 90 % 360,
            identity=identity,
            warnings=tuple(self.warnings),
        )

    def _checked_first(self, decoded: list[av.VideoFrame]) -> av.VideoFrame:
        if not decoded:
            raise InputError(f"{self.path}: none of its {len(self.rows)} frames can be decoded")
        shown = [frame.pts for frame in decoded]
        if shown != sorted(shown):
            raise InputError(f"{self.path}: {JUMPS_BACK}" if self.clock_jumps_back else f"{self.path} {NO_TIMES}")
        promised = sum(shown[0] <= row[0] <= shown[-1] for row in self.rows)
        if len(set(shown)) < promised * 3 / 4 and self.clock_jumps_back:
            raise InputError(f"{self.path}: {JUMPS_BACK}")
        if len(set(shown)) < promised * 3 / 4:
            raise InputError(f"{self.path}: packets and frames do not match (a picture in several parts?); {CONVERT}")
        return decoded[0]


def _first_frames(container: InputContainer, stream: VideoStream) -> list[av.VideoFrame]:
    """Return the first whole frames that come out of the decoder."""
    frames: list[av.VideoFrame] = []
    packets = container.demux(stream)
    for _ in range(TRIM_PACKETS):
        try:
            packet = next(packets, None)
            if packet is None or len(frames) >= CHECKED_FRAMES:
                break
            if packet.size and packet.pts is None:
                packet.pts = packet.dts
            if not packet.is_corrupt:
                frames += [frame for frame in packet.decode() if frame.pts is not None and not frame.is_corrupt]
        except av.error.EOFError:
            break
        except (av.error.FFmpegError, OSError) as error:
            log.debug("%s while looking for the first frame", error)
    return frames


def _write_cache(path: Path, stamp: list[int], index: PacketIndex) -> None:
    ratios = [part for ratio in (index.time_base, index.declared_fps) for part in ratio.as_integer_ratio()]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        stamp=np.array(stamp, np.int64),
        pts=index.pts,
        order=index.order - np.arange(len(index.order)),  # small numbers compress well
        key_pts=index.key_pts,
        key_seek=index.key_seek,
        numbers=np.array([index.first_seek, *ratios, index.width, index.height, index.rotation], np.int64),
        identity=np.array([f"{key}={value}" for key, value in index.identity.items()], dtype=np.str_),
        warnings=np.array(index.warnings, dtype=np.str_),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, buffer.getvalue(), durable=False)
    except OSError as error:
        log.info("the index is not kept: %s", error)  # a read-only cache costs time, nothing else


def _read_cache(path: Path, stamp: list[int]) -> PacketIndex | None:
    try:
        with np.load(path, allow_pickle=False) as data:
            if data["stamp"].tolist() != stamp:
                return None
            first_seek, *ratios, width, height, rotation = data["numbers"].tolist()
            identity: dict[str, Any] = dict(text.split("=", 1) for text in data["identity"].tolist())
            return PacketIndex(
                pts=data["pts"],
                order=data["order"] + np.arange(len(data["order"])),
                key_pts=data["key_pts"],
                key_seek=data["key_seek"],
                first_seek=first_seek,
                time_base=Fraction(*ratios[:2]),
                declared_fps=Fraction(*ratios[2:]),
                width=width,
                height=height,
                rotation=rotation,
                identity={**identity, "size": int(identity["size"])},
                warnings=tuple(data["warnings"].tolist()),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
