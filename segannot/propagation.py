"""Carrying outlines on through the video: one thread, with progress, pause and stop; each frame is saved at once.

What is carried stops before the next frame that a person drew or accepted. Between two such frames the stretch is
carried from both ends, and where the two differ the outline lies between them by how near either end is. A correction
so changes the stretch up to the neighbouring corrected frames and fades towards them (after MiVOS, Cheng et al. 2021).
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
from segannot.engines.base import Carried, Engine, View
from segannot.mask_edits import box_of, signed_distance
from segannot.store import AnnotationStore, Confidence

UNSURE = 0.45  # confidence below which a frame is marked
BLOCK = 48  # frames decoded at once when carrying backward, fewer if they are large
BLOCK_BYTES = 200 * 1024**2
FUSED = 1000  # frames before a labelled one that are carried from there, too: a few kilobytes of memory each

log = logging.getLogger(__name__)


class Propagation(threading.Thread):
    """Carries ``numbers`` from frame ``start`` to each of ``ends``, which are included, as one act."""

    def __init__(self, store: AnnotationStore, source: CachedFrames, engine: Engine, start: int, ends: Sequence[int],
                 numbers: Sequence[int], key: str = ""):  # fmt: skip
        super().__init__(daemon=True, name="propagation")
        self._store, self._source, self._engine, self._numbers = store, source, engine, list(numbers)
        self._legs = [_leg(start, end, store.seen_by_a_person()) for end in ends]
        self.total = sum(leg.frames for leg in self._legs)
        self.done, self.state, self.problem, self.at = 0, "running", "", start
        self.seconds = 0.0
        self._go, self._stopped = threading.Event(), threading.Event()
        self._go.set()
        self._act = store.begin("propagate", key=key)

    def facts(self) -> dict:
        """Return how far it is, for the page."""
        return {
            "state": self.state, "done": self.done, "total": self.total, "frame": self.at, "problem": self.problem,
            "rate": self.done / self.seconds if self.seconds and self.done else None,
        }  # fmt: skip

    def pause(self) -> None:
        """Wait before the next frame."""
        if self.state == "running":
            self.state = "paused"
            self._go.clear()

    def resume(self) -> None:
        """Go on."""
        if self.state == "paused":
            self.state = "running"
            self._go.set()

    def stop(self) -> None:
        """End after the frame at work; what is done stays."""
        self._stopped.set()
        self._go.set()

    def run(self) -> None:
        """Do it all; what goes wrong is kept in ``problem``."""
        try:
            self._carry()
            self.state = "stopped" if self._stopped.is_set() and self.done < self.total else "done"
        except Exception as error:
            log.exception("propagation failed")
            self.state, self.problem = "failed", " ".join(f"{error}".split()) or type(error).__name__
        finally:
            self._act.end()

    def _carry(self) -> None:
        order = [entry.id for entry in sorted(self._store.objects, key=lambda entry: entry.order)]
        began = time.monotonic()
        with self._source.open_reader() as reader:
            for leg in self._legs:
                far = self._from_goal(reader, leg, order)
                for carried in self._carried(reader, leg.start, leg.onward, self._numbers, order):
                    self._save(carried, leg, far.pop(carried.frame, None), order)
                    self.done, self.at = self.done + 1, carried.frame
                    self.seconds = time.monotonic() - began

    def _carried(self, reader: VideoReader, start: int, frames: range, numbers: Sequence[int], order: Sequence[int]
                 ) -> Iterator[Carried]:  # fmt: skip
        view = View(start, reader.read([start])[0], self._store.labels(start))
        return self._engine.propagate(view, self._pictures(reader, frames), numbers, order)

    def _pictures(self, reader: VideoReader, frames: range) -> Iterator[tuple[int, np.ndarray]]:
        """Yield frames in either direction, a block at a time when it goes backward; ends when it is stopped."""
        width, height = reader.size
        block = 1 if frames.step > 0 else int(np.clip(BLOCK_BYTES // (3 * width * height), 1, BLOCK))
        for first in range(0, len(frames), block):
            part = frames[first : first + block]
            for frame, picture in zip(part, reader.read(part), strict=True):
                self._go.wait()
                if self._stopped.is_set():
                    return
                yield frame, picture

    def _from_goal(self, reader: VideoReader, leg: "Leg", order: Sequence[int]) -> dict[int, "Packed"]:
        """Carry the other end's outlines back over the stretch; compressed label maps by frame."""
        if leg.goal is None or not len(leg.backward):
            return {}
        labels = self._store.labels(leg.goal)
        there = [number for number in self._numbers if (labels == number).any()]
        found = {}
        for carried in self._carried(reader, leg.goal, leg.backward, there, order) if there else ():
            found[carried.frame] = Packed.of(carried.labels)
            self.done, self.at = self.done + 1, carried.frame
        return found

    def _save(self, carried: Carried, leg: "Leg", far: "Packed | None", order: Sequence[int]) -> None:
        """Fuse with what comes from the other end, and write the frame."""
        store = self._store
        labels, old = carried.labels, store.labels(carried.frame)
        doubts: Confidence = {n: round(c, 2) for n, c in carried.confidence.items() if c < UNSURE}
        if far is not None:
            labels, agreement = fuse(labels, far.labels(), leg.nearness(carried.frame), self._numbers, order)
            doubts |= {number: round(value, 2) for number, value in agreement.items() if value < UNSURE}
        doubts |= {n: c for n, c in store.confidence.get(carried.frame, {}).items() if n not in self._numbers}
        gone = np.arange(256, dtype=np.uint8)
        gone[self._numbers] = 0
        kept = cv2.LUT(old, gone)
        locked = {entry.id for entry in store.objects if entry.locked}
        self._act.set_frame(carried.frame, _composed(kept, labels, order, locked), MaskOrigin.PROPAGATED, doubts)


