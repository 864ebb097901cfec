"""Propagation of outlines through the video: one thread, with progress, pause and stop; each frame is saved at once.

Propagation stops before the next frame that a person drew or accepted. Between two such frames it runs from both ends,
and where the two results differ, the outline is interpolated by the distance to either end. So a correction changes the
frames up to the neighbouring labelled ones, and fades towards them (after MiVOS, Cheng et al. 2021).
"""

import logging
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from backend.masks.objects import MaskOrigin
from backend.video.frame_cache import CachedFrames
from backend.video.reader import VideoReader
from segannot.engines.base import Engine, LabelledFrame, PropagatedFrame
from segannot.mask_edits import box_of, signed_distance
from segannot.store import AnnotationStore, Confidence

UNSURE = 0.45  # confidence below which a frame is marked as uncertain
BLOCK = 48  # frames decoded at once in backward propagation, fewer if they are large
BLOCK_BYTES = 200 * 1024**2
MAX_FUSED = 1000  # frames before a labelled one that are also propagated back from it: a few kB of memory each

log = logging.getLogger(__name__)


class Propagation(threading.Thread):
    """Propagates objects ``numbers`` from frame ``start`` to each of ``ends`` (included), as one act."""

    def __init__(self, store: AnnotationStore, source: CachedFrames, engine: Engine, start: int, ends: Sequence[int],
                 numbers: Sequence[int], key: str = ""):  # fmt: skip
        super().__init__(daemon=True, name="propagation")
        self._store, self._source, self._engine, self._numbers = store, source, engine, list(numbers)
        self._passes = [_pass_to(start, end, store.seen_by_a_person()) for end in ends]
        self.total = sum(each.n_steps for each in self._passes)
        self.done, self.state, self.problem, self.frame = 0, "running", "", start
        self.seconds = 0.0
        self._running, self._stopped = threading.Event(), threading.Event()
        self._running.set()
        self._act = store.begin("propagate", key=key)

    def facts(self) -> dict:
        """Return the progress, for the page; ``rate`` in frames per s."""
        return {
            "state": self.state, "done": self.done, "total": self.total, "frame": self.frame, "problem": self.problem,
            "rate": self.done / self.seconds if self.seconds and self.done else None,
        }  # fmt: skip

    def pause(self) -> None:
        """Pause before the next frame."""
        if self.state == "running":
            self.state = "paused"
            self._running.clear()

    def resume(self) -> None:
        """Continue after a pause."""
        if self.state == "paused":
            self.state = "running"
            self._running.set()

    def stop(self) -> None:
        """Stop after the current frame; finished frames stay."""
        self._stopped.set()
        self._running.set()

    def run(self) -> None:
        """Propagate; an error is kept in ``problem``."""
        try:
            self._propagate_all()
            self.state = "stopped" if self._stopped.is_set() and self.done < self.total else "done"
        except Exception as error:
            log.exception("propagation failed")
            self.state, self.problem = "failed", " ".join(f"{error}".split()) or type(error).__name__
        finally:
            self._act.end()

    def _propagate_all(self) -> None:
        order = [entry.id for entry in sorted(self._store.objects, key=lambda entry: entry.order)]
        began = time.monotonic()
        with self._source.open_reader() as reader:
            for part in self._passes:
                from_goal = self._from_goal(reader, part, order)
                for result in self._propagated(reader, part.start, part.frames, self._numbers, order):
                    self._save(result, part, from_goal.pop(result.frame, None), order)
                    self.done, self.frame = self.done + 1, result.frame
                    self.seconds = time.monotonic() - began

    def _propagated(self, reader: VideoReader, start: int, frames: range, numbers: Sequence[int], order: Sequence[int]
                 ) -> Iterator[PropagatedFrame]:  # fmt: skip
        first = LabelledFrame(start, reader.read([start])[0], self._store.labels(start))
        return self._engine.propagate(first, self._images(reader, frames), numbers, order)

    def _images(self, reader: VideoReader, frames: range) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (frame, RGB) in either direction, decoded in blocks if backward; ends when propagation is stopped."""
        width, height = reader.size
        block = 1 if frames.step > 0 else int(np.clip(BLOCK_BYTES // (3 * width * height), 1, BLOCK))
        for first in range(0, len(frames), block):
            numbers = frames[first : first + block]
            for frame, picture in zip(numbers, reader.read(numbers), strict=True):
                self._running.wait()
                if self._stopped.is_set():
                    return
                yield frame, picture

    def _from_goal(self, reader: VideoReader, part: "Pass", order: Sequence[int]) -> dict[int, "CompressedLabels"]:
        """Propagate the goal's outlines back towards the start; return compressed label maps by frame."""
        if part.goal is None or not len(part.backward):
            return {}
        labels = self._store.labels(part.goal)
        present = [number for number in self._numbers if (labels == number).any()]
        by_frame = {}
        for result in self._propagated(reader, part.goal, part.backward, present, order) if present else ():
            by_frame[result.frame] = CompressedLabels.of(result.labels)
            self.done, self.frame = self.done + 1, result.frame
        return by_frame

    def _save(
        self, result: PropagatedFrame, part: "Pass", from_goal: "CompressedLabels | None", order: Sequence[int]
    ) -> None:
        """Fuse the result with that from the other end, and save the frame."""
        store = self._store
        labels, old = result.labels, store.labels(result.frame)
        doubts: Confidence = {n: round(c, 2) for n, c in result.confidence.items() if c < UNSURE}
        if from_goal is not None:
            labels, agreement = fuse(labels, from_goal.labels(), part.nearness(result.frame), self._numbers, order)
            doubts |= {number: round(value, 2) for number, value in agreement.items() if value < UNSURE}
        doubts |= {n: c for n, c in store.confidence.get(result.frame, {}).items() if n not in self._numbers}
        gone = np.arange(256, dtype=np.uint8)
        gone[self._numbers] = 0
        kept = cv2.LUT(old, gone)
        locked = {entry.id for entry in store.objects if entry.locked}
        self._act.set_frame(result.frame, _composed(kept, labels, order, locked), MaskOrigin.PROPAGATED, doubts)


