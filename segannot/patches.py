"""Changes of a label map: the bounding box of what changed, compressed, as text for the log."""

import base64
import zlib
from typing import NamedTuple

import numpy as np

LEVEL = 1  # of zlib: label maps shrink to a hundredth at any level


class Patch(NamedTuple):
    """``box`` = (x, y, width, height) px, and its labels before and after, zlib-compressed, in base64."""

    box: tuple[int, int, int, int]
    before: str
    after: str


def difference(before: np.ndarray, after: np.ndarray) -> Patch:
    """Return the change from one (H, W) uint8 label map to another; an empty box where they are equal."""
    changed = before != after
    rows = np.flatnonzero(changed.any(axis=1))
    if not len(rows):
        return Patch((0, 0, 0, 0), "", "")
    y, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(changed[y:bottom].any(axis=0))
    x, right = int(columns[0]), int(columns[-1]) + 1
    window = np.s_[y:bottom, x:right]
    return Patch((x, y, right - x, bottom - y), _compressed(before[window]), _compressed(after[window]))


def apply(labels: np.ndarray, box: tuple[int, int, int, int], compressed: str) -> None:
    """Write one side of a patch into ``labels``, in place; idempotent."""
    x, y, width, height = box
    if width and height:
        values = np.frombuffer(zlib.decompress(base64.b64decode(compressed)), np.uint8)
        labels[y : y + height, x : x + width] = values.reshape(height, width)


def _compressed(labels: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(labels).tobytes(), LEVEL)).decode()
