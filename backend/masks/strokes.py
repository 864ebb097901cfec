"""Masks of strokes and polygons drawn in a browser."""

import cv2
import numpy as np

from backend.masks import rle
from backend.masks.polygons import to_counts

SUBPIXEL = 4  # bits: cv2 takes coordinates in sixteenths of a pixel


def stroke_mask(points: np.ndarray, radius: float, size: tuple[int, int]) -> np.ndarray:
    """Return (H, W) bool: a line through ``points``, (N, 2) float xy px, of ``radius`` px, in a picture of ``size``."""
    mask = np.zeros(size[::-1], np.uint8)
    centres = np.round((np.asarray(points, float) - 0.5) * 2**SUBPIXEL).astype(np.int32)
    thickness = max(1, round(2 * radius) - 1)  # cv2 draws one pixel more
    if len(centres) > 1:
        cv2.polylines(mask, [centres], False, 1, thickness, cv2.LINE_8, SUBPIXEL)
    else:
        cv2.circle(mask, tuple(centres[0].tolist()), round(max(radius, 0.5) * 2**SUBPIXEL), 1, -1, cv2.LINE_8, SUBPIXEL)
    return mask.astype(bool)


def polygon_mask(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return (H, W) bool: the inside of a polygon with corners ``points``, (N, 2) float xy px, as COCO takes it."""
    corners = np.clip(np.asarray(points, float), 0, size)
    return rle.decode(to_counts([corners.ravel().tolist()], size[1], size[0]), size[1], size[0])
