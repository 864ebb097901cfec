"""Grass, blade by blade: turf that hides feet and bellies, and tussocks of dry stalks in the colours of birds."""

from typing import NamedTuple

import numpy as np

from backend.lek.arena import Arena, box_point
from backend.lek.camera import Camera, apply_homography, ground_to_image, image_to_ground, project
from backend.lek.ground import TURF, Scene, look_up
from backend.lek.noise import fractal, mix, smooth_step
from backend.lek.raster import SAMPLES
from backend.project.kernels import kernel

STRAW = np.array([0.60, 0.51, 0.31])
STALKS = np.array(  # sorrel, dead stalks, old straw, grey lichen, dark rush
    [[0.33, 0.19, 0.12], [0.19, 0.14, 0.11], [0.60, 0.50, 0.35], [0.44, 0.43, 0.39], [0.10, 0.09, 0.08]]
)
BLADES_PER_SAMPLE = 0.055
TALL_M, SHORT_M = 0.15, 0.030
TUSSOCKS, STALKS_EACH = 34, 160
TRODDEN_M = 0.40  # around the door of the nest box


class Blades(NamedTuple):
    """Blades of grass: roots (N, 2) m, length (N,) m, lean (N, 2) per m, width (N,) m, colour (N, 3) linear."""

    root: np.ndarray
    length: np.ndarray
    lean: np.ndarray
    width: np.ndarray
    colour: np.ndarray


def grow_grass(
    scene: Scene, tall: np.ndarray, camera: Camera, arena: Arena, density: float, rng: np.random.Generator
) -> None:
    """Let grass grow on ground from `paint_ground`; ``density`` is 1 for a meadow."""
    turf, tussocks = _turf(tall, camera, density, rng), _tussocks(arena, density, rng)
    blades = Blades(*(np.concatenate(pair) for pair in zip(turf, tussocks, strict=True)))
    clear = np.hypot(*(blades.root - box_point(arena, 0.12)).T) > TRODDEN_M
    row = apply_homography(ground_to_image(camera), blades.root)[:, 1]
    order = np.argsort(row, kind="stable")  # from far to near
    _draw(scene.albedo, scene.near, camera, Blades(*(part[order[clear[order]]] for part in blades)))


def _turf(tall: np.ndarray, camera: Camera, density: float, rng: np.random.Generator) -> Blades:
    h, w = tall.shape
    below = int(0.12 * h)  # roots below the picture whose tips reach into it
    count = int(BLADES_PER_SAMPLE * (h + below) * w)
    row, column = rng.random(count) * (h + below), rng.random(count) * w
    roots = apply_homography(image_to_ground(camera), np.column_stack([column, row]) / SAMPLES)
    clump = look_up(fractal(rng, 256, 256, 0.9), roots, 1.1)
    tall = tall[np.minimum(row, h - 1).astype(int), column.astype(int)]
    chance = (0.03 + 0.97 * tall) * np.clip(0.55 + 0.4 * clump, 0.05, 1) * (0.4 + 0.6 * density)
    grows = rng.random(count) < chance
    roots, tall, clump, count = roots[grows], tall[grows], clump[grows], int(grows.sum())
    length = (SHORT_M + (TALL_M - SHORT_M) * tall**1.5) * (0.45 + 0.8 * rng.random(count) ** 1.5)
    dry = smooth_step(rng.random(count) + 0.12 * clump - 0.25 * tall, 0.62, 0.9)
    green = mix(TURF[0], TURF[1] * 1.25, rng.random(count))
    return Blades(
        roots,
        length * (0.5 + 0.5 * density),
        rng.standard_normal((count, 2)) * (0.22 + 0.2 * tall)[:, None],
        0.0016 + 0.0022 * rng.random(count),
        (0.62 + 0.38 * tall)[:, None] * mix(green, STRAW, 0.9 * dry) ** 2.2,
    )


def _tussocks(arena: Arena, density: float, rng: np.random.Generator) -> Blades:
    """Return clumps of stalks, as large as birds, mostly around the lek."""
    count = TUSSOCKS * STALKS_EACH
    angle, far = 2 * np.pi * rng.random(TUSSOCKS), 0.55 + 1.1 * rng.random(TUSSOCKS)
    middle = np.column_stack(
        [arena.x + arena.half_x * far * np.cos(angle), arena.y + arena.half_y * far * np.sin(angle)]
    )
    each = np.repeat(np.arange(TUSSOCKS), STALKS_EACH)
    spread = (0.03 + 0.04 * rng.random(TUSSOCKS))[each, None]
    size = (0.05 + 0.07 * rng.random(TUSSOCKS))[each] * (0.6 + 0.4 * density)
    colour = STALKS[rng.integers(0, len(STALKS), TUSSOCKS)][each] * (0.7 + 0.6 * rng.random((count, 1)))
    offset = rng.standard_normal((count, 2))
    return Blades(
        middle[each] + spread * offset,
        size * (0.5 + 0.7 * rng.random(count)),
        0.25 * offset + 0.25 * rng.standard_normal((count, 2)),
        0.0020 + 0.0030 * rng.random(count),
        np.clip(colour, 0, 1) ** 2.2,
    )


@kernel
def _draw(albedo, near, camera, blades):
    height, width = near.shape
    for i in range(len(blades.root)):
        x, y = blades.root[i]
        if y < 0.3:
            continue
        length = blades.length[i]
        distance = project(camera, x, y, 0.0)[2]
        scale = camera.focal / distance * SAMPLES
        steps = max(2, int(length * scale * 1.1))
        for step in range(steps):
            s = step / steps
            bend = s * s * length
            tip_x, tip_y = x + bend * blades.lean[i, 0], y + bend * blades.lean[i, 1]
            column, row, _ = project(camera, tip_x, tip_y, length * s * (1.0 - 0.25 * s))
            half = max(0.5, 0.5 * blades.width[i] * scale * (1.0 - 0.8 * s))
            sy = int(row * SAMPLES)
            if sy < 0 or sy >= height:
                continue
            first = int(np.floor(column * SAMPLES - half + 0.5))
            for sx in range(first, max(first + 1, int(np.floor(column * SAMPLES + half + 0.5)))):
                if 0 <= sx < width:
                    near[sy, sx] = 1.0 / distance
                    for k in range(3):
                        albedo[sy, sx, k] = blades.colour[i, k] * (0.42 + 0.75 * s)
