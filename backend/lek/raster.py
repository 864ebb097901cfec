"""Triangles to samples. Vertices are rounded to a sixteenth of a sample, so that every machine fills the same ones."""

import math

import numpy as np

from backend.lek.camera import project
from backend.project.kernels import kernel

SAMPLES = 2  # a pixel is SAMPLES x SAMPLES samples
SNAP = 16.0


@kernel
def to_samples(camera, vertices, samples, out):
    """Fill ``out`` (V, 3) float64 with (column, row) in samples, rounded, and 1 / distance, of (V, 3) world points.

    Return the sample box (x1, y1, x2, y2) that holds them all.
    """
    x1 = y1 = 1e9
    x2 = y2 = -1e9
    for i in range(len(vertices)):
        column, row, distance = project(camera, vertices[i, 0], vertices[i, 1], vertices[i, 2])
        x, y = round(column * samples * SNAP) / SNAP, round(row * samples * SNAP) / SNAP
        out[i, 0], out[i, 1], out[i, 2] = x, y, 1.0 / distance
        x1, x2, y1, y2 = min(x1, x), max(x2, x), min(y1, y), max(y2, y)
    return int(math.floor(x1)), int(math.floor(y1)), int(math.ceil(x2)) + 1, int(math.ceil(y2)) + 1


@kernel
def fill(points, triangles, left, top, near, owner, weight):
    """Draw triangles; of several at a sample the nearest stays.

    Parameters
    ----------
    points
        (V, 3) float64 from `to_samples`.
    triangles
        (T, 3) int32.
    left, top
        The sample of the picture that the first of the buffers is.
    near, owner, weight
        (h, w) float32 inverse distance, (h, w) int32 triangle, (h, w, 2) float32 weights of its first two corners.
        ``near`` is 0 and ``owner`` is -1 where nothing was drawn.
    """
    height, width = near.shape
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = points[a, 0] - left, points[a, 1] - top
        bx, by = points[b, 0] - left, points[b, 1] - top
        cx, cy = points[c, 0] - left, points[c, 1] - top
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        x1 = max(0, int(math.ceil(min(ax, bx, cx) - 0.5)))
        x2 = min(width, int(math.floor(max(ax, bx, cx) - 0.5)) + 1)
        y1 = max(0, int(math.ceil(min(ay, by, cy) - 0.5)))
        y2 = min(height, int(math.floor(max(ay, by, cy) - 0.5)) + 1)
        scale = 1.0 / area
        for y in range(y1, y2):
            py = y + 0.5
            for x in range(x1, x2):
                px = x + 0.5
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * scale
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * scale
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                depth = wa * points[a, 2] + wb * points[b, 2] + wc * points[c, 2]
                if depth > near[y, x]:
                    near[y, x] = depth
                    owner[y, x] = t
                    weight[y, x, 0] = wa
                    weight[y, x, 1] = wb


@kernel
def cover(points, triangles, left, top, mask):
    """Set ``mask`` (h, w) uint8 to 255 wherever a triangle covers the middle of a sample."""
    height, width = mask.shape
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = points[a, 0] - left, points[a, 1] - top
        bx, by = points[b, 0] - left, points[b, 1] - top
        cx, cy = points[c, 0] - left, points[c, 1] - top
        sign = 1.0 if (bx - ax) * (cy - ay) > (by - ay) * (cx - ax) else -1.0
        x1 = max(0, int(math.ceil(min(ax, bx, cx) - 0.5)))
        x2 = min(width, int(math.floor(max(ax, bx, cx) - 0.5)) + 1)
        y1 = max(0, int(math.ceil(min(ay, by, cy) - 0.5)))
        y2 = min(height, int(math.floor(max(ay, by, cy) - 0.5)) + 1)
        for y in range(y1, y2):
            for x in range(x1, x2):
                px, py = x + 0.5, y + 0.5
                if sign * ((bx - px) * (cy - py) - (by - py) * (cx - px)) < 0.0:
                    continue
                if sign * ((cx - px) * (ay - py) - (cy - py) * (ax - px)) < 0.0:
                    continue
                if sign * ((ax - px) * (by - py) - (ay - py) * (bx - px)) >= 0.0:
                    mask[y, x] = 255


@kernel
def normals(vertices, triangles, seam, out):
    """Fill ``out`` (V, 3) float64 with smooth normals of length 1; ``seam`` (S, 2) pairs vertices that lie together."""
    out[:] = 0.0
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            out[corner, 0] += nx
            out[corner, 1] += ny
            out[corner, 2] += nz
    for s in range(len(seam)):
        one, other = seam[s, 0], seam[s, 1]
        for axis in range(3):
            out[one, axis] += out[other, axis]
            out[other, axis] = out[one, axis]
    for i in range(len(out)):
        length = math.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + 1e-20
        out[i, 0] /= length
        out[i, 1] /= length
        out[i, 2] /= length


def empty_buffers(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ``near``, ``owner`` and ``weight`` of `fill` with nothing drawn."""
    return (
        np.zeros((height, width), np.float32),
        np.full((height, width), -1, np.int32),
        np.empty((height, width, 2), np.float32),
    )