@dataclass(frozen=True)
class Leg:
    """One way from ``start``: ``onward`` the frames to make, ``goal`` the labelled frame that ends it, if one does."""

    start: int
    onward: range
    goal: int | None

    @property
    def backward(self) -> range:
        """The frames that are also carried from the goal, nearest to it first."""
        return self.onward[::-1][:FUSED]

    @property
    def frames(self) -> int:
        """How many frames are to be computed."""
        return len(self.onward) + (len(self.backward) if self.goal is not None else 0)

    def nearness(self, frame: int) -> float:
        """Return 0 at the start (or where the goal does not reach) to 1 at the goal."""
        return 1 - abs(self.goal - frame) / (len(self.backward) + 1)


def _leg(start: int, end: int, people: Sequence[int]) -> Leg:
    """Return the way to ``end``, or up to the first frame before it that a person drew or accepted."""
    step = 1 if end > start else -1
    between = [each for each in people if 0 < (each - start) * step <= (end - start) * step]
    goal = min(between, key=lambda each: abs(each - start), default=None)
    return Leg(start, range(start + step, end + step if goal is None else goal, step), goal)


class Packed(NamedTuple):
    """A label map, compressed."""

    shape: tuple[int, int]
    data: bytes

    @classmethod
    def of(cls, labels: np.ndarray) -> "Packed":
        """Compress (H, W) uint8."""
        return cls(labels.shape, zlib.compress(labels.tobytes(), 1))

    def labels(self) -> np.ndarray:
        """Return (H, W) uint8."""
        return np.frombuffer(zlib.decompress(self.data), np.uint8).reshape(self.shape)


def fuse(
    first: np.ndarray, second: np.ndarray, weight: float, numbers: Sequence[int], order: Sequence[int]
) -> tuple[np.ndarray, dict[int, float]]:
    """Return a label map between two, and by object how well the two agree (IoU).

    Where they agree nothing changes. Where they differ, the distances to both outlines are averaged, ``weight``
    (0 to 1) being the share of ``second``: so the outline moves from one to the other along the stretch.
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
    """Put the objects of ``new`` into ``kept`` by who is in front, and return it; locked objects keep their pixels."""
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
