"""Masks, boxes and names drawn over a picture, for pages and reports."""

from collections.abc import Sequence

import cv2
import numpy as np

from backend.masks.colours import PALETTE

OPACITY = 0.45
DARK, BRIGHT = (16, 16, 16), (255, 255, 255)


def overlay(
    image: np.ndarray,
    labels: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    texts: Sequence[str] | None = None,
    palette: np.ndarray = PALETTE,
) -> np.ndarray:
    """Return a copy of ``image`` with masks tinted and outlined, and boxes with their texts.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    labels
        (H, W) uint8, pixel value = object id, 0 is background.
    boxes
        (N, 4) ``x1 y1 x2 y2``, px. Box ``k`` has the colour of object id ``k + 1``.
    texts
        N short texts, drawn above the boxes. cv2 knows ASCII only; other characters become ``?``.
    palette
        (256, 3) uint8 RGB, id to colour.
    """
    drawn = image.copy()
    line = max(1, round(max(image.shape[:2]) / 900))
    if labels is not None:
        _tint(drawn, labels, palette, line)
    for k, (x1, y1, x2, y2) in enumerate(np.round(boxes).astype(int).tolist() if boxes is not None else []):
        colour = palette[1 + k % 255].tolist()
        cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), colour, line)
        if texts is not None:
            _write(drawn, texts[k], (x1, y1), colour, line)
    return drawn


def _tint(image: np.ndarray, labels: np.ndarray, palette: np.ndarray, line: int) -> None:
    inside = labels > 0
    colours = palette[labels[inside]]
    image[inside] = (image[inside] * (1 - OPACITY) + colours * OPACITY).astype(np.uint8)
    ring = np.ones((2 * line + 1, 2 * line + 1), np.uint8)
    border = inside & ((cv2.erode(labels, ring) != labels) | (cv2.dilate(labels, ring) != labels))
    image[border] = palette[labels[border]]


def _write(image: np.ndarray, text: str, corner: tuple[int, int], colour: list[int], line: int) -> None:
    scale = 0.4 * line + 0.1
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, line)
    x = max(0, min(corner[0], image.shape[1] - width))
    y = max(height + below, corner[1])
    cv2.rectangle(image, (x, y - height - below), (x + width, y), colour, -1)
    luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    ink = DARK if luma > 140 else BRIGHT
    cv2.putText(image, text, (x, y - below // 2), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, line, cv2.LINE_AA)
