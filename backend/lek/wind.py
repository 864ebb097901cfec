"""Wind in the grass: the picture of the ground sways a little where something grows, in gusts that run across it."""

import math

import cv2
import numpy as np

from backend.lek.noise import fractal

GUST_S, GUST_PX = 2.6, 240.0  # period and length of a gust, px at 960 pixels width
FLUTTER_S = 0.7


class Wind:
    """Moves a still picture; ``strength`` is how far near grass sways, px at 960 pixels width."""

    def __init__(self, grows: np.ndarray, nearness: np.ndarray, strength: float, rng: np.random.Generator):
        """Take where something grows, (H, W) float32 from 0 to 1, and how near it is, 1 at the nearest."""
        height, width = grows.shape
        zoom = width / 960
        soft = cv2.GaussianBlur(grows, (0, 0), 2.5 * zoom)
        self._reach = (strength * zoom * soft * nearness).astype(np.float32)
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        side = cv2.resize(fractal(rng, 256, 256, 1.0), (width, height), interpolation=cv2.INTER_CUBIC)
        gust = (x + 0.4 * y) * (2 * math.pi / (GUST_PX * zoom)) + 0.8 * side
        flutter = cv2.resize(fractal(rng, 256, 256, 0.4), (width, height), interpolation=cv2.INTER_LINEAR) * 3.0
        # sin(a - b) = sin a cos b - cos a sin b: what depends on the place is computed once
        self._waves = [(np.cos(phase), np.sin(phase)) for phase in (gust.astype(np.float32), flutter)]
        self._x, self._y = x, y

    def sway(self, picture: np.ndarray, seconds: float) -> np.ndarray:
        """Return ``picture`` (H, W, 3) float32 as it stands in the wind at a time."""
        if not self._reach.any():
            return picture
        bend = np.full(self._reach.shape, 0.35, np.float32)
        for (cosine, sine), period, share in zip(self._waves, (GUST_S, FLUTTER_S), (0.7, 0.35), strict=True):
            angle = 2 * math.pi * seconds / period
            cv2.scaleAdd(cosine, share * math.sin(angle), bend, bend)
            cv2.scaleAdd(sine, -share * math.cos(angle), bend, bend)
        bend *= self._reach
        return cv2.remap(picture, self._x + bend, self._y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
