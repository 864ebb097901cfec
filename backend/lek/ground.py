"""The ground of the lek: trampled earth with mud and stones in the middle, turf around it.

Painted once, with the distance of what stands at each sample, so that it can hide birds. Its colours are those of the
birds on purpose: brown, black, white, grey and straw.
"""

from dataclasses import dataclass

import numpy as np

from backend.lek.arena import Arena
from backend.lek.camera import Camera, apply_homography, image_to_ground, project
from backend.lek.noise import fractal, mix, smooth_step
from backend.lek.raster import SAMPLES
from backend.project.kernels import kernel

EARTH = np.array([[0.21, 0.155, 0.105], [0.33, 0.25, 0.17], [0.42, 0.34, 0.245]], np.float32)
MUD = np.array([[0.17, 0.165, 0.165], [0.43, 0.425, 0.42]], np.float32)
TURF = np.array([[0.14, 0.17, 0.06], [0.24, 0.27, 0.10], [0.36, 0.35, 0.17]], np.float32)
STONES = 420
TEXTURE, STRIP = 512, 128  # texels; sample rows


@dataclass
class Scene:
    """What does not move: at SAMPLES x SAMPLES samples a pixel."""

    albedo: np.ndarray  # (h, w, 3) float32 linear
    near: np.ndarray  # (h, w) float32, 1 / distance of what stands there; 0 for the ground itself
    sunlit: np.ndarray  # (h, w) float32, share of the sun that reaches it
    grown: np.ndarray  # (h, w) bool, where what is seen is grass


def paint_ground(camera: Camera, arena: Arena, rng: np.random.Generator) -> tuple[Scene, np.ndarray]:
    """Paint earth, turf and stones.

    Returns
    -------
    scene
        Without grass.
    tall
        (h, w) float32, how high grass grows: 0 on bare trampled earth, 1 in the meadow.
    """
    h, w = int(camera.height) * SAMPLES, int(camera.width) * SAMPLES
    textures = [fractal(rng, TEXTURE, TEXTURE, slope) for slope in (1.5, 1.3, 1.0, 0.6, 1.4)]
    albedo, tall = np.empty((h, w, 3), np.float32), np.empty((h, w), np.float32)
    for top in range(0, h, STRIP):  # a few rows at a time, for the memory that large pictures would take
        rows = slice(top, min(h, top + STRIP))
        place = _ground_points(camera, rows, w)
        tall[rows] = _tallness(place, arena, textures[0])
        albedo[rows] = _earth_and_turf(camera, place, tall[rows], textures[1:])
    scene = Scene(albedo, np.zeros((h, w), np.float32), np.ones((h, w), np.float32), tall > 0.3)
    _scatter_stones(scene, camera, arena, rng)
    return scene, tall


def look_up(texture: np.ndarray, place: np.ndarray, metres: float) -> np.ndarray:
    """Return the value of a repeating square texture, ``metres`` long, at ground points (..., 2)."""
    size = len(texture)
    column = (place[..., 0] * (size / metres)).astype(np.int32) % size
    row = (place[..., 1] * (size / metres)).astype(np.int32) % size
    return texture[row, column]


def _ground_points(camera: Camera, rows: slice, w: int) -> np.ndarray:
    column, row = np.meshgrid((np.arange(w) + 0.5) / SAMPLES, (np.arange(rows.start, rows.stop) + 0.5) / SAMPLES)
    points = apply_homography(image_to_ground(camera), np.column_stack([column.ravel(), row.ravel()]))
    return points.reshape(-1, w, 2).astype(np.float32)


def _tallness(place: np.ndarray, arena: Arena, patches: np.ndarray) -> np.ndarray:
    far_out = np.hypot((place[..., 0] - arena.x) / arena.half_x, (place[..., 1] - arena.y) / arena.half_y)
    return smooth_step(far_out + 0.24 * look_up(patches, place, 5.0), 0.62, 1.25)