@dataclass(frozen=True)
class Pass:
    """One direction from ``start``: ``frames`` to compute, in order, and ``goal``: the labelled frame that ends it."""

    start: int
    frames: range
    goal: int | None

    @property
    def backward(self) -> range:
        """The frames that are also propagated back from the goal, nearest to it first."""
        return self.frames[::-1][:MAX_FUSED]

    @property
    def n_steps(self) -> int:
        """Number of frames to compute, in both directions."""
        return len(self.frames) + (len(self.backward) if self.goal is not None else 0)

    def nearness(self, frame: int) -> float:
        """Return the weight of the goal's outlines: 0 at the start (or out of its reach) to 1 at the goal."""
        return 1 - abs(self.goal - frame) / (len(self.backward) + 1)


def _pass_to(start: int, end: int, labelled: Sequence[int]) -> Pass:
    """Return the pass to ``end``, or to the nearest of the ``labelled`` frames before it."""
    step = 1 if end > start else -1
    between = [frame for frame in labelled if 0 < (frame - start) * step <= (end - start) * step]
    goal = min(between, key=lambda frame: abs(frame - start), default=None)
    return Pass(start, range(start + step, end + step if goal is None else goal, step), goal)


class CompressedLabels(NamedTuple):
    """A label map, compressed."""

    shape: tuple[int, int]
    data: bytes

    @classmethod
    def of(cls, labels: np.ndarray) -> "CompressedLabels":
        """Compress (H, W) uint8."""
        return cls(labels.shape, zlib.compress(labels.tobytes(), 1))

    def labels(self) -> np.ndarray:
        """Return (H, W) uint8."""
        return np.frombuffer(zlib.decompress(self.data), np.uint8).reshape(self.shape)


def fuse(
    first: np.ndarray, second: np.ndarray, weight: float, numbers: Sequence[int], order: Sequence[int]
) -> tuple[np.ndarray, dict[int, float]]:
    """Return the interpolation of two label maps, and the IoU of the two by object.

    Where they differ, the signed distances to both outlines are averaged; ``weight`` (0 to 1) is that of ``second``. So
    the outline moves from one to the other along a pass.
    """
    result, agreement = np.zeros_like(first), {}
    for number in sorted(numbers, key=order.index):
        one, two = first == number, second == number
        either = one | two
        if not either.any():
            continue
        agreement[number] = float((one & two).sum() / either.sum())
        if not one.any() or not two.any():
            mask = one if weight < 0.5 else two
        else:
            rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
            part = np.s_[max(0, rows[0] - 2) : rows[-1] + 3, max(0, columns[0] - 2) : columns[-1] + 3]
            depth = (1 - weight) * signed_distance(one[part]) + weight * signed_distance(two[part])
            mask = np.zeros_like(one)
            mask[part] = depth > 0
        result[mask] = number
    return result, agreement


def _composed(kept: np.ndarray, new: np.ndarray, order: Sequence[int], locked: set[int]) -> np.ndarray:
    """Insert the objects of ``new`` into ``kept``, in place, by depth order; locked objects keep their pixels."""
    rank = np.zeros(256, np.int32)
    rank[list(order)] = np.arange(1, len(order) + 1)
    rank[list(locked)] = 1000
    rank[0] = 0
    box = box_of(new > 0)
    if box is not None:
        part = np.s_[box[1] : box[3], box[0] : box[2]]
        above = (new[part] > 0) & (rank[new[part]] >= rank[kept[part]])
        kept[part][above] = new[part][above]
    return kept
