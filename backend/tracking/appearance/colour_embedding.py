"""What a bird looks like in a few numbers, without training: colour of its parts, and shape."""

import cv2
import numpy as np

from backend.tracking.appearance.crops import Cutout

PARTS = 3  # upper, middle and lower third of the bird's pixels, whatever its pose and side
QUANTILES = (10, 50, 90)
SIZE = 4 * (PARTS + 1) + len(QUANTILES) + 2


def describe(cutout: Cutout, light: np.ndarray) -> np.ndarray:
    """Return (SIZE,) float32: colours in CIE Lab against the mean of the picture, in hundreds, then shape.

    Mean L, a, b and spread of L of the whole bird and of its `PARTS`, upper to lower; `QUANTILES` of L; log of width by
    height; share of the box that is bird. ``light`` is the mean RGB (3,) of the picture: it takes off what the light
    does to all.
    """
    lab = _lab(cutout.rgb)[cutout.own] - _lab(light.reshape(1, 1, 3).astype(np.float32).round().astype(np.uint8))[0, 0]
    rows = np.nonzero(cutout.own)[0]
    order = np.argsort(rows, kind="stable")
    colours = [value for part in (order, *np.array_split(order, PARTS)) for value in _colour(lab[part])]
    height, width = cutout.own.shape
    shape = [np.log(width / height), cutout.own.mean()]
    return np.array([*colours, *np.percentile(lab[:, 0], QUANTILES) / 100, *shape], np.float32)


def _colour(lab: np.ndarray) -> tuple[float, ...]:
    if not len(lab):
        return (0.0, 0.0, 0.0, 0.0)
    return (*(lab.mean(axis=0) / 100), lab[:, 0].std() / 100)


def _lab(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(rgb, np.float32) / 255, cv2.COLOR_RGB2LAB)
