"""Ground plan of the lek: home spots of the birds, courts, nest box, and the zones for statistics."""

import math
from typing import NamedTuple

import numpy as np

from backend.lek.camera import Camera, apply_homography, ground_to_image, image_to_ground

BOX_WIDTH_M, BOX_DEPTH_M, BOX_HEIGHT_M = 0.44, 0.46, 0.40
DOOR_WIDTH_M, DOOR_HEIGHT_M = 0.24, 0.30
ENTRY_RADIUS_M = 0.30
COURT_RADIUS_M = 0.55
BORDER_SHARE = 0.06  # of the picture's sides
ZONES_FORMAT = 1


class Arena(NamedTuple):
    """The ground plan, in metres. A NamedTuple, because the compiled kernels take it as it is."""

    x: float  # centre of the trampled ground
    y: float
    half_x: float  # its half axes
    half_y: float
    box_x: float  # centre of the nest box
    box_y: float
    box_dx: float  # unit vector out of its door
    box_dy: float


def lay_out(camera: Camera, rng: np.random.Generator) -> Arena:
    """Put the lek where the camera looks, with the nest box at its rim and the door half towards the camera."""
    to_ground = image_to_ground(camera)
    w, h = camera.width, camera.height
    left, right, near, far = apply_homography(
        to_ground, np.array([[0.05 * w, 0.55 * h], [0.95 * w, 0.55 * h], [0.5 * w, 0.93 * h], [0.5 * w, 0.22 * h]])
    )
    x, y = 0.0, (near[1] + far[1]) / 2
    half_x, half_y = (right[0] - left[0]) / 2, (far[1] - near[1]) / 2
    side = 1.0 if rng.random() < 0.5 else -1.0
    spot = np.array([[w * (0.5 + side * (0.33 + 0.06 * rng.random())), h * (0.25 + 0.05 * rng.random())]])
    box_x, box_y = apply_homography(to_ground, spot)[0]
    turn = -side * math.radians(20 + 25 * rng.random())  # the door looks into the lek
    return Arena(x, y, half_x, half_y, box_x, box_y, math.sin(turn), -math.cos(turn))


def homes(arena: Arena, birds: int, rng: np.random.Generator) -> np.ndarray:
    """Return (birds, 2) float64 metres: each bird's own spot, well apart from the others and from the box."""
    chosen = np.empty((0, 2))
    for _ in range(birds):
        angle, radius = 2 * np.pi * rng.random(60), np.sqrt(rng.random(60)) * 0.9
        tries = np.column_stack(
            [arena.x + arena.half_x * radius * np.cos(angle), arena.y + arena.half_y * radius * np.sin(angle)]
        )
        taken = np.vstack([chosen, [[arena.box_x, arena.box_y], box_point(arena, 0.5)]])
        gap = np.min(np.linalg.norm(tries[:, None] - taken[None], axis=2), axis=1)
        chosen = np.vstack([chosen, tries[np.argmax(gap)]])
    return chosen


def courts(arena: Arena, home: np.ndarray) -> np.ndarray:
    """Return (K, 2) float64 metres: centres of two to six courts, each around the home of a resident."""
    wanted = int(np.clip(round(len(home) / 3), 2, 6))
    centres = home[:1] if len(home) else np.array([[arena.x, arena.y]])
    while len(centres) < min(wanted, len(home)):
        gap = np.min(np.linalg.norm(home[:, None] - centres[None], axis=2), axis=1)
        centres = np.vstack([centres, home[np.argmax(gap)]])
    return centres


def box_point(arena: Arena, ahead_m: float) -> tuple[float, float]:
    """Return the ground point ``ahead_m`` out of the door from the centre of the box."""
    return arena.box_x + arena.box_dx * ahead_m, arena.box_y + arena.box_dy * ahead_m


def box_corners(arena: Arena) -> np.ndarray:
    """Return (4, 2) float64 metres, the footprint of the box: front left, front right, back right, back left."""
    front, across = np.array([arena.box_dx, arena.box_dy]), np.array([-arena.box_dy, arena.box_dx])
    centre = np.array([arena.box_x, arena.box_y])
    half_w, half_d = BOX_WIDTH_M / 2, BOX_DEPTH_M / 2
    return centre + np.array(
        [
            front * half_d - across * half_w,
            front * half_d + across * half_w,
            -front * half_d + across * half_w,
            -front * half_d - across * half_w,
        ]
    )


def zones(camera: Camera, arena: Arena, centres: np.ndarray) -> dict:
    """Return the content of ``zones/CAMERA.json`` (polygons in px) for this lek."""
    w, h = int(camera.width), int(camera.height)
    entry = box_point(arena, BOX_DEPTH_M / 2 + 0.6 * ENTRY_RADIUS_M)
    shapes = [
        (f"court {chr(65 + i)}", "open", "courts", _circle(camera, centre, COURT_RADIUS_M))
        for i, centre in enumerate(centres)
    ]
    shapes.append(("nest box entry", "entry", "nest box", _circle(camera, entry, ENTRY_RADIUS_M)))
    shapes.append(("nest box", "hidden", "nest box", apply_homography(ground_to_image(camera), box_corners(arena))))
    shapes += [(name, "border", "borders", _rectangle(*sides)) for name, sides in _borders(w, h).items()]
    return {
        "format": ZONES_FORMAT,
        "version": 1,
        "image_size": [w, h],
        "scale": {"kind": "homography", "image_to_ground": image_to_ground(camera).tolist(), "unit": "m"},
        "zones": [_zone(i + 1, *shape, w, h) for i, shape in enumerate(shapes)],
    }


def zone_polygons(content: dict) -> list[np.ndarray]:
    """Return the (V, 2) float64 px polygon of each zone of `zones`, in its order."""
    return [np.array(zone["shape"]) for zone in content["zones"]]


def _borders(w: int, h: int) -> dict[str, tuple[float, float, float, float]]:
    dx, dy = round(w * BORDER_SHARE), round(h * BORDER_SHARE)
    return {
        "border left": (0, 0, dx, h),
        "border right": (w - dx, 0, w, h),
        "border far": (dx, 0, w - dx, dy),
        "border near": (dx, h - dy, w - dx, h),
    }


def _rectangle(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], float)


def _circle(camera: Camera, centre: np.ndarray | tuple[float, float], radius_m: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.asarray(centre) + radius_m * np.column_stack([np.cos(angle), np.sin(angle)])
    return apply_homography(ground_to_image(camera), ring)


def _zone(number: int, name: str, kind: str, group: str, shape: np.ndarray, w: int, h: int) -> dict:
    inside = np.clip(shape, 0, [w, h])
    return {
        "id": number,
        "name": name,
        "kind": kind,
        "group": group,
        "shape": [[round(float(x), 2), round(float(y), 2)] for x, y in inside],
        "in_share": 0.7,
        "out_share": 0.5,
        "min_stay_s": 0.5,
    }
