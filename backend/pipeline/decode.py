"""Decoding in parallel with the network: decoders fill slots of shared memory with cropped and resized batches.

A chunk's batches are divided between the decoders in stretches that begin near key frames. Every decoder has `AHEAD`
slots of its own, so it runs at most that many batches ahead.
"""

import multiprocessing
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from backend.pipeline.chunk_plan import VideoPlan, Work
from backend.pipeline.lifeline import end_with_parent, ignore_interrupts
from backend.pipeline.ring import SharedBatches
from backend.project.errors import InputError
from backend.video import DamagedFrameError, VideoReader, load_index
from backend.video.resize import resize

AHEAD = 3  # batches a decoder may be ahead of the network


@dataclass(frozen=True)
class BatchOrder:
    """Decode ``frames`` of a video into a slot."""

    video: int
    frames: tuple[int, ...]
    slot: int


@dataclass(frozen=True)
class BatchDecoded:
    """The frames that were decoded, their times in s, and the damaged ones."""

    frames: tuple[int, ...]
    times_s: tuple[float, ...]
    damaged: tuple[int, ...] = ()


@dataclass(frozen=True)
class DecodingFailed:
    """The video cannot be read any more."""

    reason: str


@dataclass(frozen=True)
class Batch:
    """A decoded batch: picture ``k * len(regions) + r`` is region ``r`` of frame ``frames[k]``; the rest of the slot
    is black.

    ``number`` is its place in the chunk.
    """

    work: Work
    number: int
    decoded: BatchDecoded
    pictures: Any  # (N, H, W, 3) uint8 RGB: an array, or a tensor on the GPU
    lane: int
    slot: int


class _Lane:
    """The worker's side of one decoder: its connection, free slots, waiting and running batches."""

    def __init__(self, connection: Connection):
        self.connection = connection
        self.free = deque(range(AHEAD))
        self.waiting: deque[tuple[Work, int, tuple[int, ...]]] = deque()
        self.at_work: deque[tuple[Work, int, int]] = deque()

    def feed(self) -> None:
        """Send as many waiting batches as there are free slots."""
        while self.free and self.waiting:
            work, number, frames = self.waiting.popleft()
            slot = self.free.popleft()
            self.at_work.append((work, number, slot))
            self.connection.send(BatchOrder(work.video, frames, slot))


class Decoders:
    """Processes that decode for one worker (`SharedBatches`), or its threads where frames stay on a GPU.

    Parameters
    ----------
    videos
        The plans that `Work.video` points into.
    n_decoders
        How many.
    threads
        Decoding threads of each.
    device
        None for processes and host memory, else the GPU ("cuda:0") that decodes.
    """

    def __init__(self, videos: Sequence[VideoPlan], n_decoders: int, threads: int, device: str | None = None):
        self._videos = videos
        self._ready: list[Batch] = []
        self._context = multiprocessing.get_context("spawn")
        self._device = device
        self._slots: list[Any] = []
        self._lanes = [self._start(threads) for _ in range(n_decoders)]

    def _start(self, threads: int) -> _Lane:
        ours, theirs = self._context.Pipe()
        shapes = [video.batch_shape for video in self._videos]
        if self._device is None:
            slots: Any = SharedBatches(AHEAD, shapes)
            arguments = (theirs, slots, tuple(self._videos), threads)
            self._context.Process(target=decoder_process, args=arguments, daemon=True).start()
            theirs.close()
        else:
            from backend.pipeline.decode_gpu import GpuBatches, GpuCutter

            slots = GpuBatches(AHEAD, shapes, self._device)
            arguments = (theirs, slots, tuple(self._videos), GpuCutter(self._device))
            threading.Thread(target=serve, args=arguments, daemon=True).start()
        self._slots.append(slots)
        return _Lane(ours)

    @property
    def memories(self) -> list[np.ndarray]:
        """The shared memory of all slots in the host, for pinning; empty where frames stay on a GPU."""
        return [slots.memory for slots in self._slots if self._device is None]

    @property
    def connections(self) -> list[Connection]:
        """Connections of the decoders, readable when a batch is ready."""
        return [lane.connection for lane in self._lanes]

    def add(self, work: Work) -> int:
        """Queue the batches of a chunk after all others; return their number."""
        video = self._videos[work.video]
        batches = work.chunk.batches(video.batch_frames)
        keys = _key_frames(video) if len(self._lanes) > 1 else np.zeros(1, np.int64)
        cuts = stretches([batch[0] for batch in batches], keys, len(self._lanes))
        for lane, begin, end in zip(self._lanes, cuts, cuts[1:], strict=False):
            lane.waiting.extend((work, number, batches[number]) for number in range(begin, end))
            lane.feed()
        return len(batches)

    def receive(self) -> None:
        """Receive the batches that decoders have finished, without waiting.

        Raises
        ------
        InputError
            If a video cannot be read.
        RuntimeError
            If a decoder died.
        """
        for number, lane in enumerate(self._lanes):
            try:
                while lane.connection.poll():
                    self._take(number, lane, lane.connection.recv())
            except (EOFError, ConnectionError) as error:
                work, _, _ = lane.at_work[0] if lane.at_work else (None, 0, 0)
                at = f" in {self._videos[work.video].path}, {work.chunk}" if work else ""
                raise RuntimeError(f"a decoder process died{at}") from error

    def _take(self, number: int, lane: _Lane, answer: BatchDecoded | DecodingFailed) -> None:
        if isinstance(answer, DecodingFailed):
            raise InputError(answer.reason)
        work, place, slot = lane.at_work.popleft()
        pictures = self._slots[number].slot(slot, self._videos[work.video].batch_shape)
        self._ready.append(Batch(work, place, answer, pictures, number, slot))

    def next_of(self, work: Work) -> Batch | None:
        """Return a decoded batch of ``work``, in any order; None if none is ready."""
        found = next((batch for batch in self._ready if batch.work == work), None)
        if found is not None:
            self._ready.remove(found)
        return found

    def release(self, batch: Batch) -> None:
        """Return a batch's slot to its decoder."""
        lane = self._lanes[batch.lane]
        lane.free.append(batch.slot)
        lane.feed()

    def close(self) -> None:
        """Let the decoders end."""
        for lane in self._lanes:
            lane.connection.close()


