"""Colour models of an object and its surroundings: histograms of colours, sharp and blurred, that can be summed."""

from dataclasses import dataclass

import cv2
import numpy as np

BINS = 16  # of each Lab channel
BLUR_PX = 2.5  # sigma for the second histogram: it distinguishes textures
FLOOR = 3e-4  # probability of an unseen colour, so that single pixels decide nothing
CLIP = 3.0  # limit of the log odds from colour


def features(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Lab, (H, W, 3) float32, and (2, H, W) int64 histogram bins of an (H, W, 3) uint8 RGB image."""
    lab8 = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    blurred = cv2.GaussianBlur(lab8, (0, 0), BLUR_PX)
    return lab8.astype(np.float32), np.stack([_bins(lab8), _bins(blurred)])


@dataclass
class ColourModel:
    """Two colour histograms, (2, BINS, BINS, BINS) float64, each with the sum ``weight``."""

    counts: np.ndarray
    weight: float = 0.0

    @classmethod
    def empty(cls) -> "ColourModel":
        """Return the model of no pixels."""
        return cls(np.zeros((2, BINS**3)))

    @classmethod
    def of(cls, bins: np.ndarray, share: np.ndarray) -> "ColourModel":
        """Return the model of pixels with weights ``share`` (H, W), normalised to weight 1; empty if they sum to 0."""
        total = float(share.sum())
        if total < 1e-6:
            return cls.empty()
        counts = [np.bincount(each.ravel(), share.ravel(), BINS**3) / total for each in bins]
        return cls(np.stack([_smoothed(each) for each in counts]), 1.0)

    def plus(self, other: "ColourModel", weight: float) -> "ColourModel":
        """Return the sum of both models, the other one weighted by ``weight``."""
        return ColourModel(self.counts + weight * other.counts, self.weight + weight * other.weight)

    def probability(self, bins: np.ndarray) -> np.ndarray:
        """Return (2, H, W) float64: probability of each pixel's sharp and blurred colour under this model."""
        share = self.counts / max(self.weight, 1e-9)
        return np.stack([share[k][bins[k]] for k in range(2)]) + FLOOR


def log_odds(bins: np.ndarray, inside: ColourModel, outside: ColourModel) -> np.ndarray:
    """Return (H, W) float32: log odds that a pixel is of ``inside`` and not ``outside``, from its colour alone."""
    ratio = np.log(inside.probability(bins)) - np.log(outside.probability(bins))
    return np.clip(ratio.mean(axis=0), -CLIP, CLIP).astype(np.float32)


def _bins(lab8: np.ndarray) -> np.ndarray:
    # a and b of outdoor scenes lie close to grey: finer bins there
    lightness = lab8[..., 0].astype(np.int64) * BINS // 256
    a, b = (np.clip((lab8[..., k].astype(np.int64) - 128 + 48) * BINS // 96, 0, BINS - 1) for k in (1, 2))
    return (lightness * BINS + a) * BINS + b


def _smoothed(counts: np.ndarray) -> np.ndarray:
    cube = counts.reshape(BINS, BINS, BINS)
    for axis in range(3):
        moved = np.moveaxis(cube, axis, 0)
        sides = np.concatenate([moved[:1], moved, moved[-1:]])
        cube = np.moveaxis(0.25 * sides[:-2] + 0.5 * sides[1:-1] + 0.25 * sides[2:], 0, axis)
    return cube.ravel()