def _earth_and_turf(camera: Camera, place: np.ndarray, tall: np.ndarray, textures: list[np.ndarray]) -> np.ndarray:
    depth = camera.focal / np.hypot(place[..., 1], np.float32(camera.lens_z))  # px a metre
    coarse, middle = look_up(textures[0], place, 3.7), look_up(textures[1], place, 0.9)
    fine = look_up(textures[2], place, 0.31) * smooth_step(depth, 90, 260)
    wet = look_up(textures[3], place, 2.9) + 0.35 * middle
    value = 0.5 + 0.16 * coarse + 0.13 * middle
    earth = mix(mix(EARTH[0], EARTH[1], smooth_step(value, 0.2, 0.55)), EARTH[2], smooth_step(value, 0.5, 0.95))
    earth = mix(earth, mix(MUD[0], MUD[1], smooth_step(value, 0.25, 0.75)), 0.85 * smooth_step(wet, 0.35, 1.0))
    turf = mix(mix(TURF[0], TURF[1], smooth_step(value, 0.15, 0.55)), TURF[2], smooth_step(value, 0.5, 1.0))
    ground = mix(earth, turf, smooth_step(tall + 0.12 * middle, 0.25, 0.6))
    crumbs = smooth_step(fine + 0.5 * middle, 1.5, 2.2)
    ground = mix(ground * (1 + 0.10 * fine)[..., None], EARTH[2] * 1.25, 0.55 * crumbs * (1 - tall))
    return np.clip(ground, 0.01, 1) ** 2.2


def _scatter_stones(scene: Scene, camera: Camera, arena: Arena, rng: np.random.Generator) -> None:
    """Lay stones, white droppings and dark moulted feathers."""
    angle, far = 2 * np.pi * rng.random(STONES), np.sqrt(rng.random(STONES)) * 1.6
    x, y = arena.x + arena.half_x * far * np.cos(angle), arena.y + arena.half_y * far * np.sin(angle)
    kind = rng.random(STONES)
    big = kind < 0.12
    size = np.where(big, 0.014 + 0.034 * rng.random(STONES) ** 2, 0.005 + 0.010 * rng.random(STONES) ** 2)
    grey = np.where(kind < 0.6, 0.25 + 0.4 * rng.random(STONES), np.where(kind < 0.82, 0.93, 0.10))
    tint = np.stack([grey, grey * 0.97, grey * 0.93], -1) ** 2.2
    flat = np.where(big, 0.55, np.where(kind < 0.6, 0.5, 0.08))
    for i in np.argsort(-y):
        if y[i] > 0.5:
            _stone(scene.albedo, scene.near, camera, x[i], y[i], size[i], flat[i], tint[i], rng.random(12))


@kernel
def _stone(albedo, near, camera, x, y, size, flat, tint, lumps):
    """Draw one stone: a lumpy ellipse, lighter on top, dark where it meets the ground."""
    height, width = near.shape
    column, row, distance = project(camera, x, y, 0.5 * flat * size)
    radius = size * camera.focal / distance * SAMPLES
    column, row = column * SAMPLES, row * SAMPLES
    tall = radius * (0.35 + 0.6 * flat)
    for sy in range(max(0, int(row - tall * 1.4)), min(height, int(row + tall * 1.4) + 2)):
        for sx in range(max(0, int(column - radius * 1.4)), min(width, int(column + radius * 1.4) + 2)):
            dx, dy = (sx + 0.5 - column) / radius, (sy + 0.5 - row) / tall
            angle = (np.arctan2(dy, dx) / (2 * np.pi) + 0.5) * 12
            a, b = int(angle) % 12, (int(angle) + 1) % 12
            lump = 0.78 + 0.3 * (lumps[a] + (lumps[b] - lumps[a]) * (angle - int(angle)))
            far = np.sqrt(dx * dx + dy * dy) / lump
            if far < 1.0:
                shade = 0.72 - 0.42 * dy + 0.10 * dx if flat > 0.2 else 0.9 + 0.2 * lumps[a]
                grain = 0.88 + 0.24 * lumps[(sx * 7 + sy * 13) % 12]
                for k in range(3):
                    albedo[sy, sx, k] = tint[k] * max(0.1, shade) * grain
                if flat > 0.2:
                    near[sy, sx] = 1.0 / distance
            elif far < 1.35 and flat > 0.2 and dy > -0.3:
                for k in range(3):
                    albedo[sy, sx, k] *= 0.55 + 0.45 * (far - 1.0) / 0.35
