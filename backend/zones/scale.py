"""Scale of a camera, px to metres: a known length, or four ground points for a slanted camera (homography)."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Number = Annotated[float, Field(ge=-(2**20), le=2**20, allow_inf_nan=False)]
Point = tuple[Number, Number]


class KnownLength(BaseModel):
    """A line in the image of known length. Right for a camera that looks straight down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["length"] = "length"
    unit: Literal["m"] = "m"
    line: tuple[Point, Point]  # px
    length_m: float = Field(gt=0, le=1e5)

    @model_validator(mode="after")
    def _is_long(self) -> "KnownLength":
        if np.hypot(*np.subtract(*self.line)) < 2:
            raise ValueError("the scale's line is shorter than 2 px; draw a longer one")
        return self

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64, homogeneous px to homogeneous m."""
        metre = self.length_m / np.hypot(*np.subtract(*self.line))
        return np.diag([metre, metre, 1.0])


class Homography(BaseModel):
    """Homography from image to ground. ``points`` (px) and ``ground`` (m): the four points it was made from, if any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["homography"] = "homography"
    unit: Literal["m"] = "m"
    image_to_ground: tuple[tuple[float, float, float], ...] = Field(default=(), max_length=3)
    points: tuple[Point, ...] = Field(default=(), max_length=4)
    ground: tuple[Point, ...] = Field(default=(), max_length=4)

    @model_validator(mode="after")
    def _is_usable(self) -> "Homography":
        if self.points or self.ground:
            if len(self.points) != 4 or len(self.ground) != 4:
                raise ValueError("a slanted camera's scale needs four points and where they are on the ground")
            if abs(np.linalg.det(self.matrix)) < 1e-12:
                raise ValueError("three of the four ground points lie on a line; choose others")
        elif len(self.image_to_ground) != 3 or abs(np.linalg.det(np.array(self.image_to_ground))) < 1e-15:
            raise ValueError("image_to_ground must be a 3 x 3 matrix that can be inverted")
        return self

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64, homogeneous px to homogeneous m."""
        if self.points:
            return homography_of(np.array(self.points), np.array(self.ground))
        return np.array(self.image_to_ground)


Scale = KnownLength | Homography


def homography_of(image: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Return the (3, 3) float64 homography from four points (4, 2) px to (4, 2) m, by direct linear transform (DLT).

    Where three points are collinear there is none, and the determinant is near 0.
    """
    rows = []
    for (x, y), (u, v) in zip(image, ground, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, -u], [0, 0, 0, x, y, 1, -v * x, -v * y, -v]]
    matrix = np.linalg.svd(np.array(rows, float))[2][-1].reshape(3, 3)
    return matrix / matrix[2, 2] if abs(matrix[2, 2]) > 1e-12 else matrix


def to_ground(scale: Scale | None, points: np.ndarray) -> np.ndarray:
    """Map (..., 2) px to metres on the ground; without a scale px stay px. Points beyond the horizon become NaN."""
    if scale is None:
        return np.asarray(points, float)
    matrix = scale.matrix
    x, y = points[..., 0], points[..., 1]
    depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    depth = np.where(depth * _sign(scale) > 1e-9, depth, np.nan)
    across = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / depth
    along = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / depth
    return np.stack([across, along], axis=-1)


def _sign(scale: Scale) -> float:
    """Return the sign of the depth on the side of the horizon where the ground is: among the points, or far below."""
    has_points = isinstance(scale, Homography) and scale.points
    x, y = np.mean(scale.points, axis=0) if has_points else (0.0, 1e6)
    return float(np.sign(scale.matrix[2] @ [x, y, 1]))
