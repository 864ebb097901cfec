"""Compiled parts of the classic engine: geodesic distances, and mean-field inference in a Markov random field.

Colours are (H, W, 3) float32 CIE Lab as OpenCV gives it, maps are (H, W) float32.
"""

import numpy as np

from backend.project.kernels import kernel

FAR = np.float32(1e9)


@kernel(nogil=True)
def geodesic_distance(cost: np.ndarray, seeds: np.ndarray, sweeps: int) -> np.ndarray:
    """Return the cost of the cheapest path from any seed to each pixel (Bai and Sapiro 2007), (H, W) float32.

    A step costs its length in px times the mean ``cost``, (H, W) float32, of its two pixels. Raster sweeps, alternately
    forward and backward; four are exact for all but winding paths.
    """
    height, width = seeds.shape
    distance = np.full((height + 2, width + 2), FAR)
    padded = np.ones((height + 2, width + 2), np.float32)
    padded[1:-1, 1:-1] = cost
    for y in range(height):
        for x in range(width):
            if seeds[y, x]:
                distance[y + 1, x + 1] = 0
    for sweep in range(sweeps):
        step = -1 if sweep % 2 == 0 else 1
        for row in range(1, height + 1):
            y = row if step < 0 else height + 1 - row
            for column in range(1, width + 1):
                x = column if step < 0 else width + 1 - column
                here, best = padded[y, x], distance[y, x]
                best = min(best, distance[y, x + step] + 0.5 * (here + padded[y, x + step]))
                best = min(best, distance[y + step, x] + 0.5 * (here + padded[y + step, x]))
                best = min(best, distance[y + step, x - 1] + 0.7071 * (here + padded[y + step, x - 1]))
                distance[y, x] = min(best, distance[y + step, x + 1] + 0.7071 * (here + padded[y + step, x + 1]))
    return distance[1:-1, 1:-1].copy()


@kernel(nogil=True)
def mean_field(lab: np.ndarray, unary: np.ndarray, fixed: np.ndarray, strength: float, tolerance: float, rounds: int):
    """Return the probability that each pixel belongs to the object, (H, W) float32.

    Mean-field inference in a contrast-sensitive Potts model (weights: Boykov and Jolly 2001; inference: Krähenbühl and
    Koltun 2011): ``logit = unary + strength * sum of weight * (2 p - 1)`` over eight neighbours.

    Parameters
    ----------
    lab
        Colours of the image.
    unary
        Unary log odds of each pixel.
    fixed
        (H, W) int8: 1 object, -1 background, 0 unknown.
    strength, tolerance
        Weight of neighbours, and the colour difference (Lab) beyond which they hardly count.
    rounds
        Sweeps over all pixels, alternately forward and backward.
    """
    height, width = unary.shape
    p = np.full((height + 2, width + 2), np.float32(0.5))  # padded by one pixel, whose weights are 0
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
    """Return (4, H + 2, W + 2) float32: weights of each pixel's neighbours right, below, below left, below right."""
    height, width = lab.shape[:2]
    weights = np.zeros((4, height + 2, width + 2), np.float32)
    steps = ((0, 1, 1.0), (1, 0, 1.0), (1, -1, 0.7071), (1, 1, 0.7071))
    for k in range(4):
        down, right, near = steps[k]
        for y in range(height - down):
            for x in range(max(0, -right), width - max(0, right)):
                change = 0.0
                for c in range(3):
                    difference = lab[y, x, c] - lab[y + down, x + right, c]
                    change += difference * difference
                weights[k, y + 1, x + 1] = near * np.exp(-change / (2 * tolerance * tolerance))
    return weights
