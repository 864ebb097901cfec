"""The lek in metres, without a camera: birds that stand, walk, display, fight, fly and hide, one step a frame.

The world draws its random numbers in a fixed order, and every step rounds the state to a grid far finer than a
millimetre. So the last bit of a sine, which differs between machines, cannot grow into another story.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from backend.lek.arena import Arena, homes, lay_out
from backend.lek.behaviour import DRAWS, Rates
from backend.lek.bird import BIRD, N_CHOICES, TEMPERAMENT, Behaviour
from backend.lek.camera import Camera, slanted_camera
from backend.lek.lek_settings import LekSettings
from backend.lek.step import run

CHUNK_FRAMES = 500
SETTLE_S = 20.0  # lived before the first frame, so that a film does not begin with a parade


@dataclass(frozen=True)
class Lek:
    """What does not change while a lek is filmed."""

    settings: LekSettings
    camera: Camera
    arena: Arena
    temperament: np.ndarray  # (birds,) TEMPERAMENT


def found(settings: LekSettings) -> Lek:
    """Return the lek that ``settings`` describe, without its birds having moved."""
    rng = stream(settings, "place")
    camera = slanted_camera(settings.size, settings.birds, rng)
    arena = Arena(*(round(value, 6) for value in lay_out(camera, rng)))
    return Lek(settings, camera, arena, _temperaments(arena, settings.birds, stream(settings, "temperament")))


def live(lek: Lek) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first frame, (frames, birds) BIRD) in chunks of `CHUNK_FRAMES`, in order. Memory does not grow."""
    settings = lek.settings
    rng = stream(settings, "life")
    birds = _first_birds(lek, rng)
    rates = _rates(lek)
    _advance(birds, lek, rates, rng, round(SETTLE_S * settings.fps))
    for first in range(0, settings.n_frames, CHUNK_FRAMES):
        yield first, _advance(birds, lek, rates, rng, min(CHUNK_FRAMES, settings.n_frames - first))


def stream(settings: LekSettings, name: str) -> np.random.Generator:
    """Return an independent random stream of this lek, known by name: what one uses does not change another."""
    return np.random.default_rng([settings.seed, *name.encode()])


def _advance(birds: np.ndarray, lek: Lek, rates: Rates, rng: np.random.Generator, frames: int) -> np.ndarray:
    draws = rng.random((frames, len(birds), DRAWS))
    states = np.empty((frames, len(birds)), BIRD)
    run(birds, lek.temperament, lek.arena, lek.camera, rates, 1.0 / lek.settings.fps, draws, states)
    return states


def _rates(lek: Lek) -> Rates:
    hardness = lek.settings.difficulty
    return Rates(
        hardness.fight_rate,
        hardness.displace_rate,
        hardness.approach_share,
        hardness.flight_weight,
        hardness.away_mean_s,
        hardness.box_weight,
        hardness.box_room,
    )


def _temperaments(arena: Arena, birds: int, rng: np.random.Generator) -> np.ndarray:
    temperament = np.zeros(birds, TEMPERAMENT)
    home = np.round(homes(arena, birds, rng), 6)
    temperament["home_x"], temperament["home_y"] = home.T
    temperament["size"] = np.round(0.96 + 0.08 * rng.random(birds), 6)
    temperament["rank"] = rng.permutation(birds) / max(1, birds - 1)
    temperament["boldness"] = np.round(0.5 + rng.random(birds), 6)
    satellite = rng.random(birds) < 0.3
    temperament["wander"] = np.where(satellite, 0.5, 0.12)
    temperament["home_radius"] = np.where(satellite, 0.7, 0.35)
    temperament["taste"] = np.round(0.4 + 1.2 * rng.random((birds, N_CHOICES)), 6)
    return temperament


def _first_birds(lek: Lek, rng: np.random.Generator) -> np.ndarray:
    count = lek.settings.birds
    birds = np.zeros(count, BIRD)
    birds["x"], birds["y"] = lek.temperament["home_x"], lek.temperament["home_y"]
    birds["heading"] = np.round(2 * np.pi * rng.random(count), 6)
    birds["partner"] = -1
    birds["behaviour"] = Behaviour.STAND
    birds["timer"] = np.round(5 * rng.random(count), 6)
    birds["spin"] = 1.0
    if lek.settings.difficulty.flight_weight > 0:
        away = rng.random(count) < 0.1
        birds["behaviour"][away] = Behaviour.AWAY
        birds["timer"][away] *= 10
        birds["x"][away] += 100.0
    return birds
