"""COCO run-length encoding: of all objects of a label map in one pass, and back; area, box and IoU from the runs alone.

A mask is the ``counts`` string of COCO (bytes), equal byte for byte to what ``pycocotools.mask.encode`` gives: the
mask is read column by column, runs of 0 and 1 alternate beginning with 0, and from the fourth on a count is written
as its difference to the one two before, in groups of five bits, low bits first, as the characters from ``0`` (48) on.
Height and width are kept elsewhere (``size`` in COCO files).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.project.kernels import kernel

MAX_ID = 255
WORD = 8  # columns that are looked at together


@dataclass(frozen=True)
class LabelRuns:
    """The runs of all objects of one label map, ordered by object id.

    ``ids`` (N,) uint8, ascending, without 0. Object ``k`` has the runs ``offsets[k]:offsets[k + 1]`` of ``starts``
    and ``lengths`` (R,) int64: positions in the column-major order of the picture (``x * height + y``) and pixels.
    """

    height: int
    width: int
    ids: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def areas(self) -> np.ndarray:
        """Return the areas, (N,) int64, pixels."""
        return np.add.reduceat(self.lengths, self.offsets[:-1]) if len(self) else np.zeros(0, np.int64)

    def boxes(self) -> np.ndarray:
        """Return the boxes, (N, 4) float32 ``x1 y1 x2 y2``, px; x2 and y2 lie behind the last column and row."""
        return _boxes(self.offsets, self.starts, self.lengths, self.height)

    def counts(self, k: int) -> bytes:
        """Return the COCO counts of object ``k`` (its place in ``ids``, not its id)."""
        part = slice(self.offsets[k], self.offsets[k + 1])
        return _counts(self.starts[part], self.lengths[part], self.height * self.width)


def label_runs(labels: np.ndarray) -> LabelRuns:
    """Find the runs of every object of a label map.

    Parameters
    ----------
    labels
        (H, W) uint8 or bool, row-major; 0 is background, every other value one object.
    """
    height, width = labels.shape
    labels = labels.view(np.uint8) if labels.dtype == bool else labels
    if labels.dtype != np.uint8:
        raise TypeError(f"a label map is uint8 or bool, not {labels.dtype}")
    if width % WORD or not labels.flags.c_contiguous:
        padded = np.zeros((height, -(-width // WORD) * WORD), np.uint8)  # columns of background change no run
        padded[:, :width] = labels
        labels = padded
    positions, values = _changes(labels, labels.view("<u8"), height * width)
    return LabelRuns(height, width, *_by_object(positions, values, height * width))


def encode(mask: np.ndarray) -> bytes:
    """Return the counts of one mask, (H, W) bool or uint8 (not zero is inside)."""
    runs = label_runs(np.ascontiguousarray(mask != 0))
    return runs.counts(0) if len(runs) else _counts(runs.starts, runs.lengths, mask.size)


def decode(counts: bytes, height: int, width: int) -> np.ndarray:
    """Return the mask as (H, W) bool. ValueError if the counts are damaged or belong to another size."""
    return paint([counts], height, width).view(bool)


def paint(masks: Sequence[bytes], height: int, width: int) -> np.ndarray:
    """Return a label map, (H, W) uint8: the ``k``-th mask has the value ``k + 1``, later ones cover earlier ones.

    Raises
    ------
    ValueError
        If there are more than 255 masks, or counts are damaged or belong to another size.
    """
    if len(masks) > MAX_ID:
        raise ValueError(f"{len(masks)} masks do not fit into one label map; at most {MAX_ID}")
    labels = np.zeros((height, width), np.uint8)
    for k, counts in enumerate(masks):
        parsed = _parse(counts)
        if parsed.sum() != height * width:
            raise ValueError(f"the counts cover {parsed.sum()} pixels, the picture has {width} x {height}")
        _paint(labels, *_inside(parsed), k + 1)
    return labels


def checked(counts: Any, height: int, width: int) -> bytes:
    """Return the counts of a COCO file, which may be compressed (text) or not (list of integers), as ours.

    Raises
    ------
    ValueError
        If they are damaged or belong to another size.
    """
    if isinstance(counts, list):
        parsed = np.array(counts, np.int64) if counts else np.zeros(0, np.int64)
    elif isinstance(counts, str | bytes):
        parsed = _parse(counts.encode("ascii") if isinstance(counts, str) else counts)
    else:
        raise ValueError("there are no counts")
    if parsed.ndim != 1 or (parsed < 0).any() or parsed.sum() != height * width:
        raise ValueError(f"the counts do not cover the {width} x {height} pixels of the picture")
    return _counts(*_without_gaps(*_inside(parsed)), height * width)


def runs_of(counts: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return starts and lengths of the runs of 1, (R,) int64 each, in column-major positions."""
    return _inside(_parse(counts))


