"""Light and camera over time: sun, clouds, white balance, exposure, shake; any frame stands alone."""

import math
from dataclasses import dataclass

import numpy as np

from backend.lek.world import Lek, stream

SUN = np.array([1.0, 0.90, 0.74])  # morning
SKY = np.array([0.62, 0.74, 0.92])
GROUND_BOUNCE = np.array([0.80, 0.78, 0.58])
WAVES = 7


@dataclass(frozen=True)
class Light:
    """What falls on the lek at one moment, in linear light where 1 is white in the sun."""

    sun: np.ndarray  # (3,) float64, direct light
    sky: np.ndarray  # (3,) float64
    bounce: np.ndarray  # (3,) float64 from below
    gain: np.ndarray  # (3,) float64 of the camera: exposure and white balance
    shake: tuple[float, float]  # px


class Weather:
    """The light of one lek."""

    def __init__(self, lek: Lek):
        rng = stream(lek.settings, "weather")
        self._hardness = lek.settings.difficulty
        self._zoom = lek.settings.size[0] / 960
        side = math.pi * (0.62 + 0.5 * rng.random()) * (1 if rng.random() < 0.5 else -1)
        rise = math.radians(27 + 12 * rng.random())
        level = math.cos(rise)
        self.to_sun = np.array([level * math.sin(side), -level * math.cos(side), math.sin(rise)])
        self._slow = _waves(rng, 6, 8.0, 90.0)
        self._clouds = _waves(rng, 1, 12.0, 70.0)
        self._shakes = _waves(rng, 2, 0.35, 3.0)

    def at(self, seconds: float) -> Light:
        """Return the light at a time after the first frame."""
        warmth, tint, power, haze, lag, _ = _values(self._slow, seconds)
        drift = self._hardness.light_drift
        cover = self._hardness.clouds * (0.5 + 0.5 * math.tanh(2.2 * _values(self._clouds, seconds)[0]))
        sun = SUN * (1.9 * (1 + drift * power) * (1 - 0.88 * cover))
        sky = SKY * (0.62 * (1 + 0.5 * drift * haze) * (1 + 0.35 * cover))
        balance = 1 + 0.6 * drift * np.array([warmth, 0.25 * tint, -warmth])
        eye = 1.45 + 1.25 * cover + 0.5 * drift * lag  # the camera's exposure follows the clouds, but not quite
        shake = self._hardness.shake_px * self._zoom * 0.6
        dx, dy = _values(self._shakes, seconds)
        return Light(sun, sky, GROUND_BOUNCE * (0.16 + 0.16 * (1 - cover)), balance * eye, (shake * dx, shake * dy))


def _waves(rng: np.random.Generator, count: int, shortest_s: float, longest_s: float) -> np.ndarray:
    """Return (count, WAVES, 3): angular speed, phase and share of slow waves that never repeat."""
    period = shortest_s * (longest_s / shortest_s) ** rng.random((count, WAVES))
    share = np.sqrt(period / period.sum(axis=1, keepdims=True)) * math.sqrt(2)
    return np.stack([2 * np.pi / period, 2 * np.pi * rng.random((count, WAVES)), share], -1)


def _values(waves: np.ndarray, seconds: float) -> list[float]:
    """Return the value of each wave sum at a time; standard deviation 1."""
    return list(np.sum(waves[..., 2] * np.sin(waves[..., 0] * seconds + waves[..., 1]), axis=1))
