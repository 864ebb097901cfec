"""What changed in a label map: the smallest rectangle that holds the change, compressed, as text for the log."""

import base64
import zlib
from typing import NamedTuple

import numpy as np

LEVEL = 1  # label maps shrink to a hundredth at any level


class Patch(NamedTuple):
    """``box`` = (x, y, width, height) px, and its labels before and after as base64 of zlib."""

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
    part = np.s_[y:bottom, x:right]
    return Patch((x, y, right - x, bottom - y), _packed(before[part]), _packed(after[part]))


def apply(labels: np.ndarray, box: tuple[int, int, int, int], packed: str) -> None:
    """Write one side of a patch into ``labels``. Doing it twice does no harm."""
    x, y, width, height = box
    if width and height:
        values = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)
        labels[y : y + height, x : x + width] = values.reshape(height, width)


def _packed(labels: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(labels).tobytes(), LEVEL)).decode()
