"""The nest box: a weathered wooden box with a dark door that a bird can walk into and vanish."""

import math

import cv2
import numpy as np

from backend.lek.arena import BOX_DEPTH_M, BOX_HEIGHT_M, BOX_WIDTH_M, DOOR_HEIGHT_M, DOOR_WIDTH_M, Arena
from backend.lek.camera import Camera, project
from backend.lek.ground import Scene
from backend.lek.noise import fractal
from backend.lek.raster import SAMPLES, empty_buffers, fill, to_samples

WOOD = np.array([0.42, 0.345, 0.27])
DARK = 0.05  # share of light that reaches the inside
ROOF_OVER_M, ROOF_SLOPE_M = 0.05, 0.07
TEXTURE = 256


def build_box(scene: Scene, camera: Camera, arena: Arena, to_sun: np.ndarray, rng: np.random.Generator) -> None:
    """Draw the box and its shadow into the scene."""
    quads, tones, normals = _planks()
    world = _to_world(quads.reshape(-1, 3), arena)
    _cast_shadow(scene, camera, world, to_sun)
    points = np.empty_like(world)
    x1, y1, x2, y2 = to_samples(camera, world, SAMPLES, points)
    x1, y1 = max(x1, 0), max(y1, 0)
    x2, y2 = min(x2, scene.near.shape[1]), min(y2, scene.near.shape[0])
    if x1 >= x2 or y1 >= y2:
        return
    first = np.arange(0, len(world), 4)[:, None]
    triangles = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]], 1).reshape(-1, 3).astype(np.int32)
    near, owner, weight = empty_buffers(y2 - y1, x2 - x1)
    fill(points, triangles, x1, y1, near, owner, weight)
    hit = (owner >= 0) & (near > scene.near[y1:y2, x1:x2])  # blades in front stay
    plank = owner[hit] // 2
    corner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)[triangles[owner[hit]] % 4]  # N x 3 x 2
    wa, wb = weight[hit].T
    place = corner[:, 0] * wa[:, None] + corner[:, 1] * wb[:, None] + corner[:, 2] * (1 - wa - wb)[:, None]
    facing = np.array([_rotate(normal, arena) @ to_sun for normal in normals])
    part = (slice(y1, y2), slice(x1, x2))
    scene.albedo[part][hit] = _wood(place, plank, tones, rng)
    scene.sunlit[part][hit] = np.where(tones > 0.3, np.clip(facing, 0, 1), 0)[plank]
    scene.near[part][hit] = near[hit]
    scene.grown[part][hit] = False


def light_inside(arena: Arena, x: float, y: float) -> float:
    """Return the share of light that reaches a bird at a ground point: 1 outside the box, little deep inside."""
    dx, dy = x - arena.box_x, y - arena.box_y
    ahead = dx * arena.box_dx + dy * arena.box_dy
    aside = abs(-dx * arena.box_dy + dy * arena.box_dx)
    if aside > BOX_WIDTH_M / 2 or abs(ahead) > BOX_DEPTH_M / 2 + 0.06:
        return 1.0
    return max(DARK, min(1.0, (ahead - 0.02) / (BOX_DEPTH_M / 2)))