def area(counts: bytes) -> int:
    """Return the number of pixels inside."""
    return int(_parse(counts)[1::2].sum())


def box(counts: bytes, height: int) -> np.ndarray:
    """Return the box, (4,) float32 ``x1 y1 x2 y2``, px, x2 and y2 behind the last pixel; zeros for an empty mask."""
    starts, lengths = runs_of(counts)
    return _boxes(np.array([0, len(starts)]), starts, lengths, height)[0]


def iou(first: Sequence[bytes], second: Sequence[bytes], height: int) -> np.ndarray:
    """Return the intersection over union of every pair, (len(first), len(second)) float64; 0 where both are empty.

    Pairs whose boxes do not meet are not compared.
    """
    return iou_of_runs(_joined(first, height), _joined(second, height))


Joined = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def iou_of_runs(first: Joined, second: Joined) -> np.ndarray:
    """Do as `iou` does with ``(offsets, starts, lengths, boxes)``, as `LabelRuns` holds them."""
    return _iou(*first, *second)


def _joined(masks: Sequence[bytes], height: int) -> Joined:
    runs = [runs_of(counts) for counts in masks]
    offsets = np.cumsum([0, *(len(starts) for starts, _ in runs)]).astype(np.int64)
    starts = np.concatenate([np.zeros(0, np.int64), *(starts for starts, _ in runs)])
    lengths = np.concatenate([np.zeros(0, np.int64), *(lengths for _, lengths in runs)])
    return offsets, starts, lengths, _boxes(offsets, starts, lengths, height)


