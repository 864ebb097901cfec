"""Resizing of uint8 pictures: area averages when shrinking, linear interpolation when enlarging.

OpenCV does it on the CPU; the torch version uses the same weights, and differs by at most 1.
"""

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import torch


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return ``image`` (H, W, 3) uint8 as (height, width, 3) uint8 for ``size`` = (width, height) in px."""
    if image.shape[1::-1] == tuple(size):
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if _shrinks(image.shape, size) else cv2.INTER_LINEAR)


def resize_torch(image: "torch.Tensor", size: tuple[int, int]) -> "torch.Tensor":
    """`resize` for a tensor (H, W, 3) uint8 on any device."""
    import torch

    if tuple(image.shape[1::-1]) == tuple(size):
        return image
    shrinks = _shrinks(image.shape, size)
    result = image.float()
    for axis, length in ((0, size[1]), (1, size[0])):
        places, weights = taps(image.shape[axis], length, shrinks)
        shape = [length if each == axis else 1 for each in range(3)]
        parts = zip(places.T, weights.T, strict=True)
        result = sum(
            result.index_select(axis, torch.tensor(place, device=image.device))
            * torch.tensor(weight, device=image.device, dtype=torch.float32).view(shape)
            for place, weight in parts
        )
    return (result + 0.5).floor().clamp(0, 255).byte()


@cache
def taps(old: int, new: int, area: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return source positions (new, T) int64 and weights (new, T) float64 of each of ``new`` output samples."""
    scale = old / new
    if not area:
        centre = np.clip((np.arange(new) + 0.5) * scale - 0.5, 0, old - 1)
        place = np.minimum(centre.astype(np.int64), max(old - 2, 0))
        share = centre - place
        return np.stack((place, np.minimum(place + 1, old - 1)), 1), np.stack((1 - share, share), 1)
    begin = np.arange(new) * scale
    end = begin + scale
    count = int(np.ceil(scale)) + 1
    places = begin.astype(np.int64)[:, None] + np.arange(count)  # new x T
    weights = np.clip(np.minimum(places + 1, end[:, None]) - np.maximum(places, begin[:, None]), 0, None) / scale
    return np.minimum(places, old - 1), weights


def _shrinks(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    return size[0] <= shape[1] and size[1] <= shape[0]
