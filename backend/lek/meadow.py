"""The ground of the lek: trampled earth with stones, straw and droppings, grass around it, blade by blade.

Painted once, with the distance of what is seen at each sample, so that a blade in front of a bird hides its feet.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from backend.lek.arena import Arena, box_point
from backend.lek.camera import Camera, apply_homography, image_to_ground, project
from backend.lek.noise import fractal, mix, smooth_step
from backend.lek.raster import SAMPLES

EARTH = np.array([[0.21, 0.155, 0.105], [0.33, 0.25, 0.17], [0.42, 0.34, 0.245]])
TURF = np.array([[0.14, 0.17, 0.06], [0.24, 0.27, 0.10], [0.36, 0.35, 0.17]])
STRAW = np.array([0.60, 0.51, 0.31])
BLADES_PER_SAMPLE = 0.055
TALL_M, SHORT_M = 0.15, 0.030


@dataclass
class Scene:
    """What does not move: at SAMPLES x SAMPLES samples a pixel."""

    albedo: np.ndarray  # (h, w, 3) float32 linear
    near: np.ndarray  # (h, w) float32, 1 / distance of what stands there; 0 for the ground itself
    sunlit: np.ndarray  # (h, w) float32, share of the sun that reaches it
    grown: np.ndarray  # (h, w) bool, where what is seen is grass


def paint_meadow(camera: Camera, arena: Arena, grass: float, rng: np.random.Generator) -> Scene:
    """Paint ground and grass; ``grass`` is its density, 1 for a meadow."""
    place = _ground_points(camera)
    tall = _tallness(place, arena, rng)
    albedo = _earth_and_turf(camera, place, tall, rng)
    scene = Scene(albedo, np.zeros(albedo.shape[:2], np.float32), np.ones(albedo.shape[:2], np.float32), tall > 0.3)
    _scatter_stones(scene, camera, arena, rng)
    _grow(scene, camera, arena, place, tall, grass, rng)
    return scene


def _ground_points(camera: Camera) -> np.ndarray:
    """Return (h, w, 2) float32, the ground point of each sample, m."""
    h, w = int(camera.height) * SAMPLES, int(camera.width) * SAMPLES
    column, row = np.meshgrid((np.arange(w) + 0.5) / SAMPLES, (np.arange(h) + 0.5) / SAMPLES)
    points = np.column_stack([column.ravel(), row.ravel()])
    return apply_homography(image_to_ground(camera), points).reshape(h, w, 2).astype(np.float32)


def _look_up(texture: np.ndarray, place: np.ndarray, metres: float) -> np.ndarray:
    """Return the value of a repeating texture, ``metres`` long, at ground points (..., 2)."""
    size = len(texture)
    column = (place[..., 0] * (size / metres)).astype(np.int32) % size
    row = (place[..., 1] * (size / metres)).astype(np.int32) % size
    return texture[row, column]


def _tallness(place: np.ndarray, arena: Arena, rng: np.random.Generator) -> np.ndarray:
    """Return (h, w) float32: 0 on bare trampled earth, 1 in the meadow."""
    far_out = np.hypot((place[..., 0] - arena.x) / arena.half_x, (place[..., 1] - arena.y) / arena.half_y)
    patches = _look_up(fractal(rng, 512, 512, 1.5), place, 5.0)
    return smooth_step(far_out + 0.24 * patches, 0.62, 1.25)


def _earth_and_turf(camera: Camera, place: np.ndarray, tall: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    depth = camera.focal / np.hypot(place[..., 1], camera.lens_z)  # px a metre
    coarse = _look_up(fractal(rng, 512, 512, 1.3), place, 3.7)
    middle = _look_up(fractal(rng, 512, 512, 1.0), place, 0.9)
    fine = _look_up(fractal(rng, 512, 512, 0.6), place, 0.31) * smooth_step(depth, 90, 260)
    value = 0.5 + 0.16 * coarse + 0.13 * middle
    earth = mix(mix(EARTH[0], EARTH[1], smooth_step(value, 0.2, 0.55)), EARTH[2], smooth_step(value, 0.5, 0.95))
    turf = mix(mix(TURF[0], TURF[1], smooth_step(value, 0.15, 0.55)), TURF[2], smooth_step(value, 0.5, 1.0))
    ground = mix(earth, turf, smooth_step(tall + 0.12 * middle, 0.25, 0.6))
    crumbs = smooth_step(fine + 0.5 * middle, 1.5, 2.2)
    ground = mix(ground * (1 + 0.10 * fine)[..., None], EARTH[2] * 1.25, 0.55 * crumbs * (1 - tall))
    return (np.clip(ground, 0.01, 1) ** 2.2).astype(np.float32)


def _scatter_stones(scene: Scene, camera: Camera, arena: Arena, rng: np.random.Generator) -> None:
    """Lay stones, white droppings and dark moulted feathers: what a colour threshold takes for birds."""
    count = 260
    angle, far = 2 * np.pi * rng.random(count), np.sqrt(rng.random(count)) * 1.5
    x, y = arena.x + arena.half_x * far * np.cos(angle), arena.y + arena.half_y * far * np.sin(angle)
    kind = rng.random(count)
    big = kind < 0.09
    size = np.where(big, 0.014 + 0.026 * rng.random(count) ** 2, 0.005 + 0.010 * rng.random(count) ** 2)
    grey = np.where(kind < 0.55, 0.35 + 0.3 * rng.random(count), np.where(kind < 0.8, 0.93, 0.10))
    tint = np.stack([grey, grey * 0.95, grey * 0.87], -1) ** 2.2
    flat = np.where(big, 0.55, np.where(kind < 0.55, 0.5, 0.08))
    for i in np.argsort(-y):
        if y[i] > 0.5:
            _stone(
                scene.albedo, scene.near, scene.sunlit, camera, x[i], y[i], size[i], flat[i], tint[i], rng.random(12)
            )


@njit(cache=True)
def _stone(albedo, near, sunlit, camera, x, y, size, flat, tint, lumps):
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


def _grow(
    scene: Scene,
    camera: Camera,
    arena: Arena,
    place: np.ndarray,
    tall: np.ndarray,
    grass: float,
    rng: np.random.Generator,
) -> None:
    """Let blades of grass grow, from far to near."""
    h, w = tall.shape
    extra = int(0.12 * h)  # roots below the picture whose tips reach into it
    count = int(BLADES_PER_SAMPLE * (h + extra) * w)
    row, column = rng.random(count) * (h + extra), rng.random(count) * w
    seen_row = np.minimum(row, h - 1).astype(int)
    height = tall[seen_row, column.astype(int)]
    clump = _look_up(fractal(rng, 256, 256, 0.9), place[seen_row, column.astype(int)], 1.1)
    grows = rng.random(count) < (0.03 + 0.97 * height) * np.clip(0.55 + 0.4 * clump, 0.05, 1) * (0.4 + 0.6 * grass)
    order = np.flatnonzero(grows)[np.argsort(row[grows], kind="stable")]
    roots = apply_homography(image_to_ground(camera), np.column_stack([column, row])[order] / SAMPLES)
    trodden = np.hypot(*(roots - box_point(arena, 0.12)).T) > 0.40  # in the box and at its door
    order, roots = order[trodden], roots[trodden]
    height = height[order]
    length = (
        (SHORT_M + (TALL_M - SHORT_M) * height**1.5)
        * (0.45 + 0.8 * rng.random(len(order)) ** 1.5)
        * (0.5 + 0.5 * grass)
    )
    dry = smooth_step(rng.random(len(order)) + 0.12 * clump[order] - 0.25 * height, 0.62, 0.9)
    hue = (0.62 + 0.38 * height)[:, None] * mix(
        mix(TURF[0], TURF[1] * 1.25, rng.random(len(order))), STRAW, dry * 0.9
    ) ** 2.2
    lean = rng.standard_normal((len(order), 2)) * (0.22 + 0.2 * height)[:, None]
    width_m = 0.0016 + 0.0022 * rng.random(len(order))
    _blades(scene.albedo, scene.near, scene.sunlit, camera, roots, length, lean, width_m, hue.astype(np.float32))


@njit(cache=True)
def _blades(albedo, near, sunlit, camera, roots, length, lean, width_m, hue):
    height, width = near.shape
    for i in range(len(roots)):
        x, y = roots[i]
        distance = project(camera, x, y, 0.0)[2]
        scale = camera.focal / distance * SAMPLES
        steps = max(2, int(length[i] * scale * 1.1))
        for step in range(steps):
            s = step / steps
            bend = s * s * length[i]
            column, row, _ = project(
                camera, x + bend * lean[i, 0], y + bend * lean[i, 1], length[i] * s * (1.0 - 0.25 * s)
            )
            half = max(0.5, 0.5 * width_m[i] * scale * (1.0 - 0.8 * s))
            sy = int(row * SAMPLES)
            if sy < 0 or sy >= height:
                continue
            shade = 0.42 + 0.75 * s
            first = int(np.floor(column * SAMPLES - half + 0.5))
            for sx in range(first, max(first + 1, int(np.floor(column * SAMPLES + half + 0.5)))):
                if 0 <= sx < width:
                    near[sy, sx] = 1.0 / distance
                    for k in range(3):
                        albedo[sy, sx, k] = hue[i, k] * shade