def stretches(first_frames: Sequence[int], key_frames: np.ndarray, number: int) -> list[int]:
    """Divide batches between ``number`` decoders, in stretches of about equal length that begin soon after a key frame.

    A decoder has to begin at the key frame before its stretch, so what lies between is decoded twice.

    Parameters
    ----------
    first_frames
        First frame of each batch, ascending.
    key_frames
        (K,) int64, ascending.
    number
        How many decoders.

    Returns
    -------
    ``number + 1`` borders: stretch ``k`` holds the batches ``[borders[k], borders[k + 1])``, which may be none.
    """
    count = len(first_frames)
    firsts = np.asarray(first_frames, np.int64)
    before = key_frames[np.maximum(key_frames.searchsorted(firsts, side="right") - 1, 0)]
    lead_in = firsts - before
    borders = [0]
    for k in range(1, number):
        ideal, slack = round(count * k / number), count // (2 * number)
        low, high = max(ideal - slack, borders[-1]), min(ideal + slack, count - 1)
        borders.append(low + int(lead_in[low : high + 1].argmin()) if low <= high else borders[-1])
    return [*borders, count]


def decoder_process(connection: Connection, slots: SharedBatches, videos: tuple[VideoPlan, ...], threads: int) -> None:
    """Run one decoder; the entry of its process."""
    import cv2

    ignore_interrupts()
    end_with_parent()
    cv2.setNumThreads(threads)
    serve(connection, slots, videos, HostCutter(threads))


def serve(connection: Connection, slots: Any, videos: tuple[VideoPlan, ...], cutter: Any) -> None:
    """Answer orders until the other side closes the connection. Readers of other videos are closed first."""
    reader, place = None, None
    try:
        while True:
            order: BatchOrder = connection.recv()
            video = videos[order.video]
            try:
                if place != order.video:
                    if reader is not None:
                        reader.close()
                    reader, place = cutter.open(video), order.video
                answer: Any = _fill(reader, video, order, slots.slot(order.slot, video.batch_shape), cutter)
            except (OSError, ValueError, IndexError) as error:
                answer = DecodingFailed(f"{video.path} cannot be read: {error}")
            connection.send(answer)
    except (EOFError, ConnectionError):
        pass
    finally:
        if reader is not None:
            reader.close()


def _fill(reader: VideoReader, video: VideoPlan, order: BatchOrder, slot: Any, cutter: Any) -> BatchDecoded:
    decoded: list[int] = []
    for frame in order.frames:
        try:
            picture = cutter.read(reader, frame)
        except DamagedFrameError:
            continue
        begin = len(decoded) * len(video.regions)
        for number, region in enumerate(video.regions):
            part = picture[region.y1 : region.y2, region.x1 : region.x2]
            slot[begin + number] = cutter.resize(part, video.input_size)
        decoded.append(frame)
    slot[len(decoded) * len(video.regions) :] = 0  # leftovers of an earlier batch must not influence detections
    damaged = tuple(sorted(set(order.frames) - set(decoded)))
    return BatchDecoded(tuple(decoded), tuple(reader.times[decoded].tolist()), damaged)


class HostCutter:
    """Reads and resizes in host memory."""

    def __init__(self, threads: int):
        self._threads = threads

    def open(self, video: VideoPlan) -> VideoReader:
        """Open a video."""
        return VideoReader(video.path, video.decoder, video.index_folder, threads=self._threads)

    def read(self, reader: VideoReader, frame: int) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB."""
        return next(reader.stream(frame, frame + 1, 1))[0]

    def resize(self, picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return the picture at (width, height)."""
        return resize(picture, size)


def _key_frames(video: VideoPlan) -> np.ndarray:
    index = load_index(video.path, video.index_folder)
    return index.pts.searchsorted(index.key_pts).astype(np.int64)
