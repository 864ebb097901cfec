"""The part of a frame that is worked on: a rectangle around an object, brought to a size that is quick to compute."""

from dataclasses import dataclass

import cv2
import numpy as np

RIM = 0.08  # of the window's shorter side: an outline that comes so near its side may go on beyond
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Window:
    """``x1 y1 x2 y2``, px of the frame; work is done at ``width`` x ``height`` px."""

    x1: int
    y1: int
    x2: int
    y2: int
    width: int
    height: int

    @property
    def scale(self) -> float:
        """Work pixels a frame pixel."""
        return self.width / (self.x2 - self.x1)

    def touches(self, box: Box, size: tuple[int, int]) -> bool:
        """Tell whether a box, px of the frame, reaches a side of the window that is not a side of the frame."""
        near = RIM * min(self.x2 - self.x1, self.y2 - self.y1)
        return (
            (box[0] - self.x1 < near and self.x1 > 0)
            or (box[1] - self.y1 < near and self.y1 > 0)
            or (self.x2 - box[2] < near and self.x2 < size[0])
            or (self.y2 - box[3] < near and self.y2 < size[1])
        )

    def picture(self, rgb: np.ndarray) -> np.ndarray:
        """Return the window of an (H, W, 3) uint8 picture at work size."""
        return _resized(rgb[self.y1 : self.y2, self.x1 : self.x2], (self.width, self.height))

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Return the window of an (H, W) bool mask at work size, float32 share of each pixel."""
        part = mask[self.y1 : self.y2, self.x1 : self.x2].astype(np.float32)
        return _resized(part, (self.width, self.height))

    def points(self, xy: np.ndarray) -> np.ndarray:
        """Return points, (N, 2) px of the frame, as work pixels."""
        return (np.asarray(xy, float) - (self.x1, self.y1)) * self.scale

    def back(self, values: np.ndarray) -> np.ndarray:
        """Return a float32 map at work size as one of the window at full size."""
        return cv2.resize(values, (self.x2 - self.x1, self.y2 - self.y1), interpolation=cv2.INTER_LINEAR)


def window_around(box: Box, margin: float, size: tuple[int, int], longest: int) -> Window:
    """Return the window of a box with ``margin`` px around it, in a frame of ``size``; work is at ``longest`` px."""
    x1, y1 = (max(0, int(box[k] - margin)) for k in (0, 1))
    x2, y2 = (min(size[k], int(np.ceil(box[k + 2] + margin))) for k in (0, 1))
    x1, y1 = min(x1, size[0] - 2), min(y1, size[1] - 2)
    x2, y2 = max(x2, x1 + 2), max(y2, y1 + 2)
    scale = min(1.0, longest / max(x2 - x1, y2 - y1))
    return Window(x1, y1, x2, y2, max(2, round((x2 - x1) * scale)), max(2, round((y2 - y1) * scale)))


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if values.shape[1::-1] == size:
        return np.ascontiguousarray(values)
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)
