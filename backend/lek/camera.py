"""A camera on a pole that looks down on the lek: from metres on the ground to pixels and back.

World: x right, y away from the camera, z up, in metres, the origin on the ground below the lens. Picture: x right,
y down, in pixels, the centre of the first pixel at (0.5, 0.5).
"""

import math
from typing import NamedTuple

import numpy as np

from backend.project.kernels import kernel

NEAREST_M = 0.8  # a bird closer to the lens is not drawn


class Camera(NamedTuple):
    """A pinhole camera without roll. A NamedTuple, because the compiled kernels take it as it is."""

    width: float
    height: float
    focal: float  # px
    centre_x: float  # px, the picture's centre plus the shake
    centre_y: float
    lens_z: float  # m above the ground
    sin_tilt: float  # of the angle below the horizon
    cos_tilt: float

    def shaken(self, dx: float, dy: float) -> "Camera":
        """Return the camera with its picture moved by (dx, dy) px."""
        return self._replace(centre_x=self.centre_x + dx, centre_y=self.centre_y + dy)


def slanted_camera(size: tuple[int, int], birds: int, rng: np.random.Generator) -> Camera:
    """Return a camera that sees a lek for ``birds`` birds; no two seeds give the same pole."""
    width, height = size
    crowd = max(1.0, math.sqrt(birds / 14))  # a larger lek is seen from higher up
    tilt = math.radians(26.0 + 5.0 * rng.random())
    focal = max(width, height * 16 / 9) * (0.86 + 0.08 * rng.random())
    lens_z = (1.5 + 0.2 * rng.random()) * crowd
    return Camera(width, height, focal, width / 2, height / 2, lens_z, math.sin(tilt), math.cos(tilt))


@kernel(inline="always")
def project(camera, x, y, z):
    """Return (column px, row px, distance m along the axis) of a point in metres."""
    distance = max(0.5 * NEAREST_M, y * camera.cos_tilt + (camera.lens_z - z) * camera.sin_tilt)
    rise = y * camera.sin_tilt + (z - camera.lens_z) * camera.cos_tilt
    scale = camera.focal / distance
    return camera.centre_x + x * scale, camera.centre_y - rise * scale, distance


def ground_to_image(camera: Camera) -> np.ndarray:
    """Return the (3, 3) float64 homography from (x m, y m, 1) on the ground to homogeneous pixels."""
    c, h = camera, camera.lens_z
    distance = np.array([0.0, c.cos_tilt, h * c.sin_tilt])
    column = np.array([c.focal, 0.0, 0.0]) + c.centre_x * distance
    row = -c.focal * np.array([0.0, c.sin_tilt, -h * c.cos_tilt]) + c.centre_y * distance
    return np.stack([column, row, distance])


def image_to_ground(camera: Camera) -> np.ndarray:
    """Return the (3, 3) float64 homography from (column px, row px, 1) to homogeneous metres on the ground."""
    inverse = np.linalg.inv(ground_to_image(camera))
    return inverse / inverse[2, 2]


def apply_homography(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map (N, 2) float points through a (3, 3) homography."""
    lifted = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return lifted[:, :2] / lifted[:, 2:]
