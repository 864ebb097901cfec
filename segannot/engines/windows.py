"""Windows: rectangles around an object, resized so that computing on them is fast."""

from dataclasses import dataclass

import cv2
import numpy as np

RIM = 0.08  # of the window's shorter side: an outline this near to the border may extend beyond it
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Window:
    """``x1 y1 x2 y2``, px of the frame; the working size is ``width`` x ``height`` px."""

    x1: int
    y1: int
    x2: int
    y2: int
    width: int
    height: int

    @property
    def scale(self) -> float:
        """Working pixels per frame pixel."""
        return self.width / (self.x2 - self.x1)

    def touches(self, box: Box, size: tuple[int, int]) -> bool:
        """Return whether a box, px of the frame, reaches a border of the window that is not a border of the frame."""
        near = RIM * min(self.x2 - self.x1, self.y2 - self.y1)
        return (
            (box[0] - self.x1 < near and self.x1 > 0)
            or (box[1] - self.y1 < near and self.y1 > 0)
            or (self.x2 - box[2] < near and self.x2 < size[0])
            or (self.y2 - box[3] < near and self.y2 < size[1])
        )

    def picture(self, rgb: np.ndarray) -> np.ndarray:
        """Return the window of an (H, W, 3) uint8 image at working size."""
        return _resized(rgb[self.y1 : self.y2, self.x1 : self.x2], (self.width, self.height))

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Return the window of an (H, W) bool mask at working size, float32 coverage of each pixel."""
        part = mask[self.y1 : self.y2, self.x1 : self.x2].astype(np.float32)
        return _resized(part, (self.width, self.height))

    def points(self, xy: np.ndarray) -> np.ndarray:
        """Return points, (N, 2) px of the frame, in working pixels."""
        return (np.asarray(xy, float) - (self.x1, self.y1)) * self.scale

    def back(self, values: np.ndarray) -> np.ndarray:
        """Resize a float32 map from working size to the window's size in the frame."""
        return cv2.resize(values, (self.x2 - self.x1, self.y2 - self.y1), interpolation=cv2.INTER_LINEAR)


def window_around(box: Box, margin: float, size: tuple[int, int], longest: int) -> Window:
    """Return the window of a box with ``margin`` px around it in a frame of ``size``; ``longest`` working px."""
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