def _planks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (P, 4, 3) corners in the box's axes (across, ahead, up), their tone, and their outward normals."""
    w, d, h = BOX_WIDTH_M / 2, BOX_DEPTH_M / 2, BOX_HEIGHT_M
    a, door = DOOR_WIDTH_M / 2, DOOR_HEIGHT_M
    over, rise = ROOF_OVER_M, ROOF_SLOPE_M
    inner = 0.02

    def wall(
        x1: float, y1: float, x2: float, y2: float, low: float, high: float, high_end: float | None = None
    ) -> list:
        end = high if high_end is None else high_end
        return [(x1, y1, low), (x2, y2, low), (x2, y2, end), (x1, y1, high)]

    front, back, left, right, up = (0, 1, 0), (0, -1, 0), (-1, 0, 0), (1, 0, 0), (0, 0, 1)
    top = h + rise
    planks = [
        (wall(-w, d, -a, d, 0, top), 1.0, front),
        (wall(a, d, w, d, 0, top), 0.94, front),
        (wall(-a, d, a, d, door, top), 1.05, front),
        (wall(-w, -d, -w, d, 0, h, top), 0.95, left),
        (wall(w, -d, w, d, 0, h, top), 0.97, right),
        (wall(-w, -d, w, -d, 0, h), 0.9, back),
        (wall(-w + inner, -d + inner, w - inner, -d + inner, 0, h), 0.10, front),
        (wall(-w + inner, -d, -w + inner, d - inner, 0, h), 0.07, right),
        (wall(w - inner, -d, w - inner, d - inner, 0, h), 0.07, left),
        ([(-w, -d, 0.004), (w, -d, 0.004), (w, d, 0.004), (-w, d, 0.004)], 0.12, up),
        (
            [
                (-w - over, -d - over, h + 0.012),
                (w + over, -d - over, h + 0.012),
                (w + over, d + over, top + 0.022),
                (-w - over, d + over, top + 0.022),
            ],
            0.88,
            up,
        ),
        (wall(-w - over, d + over, w + over, d + over, top - 0.006, top + 0.022), 0.75, front),
        (_roof_side(w + over, d + over, h, top), 0.75, right),
        (_roof_side(-w - over, d + over, h, top), 0.75, left),
    ]
    corners, tones, normals = zip(*planks, strict=True)
    return np.array(corners, float), np.array(tones), np.array(normals, float)


def _roof_side(across: float, reach: float, low: float, high: float) -> list[tuple[float, float, float]]:
    thick = 0.022
    return [
        (across, -reach, low - thick / 2),
        (across, reach, high),
        (across, reach, high + thick),
        (across, -reach, low + thick / 2),
    ]


def _rotate(vector: np.ndarray, arena: Arena) -> np.ndarray:
    across, ahead, up = vector
    return np.array([-arena.box_dy * across + arena.box_dx * ahead, arena.box_dx * across + arena.box_dy * ahead, up])


def _to_world(points: np.ndarray, arena: Arena) -> np.ndarray:
    return np.array([_rotate(point, arena) for point in points]) + [arena.box_x, arena.box_y, 0]


def _wood(place: np.ndarray, plank: np.ndarray, tones: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (N, 3) linear colours: boards with gaps, grain along them, weathered grey in patches."""
    grain = fractal(rng, TEXTURE, TEXTURE, 0.9)[::8].repeat(8, axis=0)
    stain = fractal(rng, TEXTURE, TEXTURE, 1.5)
    u = (place[:, 0] * 180 + plank * 37).astype(int) % TEXTURE
    v = (place[:, 1] * 180 + plank * 91).astype(int) % TEXTURE
    tone = tones[plank] * (1 + 0.10 * grain[v, u] + 0.14 * stain[v, u])
    board = (place[:, 1] * 4) % 1.0
    tone *= np.where((board < 0.045) & (tones[plank] > 0.3), 0.45, 1.0)
    grey = np.clip(0.35 + 0.25 * stain[u, v], 0, 0.8)[:, None]
    colour = WOOD * (1 - grey) + WOOD.mean() * 1.08 * grey
    return (np.clip(colour * tone[:, None], 0.004, 1) ** 2.2).astype(np.float32)


def _cast_shadow(scene: Scene, camera: Camera, world: np.ndarray, to_sun: np.ndarray) -> None:
    slide = world[:, :2] - world[:, 2:] * to_sun[:2] / to_sun[2]
    corners = [project(camera, x, y, 0.0)[:2] for x, y in slide]
    hull = cv2.convexHull(np.round(np.array(corners) * SAMPLES).astype(np.int32))
    mask = np.zeros(scene.near.shape, np.uint8)
    cv2.fillConvexPoly(mask, hull, 255)
    soft = cv2.GaussianBlur(mask, (0, 0), 3.0 * SAMPLES * math.sqrt(camera.width / 960))
    scene.sunlit *= 1 - 0.92 / 255 * soft
