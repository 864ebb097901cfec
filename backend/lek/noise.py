"""Random textures: clouds at every scale, as ground, feathers and wood have them."""

import numpy as np


def fractal(rng: np.random.Generator, height: int, width: int, slope: float = 1.0) -> np.ndarray:
    """Return a (height, width) float32 texture that repeats without a seam, mean 0, standard deviation 1.

    ``slope`` is the fall of its amplitude with frequency: 0 is white noise, 1 has detail at every scale, 2 is soft.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width)
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(spectrum * frequency**-slope, (height, width))
    return ((field - field.mean()) / field.std()).astype(np.float32)


def smooth_step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 0 below ``low``, 1 above ``high``, and a smooth rise between."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return (..., 3) colours: ``first`` where ``share`` (...) is 0, ``second`` where it is 1."""
    share = np.asarray(share)[..., None]
    return first * (1 - share) + second * share


def palette(colours: list[tuple[float, float, float]], place: float) -> np.ndarray:
    """Return the (3,) colour at ``place`` (0 to 1) along a row of colours."""
    table = np.array(colours)
    at = np.linspace(0, 1, len(table))
    return np.array([np.interp(place, at, table[:, channel]) for channel in range(3)])