def _inside(parsed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lengths = parsed[1::2]
    starts = np.cumsum(parsed)[1::2] - lengths
    inside = lengths > 0  # other writers leave empty runs in
    return starts[inside], lengths[inside]


def _without_gaps(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the runs with neighbours that touch made one (other writers leave empty runs between them)."""
    first = np.ones(len(starts), bool)
    first[1:] = starts[1:] != starts[:-1] + lengths[:-1]
    if first.all():
        return starts, lengths
    return starts[first], np.add.reduceat(lengths, np.flatnonzero(first))


def _parse(counts: bytes) -> np.ndarray:
    values = _read_counts(np.frombuffer(counts, np.uint8))
    if len(values) and values.min() < 0:
        raise ValueError("the counts of a mask are damaged: a run is negative or cut off")
    return values


def _counts(starts: np.ndarray, lengths: np.ndarray, total: int) -> bytes:
    buffer = np.empty(14 * (2 * len(starts) + 2), np.uint8)
    return buffer[: write_counts(starts, lengths, total, buffer)].tobytes()


@kernel(nogil=True)
def write_counts(starts: np.ndarray, lengths: np.ndarray, total: int, out: np.ndarray) -> int:
    """Write the COCO counts of sorted, separate runs into ``out`` (uint8) and return how many bytes they take.

    ``total`` is height times width; ``out`` needs 14 bytes a count, and there are at most two counts a run and one
    more.
    """
    size = 0
    end, before, last = 0, 0, 0  # behind the last run; the counts two and one before
    number = 0
    for k in range(len(starts) + 1):
        gap = (starts[k] if k < len(starts) else total) - end
        if k < len(starts) or gap > 0 or number == 0:
            size = _write_count(gap - (before if number > 2 else 0), out, size)
            before, last, number = last, gap, number + 1
        if k < len(starts):
            size = _write_count(lengths[k] - (before if number > 2 else 0), out, size)
            before, last, number = last, lengths[k], number + 1
            end = starts[k] + lengths[k]
    return size


@kernel(nogil=True)
def _write_count(value: int, out: np.ndarray, size: int) -> int:
    more = True
    while more:
        group = value & 0x1F
        value >>= 5
        more = value != -1 if group & 0x10 else value != 0
        out[size] = 48 + (group | (0x20 if more else 0))
        size += 1
    return size


@kernel(nogil=True)
def _read_counts(text: np.ndarray) -> np.ndarray:
    counts = np.empty(len(text), np.int64)
    number, value, shift = 0, 0, 0
    for character in text:
        group = np.int64(character) - 48
        if group < 0 or group > 63 or shift > 55:
            return np.full(1, -1, np.int64)
        value |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        if group & 0x10:
            value |= np.int64(-1) << shift
        counts[number] = value + (counts[number - 2] if number > 2 else 0)
        number, value, shift = number + 1, 0, 0
    return counts[:number] if shift == 0 else np.full(1, -1, np.int64)


@kernel(nogil=True)
def _changes(labels: np.ndarray, words: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Return every position, in column-major order, where the label changes, and the label from there on.

    Eight columns are walked down together as one 64-bit word; rows that equal the row above, nearly all, cost one
    comparison.
    """
    height = labels.shape[0]
    positions = np.empty(4096, np.int64)
    values = np.empty(4096, np.uint8)
    found = 0
    rows = np.empty((WORD, height), np.int64)
    filled = np.zeros(WORD, np.int64)
    current = np.uint8(0)
    for strip in range(words.shape[1]):
        filled[:] = 0
        above = np.uint64(0)
        for y in range(height):
            word = words[y, strip]
            if word == above:
                continue
            differs = word ^ above
            for column in range(WORD):
                if (differs >> np.uint64(8 * column)) & np.uint64(255):
                    rows[column, filled[column]] = y
                    filled[column] += 1
            above = word
        while found + filled.sum() + WORD > len(positions):
            positions = np.concatenate((positions, positions))
            values = np.concatenate((values, values))
        for column in range(WORD):
            x = strip * WORD + column
            if height and labels[0, x] != current and x * height < total:
                current = labels[0, x]
                positions[found], values[found] = x * height, current
                found += 1
            for k in range(filled[column]):
                y = rows[column, k]
                if y:
                    current = labels[y, x]
                    positions[found], values[found] = x * height + y, current
                    found += 1
    return positions[:found], values[:found]


@kernel(nogil=True)
def _by_object(
    positions: np.ndarray, values: np.ndarray, total: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sort the stretches between changes by object: ids, offsets, starts, lengths."""
    number = np.zeros(MAX_ID + 1, np.int64)
    for value in values:
        number[value] += 1
    number[0] = 0
    ids = np.flatnonzero(number).astype(np.uint8)
    offsets = np.zeros(len(ids) + 1, np.int64)
    place = np.zeros(MAX_ID + 1, np.int64)
    for k in range(len(ids)):
        place[ids[k]] = offsets[k]
        offsets[k + 1] = offsets[k] + number[ids[k]]
    starts = np.empty(offsets[-1], np.int64)
    lengths = np.empty(offsets[-1], np.int64)
    for k in range(len(positions)):
        value = values[k]
        if value:
            end = positions[k + 1] if k + 1 < len(positions) else total
            starts[place[value]], lengths[place[value]] = positions[k], end - positions[k]
            place[value] += 1
    return ids, offsets, starts, lengths


@kernel(nogil=True)
def _boxes(offsets: np.ndarray, starts: np.ndarray, lengths: np.ndarray, height: int) -> np.ndarray:
    boxes = np.zeros((len(offsets) - 1, 4), np.float32)
    for k in range(len(boxes)):
        if offsets[k] == offsets[k + 1]:
            continue
        x1, x2 = starts[offsets[k]] // height, (starts[offsets[k + 1] - 1] + lengths[offsets[k + 1] - 1] - 1) // height
        y1, y2 = height, 0
        for run in range(offsets[k], offsets[k + 1]):
            top = starts[run] % height
            bottom = top + lengths[run] - 1
            if bottom >= height:  # the run goes over into the next column
                top, bottom = 0, height - 1
            y1, y2 = min(y1, top), max(y2, bottom)
        boxes[k] = x1, y1, x2 + 1, y2 + 1
    return boxes


@kernel(nogil=True)
def _iou(
    offsets_a: np.ndarray,
    starts_a: np.ndarray,
    lengths_a: np.ndarray,
    boxes_a: np.ndarray,
    offsets_b: np.ndarray,
    starts_b: np.ndarray,
    lengths_b: np.ndarray,
    boxes_b: np.ndarray,
) -> np.ndarray:
    result = np.zeros((len(boxes_a), len(boxes_b)))
    areas_b = np.array([lengths_b[offsets_b[j] : offsets_b[j + 1]].sum() for j in range(len(boxes_b))])
    for i in range(len(boxes_a)):
        area_a = lengths_a[offsets_a[i] : offsets_a[i + 1]].sum()
        for j in range(len(boxes_b)):
            apart = (boxes_a[i, 0] >= boxes_b[j, 2]) | (boxes_b[j, 0] >= boxes_a[i, 2])
            apart |= (boxes_a[i, 1] >= boxes_b[j, 3]) | (boxes_b[j, 1] >= boxes_a[i, 3])
            if apart:
                continue
            a, b, common = offsets_a[i], offsets_b[j], 0
            while a < offsets_a[i + 1] and b < offsets_b[j + 1]:
                end_a, end_b = starts_a[a] + lengths_a[a], starts_b[b] + lengths_b[b]
                common += max(0, min(end_a, end_b) - max(starts_a[a], starts_b[b]))
                if end_a < end_b:
                    a += 1
                else:
                    b += 1
            if common:
                result[i, j] = common / (area_a + areas_b[j] - common)
    return result


@kernel(nogil=True)
def _paint(labels: np.ndarray, starts: np.ndarray, lengths: np.ndarray, value: int) -> None:
    height = labels.shape[0]
    for k in range(len(starts)):
        x, y = starts[k] // height, starts[k] % height
        for _ in range(lengths[k]):
            labels[y, x] = value
            y += 1
            if y == height:
                x, y = x + 1, 0
