"""How an object and its surroundings look: histograms of colour, sharp and blurred, that can be added up."""

from dataclasses import dataclass

import cv2
import numpy as np

BINS = 16  # of each Lab channel
BLUR_PX = 2.5  # the second histogram is of the blurred picture: it tells textures apart
FLOOR = 3e-4  # probability of a colour never seen, so that one odd pixel decides nothing
CLIP = 3.0  # largest log odds that colour alone may give


def features(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Lab, (H, W, 3) float32, and (2, H, W) int64 histogram bins of an (H, W, 3) uint8 RGB picture."""
    lab8 = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    blurred = cv2.GaussianBlur(lab8, (0, 0), BLUR_PX)
    return lab8.astype(np.float32), np.stack([_bins(lab8), _bins(blurred)])


@dataclass
class Look:
    """Two colour histograms, (2, BINS, BINS, BINS) float64, each with the sum ``weight``."""

    counts: np.ndarray
    weight: float = 0.0

    @classmethod
    def empty(cls) -> "Look":
        """Return one of nothing."""
        return cls(np.zeros((2, BINS**3)))

    @classmethod
    def of(cls, bins: np.ndarray, share: np.ndarray) -> "Look":
        """Return the look of the pixels with weights ``share`` (H, W), normed to weight 1; empty if there are none."""
        total = float(share.sum())
        if total < 1e-6:
            return cls.empty()
        counts = [np.bincount(each.ravel(), share.ravel(), BINS**3) / total for each in bins]
        return cls(np.stack([_smoothed(each) for each in counts]), 1.0)

    def plus(self, other: "Look", weight: float) -> "Look":
        """Return both together, the other one counted ``weight`` times."""
        return Look(self.counts + weight * other.counts, self.weight + weight * other.weight)

    def probability(self, bins: np.ndarray) -> np.ndarray:
        """Return (2, H, W): how usual each pixel's two colours are here."""
        share = self.counts / max(self.weight, 1e-9)
        return np.stack([share[k][bins[k]] for k in range(2)]) + FLOOR


def log_odds(bins: np.ndarray, inside: Look, outside: Look) -> np.ndarray:
    """Return (H, W) float32: by colour alone, is a pixel of ``inside`` (positive) or of ``outside``."""
    ratio = np.log(inside.probability(bins)) - np.log(outside.probability(bins))
    return np.clip(ratio.mean(axis=0), -CLIP, CLIP).astype(np.float32)


def _bins(lab8: np.ndarray) -> np.ndarray:
    # a and b of outdoor pictures lie close to grey: finer there
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
