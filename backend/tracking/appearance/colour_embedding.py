"""Appearance embedding without training: colours of body parts, and shape."""

import cv2
import numpy as np

from backend.tracking.appearance.crops import Crop

PARTS = 3  # upper, middle and lower third of the bird's pixels, whatever its pose and side
QUANTILES = (10, 50, 90)  # of lightness, percent
SIZE = 4 * (PARTS + 1) + len(QUANTILES) + 2  # numbers of an embedding


def colour_embedding(crop: Crop, mean_rgb: np.ndarray) -> np.ndarray:
    """Return the embedding of a crop, (SIZE,) float32: CIE Lab colours relative to the frame's mean, then shape.

    Mean L, a, b and standard deviation of L of the whole bird and of its `PARTS`, upper to lower; `QUANTILES` of L; all
    divided by 100; log of width by height; share of the box that the mask covers. ``mean_rgb`` (3,) is the mean colour
    of the frame, 0 to 255: subtracting it removes what the light does to all birds.
    """
    reference = _lab(mean_rgb.reshape(1, 1, 3).astype(np.float32).round().astype(np.uint8))[0, 0]
    lab = _lab(crop.rgb)[crop.mask] - reference
    rows = np.nonzero(crop.mask)[0]
    order = np.argsort(rows, kind="stable")
    colours = [value for part in (order, *np.array_split(order, PARTS)) for value in _colour(lab[part])]
    height, width = crop.mask.shape
    shape = [np.log(width / height), crop.mask.mean()]
    return np.array([*colours, *np.percentile(lab[:, 0], QUANTILES) / 100, *shape], np.float32)


def _colour(lab: np.ndarray) -> tuple[float, ...]:
    """Return mean L, a, b and standard deviation of L of pixels (n, 3), divided by 100."""
    if not len(lab):
        return (0.0, 0.0, 0.0, 0.0)
    return (*(lab.mean(axis=0) / 100), lab[:, 0].std() / 100)


def _lab(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(rgb, np.float32) / 255, cv2.COLOR_RGB2LAB)
