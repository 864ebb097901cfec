"""What a detector does to the truth: misses, false birds, merged, split and jittered masks.

A detector fails for as long as the cause lasts: a bird that is half hidden is missed for a while, two bodies that
overlap stay one mask until they part. So every failure has a slow random number of its own that decides when it
happens; how often follows from what is seen: visible share, area, and how much two boxes overlap.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.signal import lfilter
from scipy.special import expit, ndtr

from backend.lek.sketch import BACK, CUT_SHORT, FRONT, WHOLE, draw_all, ellipse
from backend.pipeline.chunk_tables import Instances

LEAST_AREA_PX2 = 20  # smaller masks are not detected
TOUCH = 0.08  # overlap (IoU of boxes) below which two birds never become one mask


@dataclass(frozen=True)
class DetectorNoise:
    """How often and how long a detector fails. Rates are shares of frames, times are seconds."""

    miss: float  # of a bird in full sight
    miss_hidden: float  # of a bird of which a third is seen
    miss_s: float
    merge: float  # of two birds whose boxes overlap fully
    merge_at: float  # overlap (IoU of boxes) at which half of that is reached
    merge_s: float
    suppress: float  # of the farther of two birds whose boxes overlap fully
    suppress_at: float
    split: float
    cut_short: float  # a head, legs or tail is missing
    part_s: float
    false_spots: int  # places that now and then look like a bird
    false: float  # share of the time that each does
    false_s: float
    jitter: float  # of shift and stretch, shares of the box's sides
    jitter_s: float


# Fixed before the tracker was written, and to stay as they are, like the presets of the lek.
NOISE = {
    "none": DetectorNoise(0, 0, 1, 0, 0.5, 1, 0, 0.5, 0, 0, 1, 0, 0, 1, 0, 1),
    "normal": DetectorNoise(
        miss=0.01,
        miss_hidden=0.25,
        miss_s=0.25,
        merge=0.35,
        merge_at=0.35,
        merge_s=0.4,
        suppress=0.5,
        suppress_at=0.5,
        split=0.003,
        cut_short=0.02,
        part_s=0.3,
        false_spots=4,
        false=0.02,
        false_s=1.0,
        jitter=0.02,
        jitter_s=0.2,
    ),
    "hard": DetectorNoise(
        miss=0.03,
        miss_hidden=0.5,
        miss_s=0.4,
        merge=0.6,
        merge_at=0.25,
        merge_s=0.6,
        suppress=0.7,
        suppress_at=0.4,
        split=0.01,
        cut_short=0.05,
        part_s=0.4,
        false_spots=8,
        false=0.04,
        false_s=1.5,
        jitter=0.04,
        jitter_s=0.2,
    ),
}


@dataclass(frozen=True)
class TruthOfChunk:
    """One chunk of truth: F frames, n birds. ``offsets`` and ``codes`` hold the run lengths of the F * n rows."""

    frame: np.ndarray  # (F,)
    boxes: np.ndarray  # (F, n, 4) px, NaN where not seen
    area: np.ndarray  # (F, n) visible px
    share: np.ndarray  # (F, n) of the silhouette that is visible
    offsets: np.ndarray  # (F n + 1,) int64
    codes: np.ndarray  # (bytes,) uint8


@dataclass(frozen=True)
class Sighting:
    """What the detector yields of a chunk, and the bird (from 1; 0: false) and second bird behind each detection."""

    instances: Instances
    bird: np.ndarray
    second: np.ndarray


@dataclass(frozen=True)
class _Plan:
    """Detections before they are drawn."""

    frame: np.ndarray  # (N,)
    members: np.ndarray  # (N, 2) rows of truth, -1: none
    parts: np.ndarray  # (N,)
    cut: np.ndarray  # (N,)
    warp: np.ndarray  # (N, 4)
    score: np.ndarray  # (N,)


class Detector:
    """Looks at chunk after chunk; what fails goes on failing over their borders."""

    def __init__(self, noise: DetectorNoise, size: tuple[int, int], birds: int, fps: float, seed: int):
        self.noise, self.size, self.n = noise, size, birds
        self.rng = np.random.default_rng([seed, 0x6C656B])

        def slow(shape: tuple[int, ...], seconds: float) -> _Slow:
            return _Slow(self.rng, shape, seconds * fps)

        self._missed = slow((birds,), noise.miss_s)
        self._merged = slow((birds, birds), noise.merge_s)
        self._suppressed = slow((birds, birds), noise.merge_s)
        self._split = slow((birds,), noise.part_s)
        self._short = slow((birds,), noise.part_s)
        self._cut = slow((birds,), 4 * noise.part_s)
        self._warp = slow((birds, 4), noise.jitter_s)
        self._score = slow((birds,), noise.miss_s)
        self._false = slow((noise.false_spots,), noise.false_s)
        self._spots = self.rng.random((noise.false_spots, 4))

    def look(self, truth: TruthOfChunk) -> Sighting:
        """Return the detections of a chunk that follows the one before."""
        plan = self._plan(truth)
        boxes, area, ends, codes = draw_all(
            plan.members,
            plan.parts,
            plan.cut,
            plan.warp,
            truth.offsets,
            truth.codes,
            truth.boxes.reshape(-1, 4),
            *self.size[::-1],
        )
        buffers = [None, pa.py_buffer(ends.astype(np.int32).tobytes()), pa.py_buffer(codes.tobytes())]
        false = self._false_birds(truth)
        nobody = np.zeros(len(false), np.int64)
        frame = np.concatenate([plan.frame, false.frame]).astype(np.int32)
        score = np.concatenate([plan.score, false.score]).astype(np.float32)
        boxes, area = np.concatenate([boxes, false.boxes]), np.concatenate([area, false.area_px2])
        rle = pa.concat_arrays([pa.Array.from_buffers(pa.binary(), len(plan.frame), buffers), false.rle])
        bird = np.concatenate([plan.members[:, 0] % self.n + 1, nobody])
        second = np.concatenate([np.where(plan.members[:, 1] >= 0, plan.members[:, 1] % self.n + 1, 0), nobody])
        keep = np.flatnonzero(area >= LEAST_AREA_PX2)
        keep = keep[np.lexsort((-score[keep], frame[keep]))]
        frame = frame[keep]
        number = (np.arange(len(frame)) - np.searchsorted(frame, frame)).astype(np.int32)
        found = Instances(
            frame, number, np.ones_like(number), score[keep], boxes[keep], area[keep], rle.take(pa.array(keep))
        )
        return Sighting(found, bird[keep], second[keep])

    def _plan(self, truth: TruthOfChunk) -> _Plan:
        """Decide which detections there are and what they show."""
        (frames, n), birds = truth.area.shape, np.arange(self.n)
        there, partner = self._there(truth)
        drawn = there & ((partner < 0) | (partner > birds))  # of two that are merged the first stands for both
        alone = there & (partner < 0)
        split = alone & self._split.below(frames, self.noise.split)
        short = alone & ~split & self._short.below(frames, self.noise.cut_short)
        row = np.arange(frames * n).reshape(frames, n)
        other = np.where(partner >= 0, row - birds + partner, -1)
        cut = np.tanh(self._cut.walk(frames))
        cut = np.where(short, 0.9 + 0.2 * cut, 0.5 * cut)
        warp = self._warp.walk(frames) * self.noise.jitter + np.array([0, 0, 1, 1])
        small = _small(truth.area)
        score = 0.97 - 0.5 * (1 - truth.share) ** 2 - 0.25 * small - 0.1 * np.maximum(0, self._score.walk(frames))
        score = np.clip(score - 0.25 * split - 0.1 * short, 0.1, 0.999)
        parts = np.where(split, FRONT, np.where(short, CUT_SHORT, WHOLE))
        first, again = np.nonzero(drawn), np.nonzero(split)

        def both(values: np.ndarray) -> np.ndarray:
            return np.concatenate([values[first], values[again]])

        is_again = np.arange(len(first[0]) + len(again[0])) >= len(first[0])
        return _Plan(
            truth.frame[np.concatenate([first[0], again[0]])],
            np.column_stack([both(row), both(other)]),
            np.where(is_again, BACK, both(parts)),
            both(cut),
            both(warp),
            both(score) - 0.05 * is_again,
        )

    def _there(self, truth: TruthOfChunk) -> tuple[np.ndarray, np.ndarray]:
        """Return which birds have a detection, and with whom they share it (-1: nobody), both (F, n)."""
        noise, frames, birds = self.noise, len(truth.area), np.arange(self.n)
        overlap = _box_ious(truth.boxes)
        hidden = np.clip((1 - truth.share) / 0.67, 0, 1) ** 1.5
        p_miss = noise.miss + (noise.miss_hidden - noise.miss) * hidden + 0.5 * _small(truth.area) * (noise.miss > 0)
        there = (truth.area >= LEAST_AREA_PX2) & ~self._missed.below(frames, p_miss)
        p_suppressed = noise.suppress * expit((overlap - noise.suppress_at) / 0.05) * (overlap > TOUCH)
        farther = truth.share[:, :, None] < truth.share[:, None, :]
        suppressed = self._suppressed.below(frames, p_suppressed) & farther & there[:, None, :]
        there &= ~np.any(suppressed, axis=2)
        p_merged = noise.merge * expit((overlap - noise.merge_at) / 0.06) * (overlap > TOUCH)
        merged = np.triu(self._merged.below(frames, p_merged), 1)
        merged |= merged.transpose(0, 2, 1)
        merged &= there[:, :, None] & there[:, None, :]
        partner = np.where(merged.any(axis=2), merged.argmax(axis=2), -1)
        mutual = np.take_along_axis(partner, np.maximum(partner, 0), 1) == birds
        return there, np.where((partner >= 0) & mutual, partner, -1)

    def _false_birds(self, truth: TruthOfChunk) -> Instances:
        """Return ellipses at the false spots, as large as the birds near them."""
        noise, frames = self.noise, len(truth.frame)
        on = self._false.below(frames, noise.false)
        frame, spot = np.nonzero(on)
        width, height = self.size
        middle = self._spots[spot][:, :2] * [0.9 * width, 0.75 * height] + [0.05 * width, 0.2 * height]
        sides = (0.5 + self._spots[spot][:, 2:]) * [0.045 * width, 0.065 * height]
        sides *= 1 + 0.1 * self.rng.standard_normal(sides.shape)
        middle += 1.0 * self.rng.standard_normal(middle.shape)
        boxes = np.column_stack([middle - sides / 2, middle + sides / 2]).round().clip(0, [width, height] * 2)
        codes, area = [], np.zeros(len(boxes), np.int32)
        for k, box in enumerate(boxes.astype(int)):
            code, area[k] = ellipse(box, width, height)
            codes.append(code.tobytes())
        score = np.clip(0.5 + 0.15 * self.rng.standard_normal(len(frame)), 0.1, 0.9)
        return Instances(
            truth.frame[frame],
            np.zeros(len(frame), np.int32),
            np.ones(len(frame), np.int32),
            score.astype(np.float32),
            boxes.astype(np.float32),
            area,
            pa.array(codes, pa.binary()),
        )


class _Slow:
    """Unit noise that forgets over some frames, chunk after chunk."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], frames: float):
        self._rng, self._keep = rng, float(np.exp(-1 / frames))
        self._last = rng.standard_normal((1, *shape))

    def walk(self, frames: int) -> np.ndarray:
        """Return (frames, *shape) float64."""
        fresh = np.sqrt(1 - self._keep**2) * self._rng.standard_normal((frames, *self._last.shape[1:]))
        walked, _ = lfilter([1], [1, -self._keep], fresh, axis=0, zi=self._keep * self._last)
        self._last = walked[-1:]
        return walked

    def below(self, frames: int, p: np.ndarray | float) -> np.ndarray:
        """Return (frames, *shape) bool, true in the share ``p`` of the time, in runs."""
        return ndtr(self.walk(frames)) < p


def _box_ious(boxes: np.ndarray) -> np.ndarray:
    """Return (F, n, n) IoU of (F, n, 4) boxes; 0 where one is not seen, and of a bird with itself."""
    a, b = boxes[:, :, None], boxes[:, None]
    sides = np.maximum(0, np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]))
    common = sides[..., 0] * sides[..., 1]
    area = np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
    iou = np.nan_to_num(common / (area[:, :, None] + area[:, None] - common))
    iou[:, np.arange(boxes.shape[1]), np.arange(boxes.shape[1])] = 0
    return iou


def _small(area: np.ndarray) -> np.ndarray:
    """Return how much a bird is too small to be seen well, 0 to 1."""
    return expit((60 - area) / 15.0)
