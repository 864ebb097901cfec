"""Compiled parts of the classic engine: geodesic distances, and a field of neighbouring pixels that agree.

Colours are (H, W, 3) float32 CIE Lab as OpenCV gives it, maps are (H, W) float32.
"""

import numpy as np

from backend.project.kernels import kernel

FAR = np.float32(1e9)


@kernel(nogil=True)
def geodesic(cost: np.ndarray, seeds: np.ndarray, sweeps: int) -> np.ndarray:
    """Return the cost of the cheapest way from any seed to each pixel (Bai and Sapiro 2007), (H, W) float32.

    A step costs its length in px times the mean ``cost``, (H, W) float32, of its two pixels. Raster sweeps in turn
    forward and backward; four are exact for all but winding ways.
    """
    height, width = seeds.shape
    found = np.full((height + 2, width + 2), FAR)
    padded = np.ones((height + 2, width + 2), np.float32)
    padded[1:-1, 1:-1] = cost
    for y in range(height):
        for x in range(width):
            if seeds[y, x]:
                found[y + 1, x + 1] = 0
    for sweep in range(sweeps):
        step = -1 if sweep % 2 == 0 else 1
        for row in range(1, height + 1):
            y = row if step < 0 else height + 1 - row
            for column in range(1, width + 1):
                x = column if step < 0 else width + 1 - column
                here, best = padded[y, x], found[y, x]
                best = min(best, found[y, x + step] + 0.5 * (here + padded[y, x + step]))
                best = min(best, found[y + step, x] + 0.5 * (here + padded[y + step, x]))
                best = min(best, found[y + step, x - 1] + 0.7071 * (here + padded[y + step, x - 1]))
                found[y, x] = min(best, found[y + step, x + 1] + 0.7071 * (here + padded[y + step, x + 1]))
    return found[1:-1, 1:-1].copy()


@kernel(nogil=True)
def agree(lab: np.ndarray, unary: np.ndarray, fixed: np.ndarray, strength: float, tolerance: float, rounds: int):
    """Return (H, W) float32: the probability that each pixel is object, once neighbours of like colour agree.

    Mean-field inference in a contrast-sensitive field (Boykov and Jolly 2001 for the weights, Krähenbühl and Koltun
    2011 for the inference): ``logit = unary + strength * sum of weight * (2 p - 1)`` over eight neighbours.

    Parameters
    ----------
    lab
        Colours of the picture.
    unary
        Log odds of each pixel by itself.
    fixed
        (H, W) int8: 1 is object, -1 is not, 0 is to be found.
    strength, tolerance
        How much neighbours count, and the change of colour at which they no longer do.
    rounds
        Sweeps over all pixels, every second one backward.
    """
    height, width = unary.shape
    p = np.full((height + 2, width + 2), np.float32(0.5))  # with a rim of one pixel, whose weights are 0
    for y in range(height):
        for x in range(width):
            p[y + 1, x + 1] = 1.0 / (1.0 + np.exp(-unary[y, x])) if fixed[y, x] == 0 else 0.5 + 0.5 * fixed[y, x]
    weights = _weights(lab, tolerance)
    for turn in range(rounds):
        for row in range(1, height + 1):
            y = row if turn % 2 == 0 else height + 1 - row
            for column in range(1, width + 1):
                x = column if turn % 2 == 0 else width + 1 - column
                if fixed[y - 1, x - 1] == 0:
                    total = (
                        weights[0, y, x] * (2 * p[y, x + 1] - 1)
                        + weights[0, y, x - 1] * (2 * p[y, x - 1] - 1)
                        + weights[1, y, x] * (2 * p[y + 1, x] - 1)
                        + weights[1, y - 1, x] * (2 * p[y - 1, x] - 1)
                        + weights[2, y, x] * (2 * p[y + 1, x - 1] - 1)
                        + weights[2, y - 1, x + 1] * (2 * p[y - 1, x + 1] - 1)
                        + weights[3, y, x] * (2 * p[y + 1, x + 1] - 1)
                        + weights[3, y - 1, x - 1] * (2 * p[y - 1, x - 1] - 1)
                    )
                    p[y, x] = 1.0 / (1.0 + np.exp(-(unary[y - 1, x - 1] + strength * total)))
    return p[1:-1, 1:-1].copy()


@kernel(nogil=True)
def _weights(lab: np.ndarray, tolerance: float) -> np.ndarray:
    """Return (4, H + 2, W + 2): how much a pixel's neighbour to the right, below, below left, below right counts."""
    height, width = lab.shape[:2]
    weights = np.zeros((4, height + 2, width + 2), np.float32)
    steps = ((0, 1, 1.0), (1, 0, 1.0), (1, -1, 0.7071), (1, 1, 0.7071))
    for k in range(4):
        down, right, near = steps[k]
        for y in range(height - down):
            for x in range(max(0, -right), width - max(0, right)):
                change = 0.0
                for c in range(3):
                    each = lab[y, x, c] - lab[y + down, x + right, c]
                    change += each * each
                weights[k, y + 1, x + 1] = near * np.exp(-change / (2 * tolerance * tolerance))
    return weights
