"""The body of a bird as a mesh: which triangles it has, the same for all birds, and where its vertices are in a pose.

Every part is a grid of rows and columns of vertices, so that the position along it (u) and around or across it (v) is
at the same time the place in the part's plumage texture.
"""

import math
from typing import NamedTuple

import numpy as np

from backend.lek.skeleton import (
    BILL_TIP,
    FOLDED_WING,
    FOREHEAD,
    HEAD,
    N_JOINTS,
    RADIUS,
    TAIL,
    TAIL_TIP,
    body_height,
    joints,
    leg_points,
    place,
    ruff_axes,
    ruff_point,
    turn,
    unfolding,
    wing_point,
)
from backend.project.kernels import kernel

BODY, RUFF, WING, TAIL_FAN, TUFT, BILL, LEG = range(7)  # materials, and layers of a bird's texture atlas
N_MATERIALS = 7

SPANS, STEPS = 8, 3  # of the trunk from tail to forehead
TRUNK = (SPANS * STEPS + 1, 19)  # rows along, columns around (the last lies on the first)
RUFF_GRID = (9, 73)
WING_GRID = (10, 6)
FAN_GRID = (4, 9)
TUFT_GRID = (4, 5)
BILL_GRID = (4, 7)
LEG_GRID = (5, 5)
TOE_GRID = (2, 4)
TOES = (-0.45, 0.0, 0.45)

_PARTS = (
    (BODY, TRUNK, 1),
    (RUFF, RUFF_GRID, 1),
    (WING, WING_GRID, 2),
    (TAIL_FAN, FAN_GRID, 1),
    (TUFT, TUFT_GRID, 2),
    (BILL, BILL_GRID, 1),
    (LEG, LEG_GRID, 2),
    (LEG, TOE_GRID, 2 * len(TOES)),  # painted as the lower half of a leg
)
ROUND = (BODY, RUFF, BILL, LEG)  # closed around; the others are sheets seen from both sides


class Mesh(NamedTuple):
    """What does not move: triangles, materials, places in the texture."""

    triangles: np.ndarray  # (T, 3) int32
    material: np.ndarray  # (T,) int32
    uv: np.ndarray  # (V, 2) float32
    seam: np.ndarray  # (S, 2) int32: vertices in the same place, whose normals are averaged


def _build() -> Mesh:
    triangles, materials, uv, seam = [], [], [], []
    start = 0
    for material, (rows, columns), copies in _PARTS:
        for _ in range(copies):
            number = start + np.arange(rows * columns).reshape(rows, columns)
            a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
            part = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, c, b), (b, c, d))])
            triangles.append(part)
            materials.append(np.full(len(part), material))
            top = 0.5 if (rows, columns) == TOE_GRID else 0.0
            along, across = np.meshgrid(np.linspace(top, 1, rows), np.linspace(0, 1, columns), indexing="ij")
            uv.append(np.stack([along, across], -1).reshape(-1, 2))
            if material in ROUND:
                seam.append(np.stack([number[:, 0], number[:, -1]], -1))
            start += rows * columns
    return Mesh(
        np.concatenate(triangles).astype(np.int32),
        np.concatenate(materials).astype(np.int32),
        np.concatenate(uv).astype(np.float32),
        np.concatenate(seam).astype(np.int32),
    )


MESH = _build()
N_VERTICES = len(MESH.uv)


@kernel
def flesh(bird, size, ragged, out):
    """Fill ``out`` (N_VERTICES, 3) float64, m in the world, with the bird's skin and feathers.

    ``ragged`` (RUFF columns,) float64 is the length of the ruff's feathers around the neck, 1 on average.
    """
    points = np.empty((N_JOINTS, 3))
    joints(bird, size, points)
    left = np.array([-math.sin(bird.heading), math.cos(bird.heading), 0.0])
    at = _trunk(points, size, left, out, 0)
    at = _ruff(bird, points, size, left, ragged, out, at)
    for side in (1.0, -1.0):
        at = _wing(bird, size, side, out, at)
    at = _fan(bird, points, size, left, out, at)
    for side in (1.0, -1.0):
        at = _tuft(bird, points, size, left, side, out, at)
    at = _tube(points[FOREHEAD], points[BILL_TIP], 0.0078 * size, 0.0018 * size, BILL_GRID, left, out, at)
    feet = np.empty((2, 3))
    for k in range(2):
        at = _leg(bird, size, 1.0 - 2.0 * k, left, feet[k], out, at)
    for k in range(2):
        at = _toes(bird, size, feet[k], left, out, at)
    return at


@kernel
def _trunk(points, size, left, out, at):
    side = left.copy()
    rows, columns = TRUNK
    for row in range(rows):
        span, step = min(row // STEPS, SPANS - 1), (row - min(row // STEPS, SPANS - 1) * STEPS) / STEPS
        k = TAIL + span
        before, after = max(TAIL, k - 1), min(FOREHEAD, k + 2)
        centre = np.empty(3)
        tangent = np.empty(3)
        for axis in range(3):
            a, b, c, d = points[before, axis], points[k, axis], points[k + 1, axis], points[after, axis]
            centre[axis] = _curve(a, b, c, d, step)
            tangent[axis] = _slope(a, b, c, d, step)
        radius = size * max(0.003, _curve(RADIUS[before], RADIUS[k], RADIUS[k + 1], RADIUS[after], step))
        if row == rows - 1:
            radius *= 0.45
        flat = 0.55 if row == 0 else (0.8 if row == 1 else 1.0)
        side, up = turn(side, tangent)
        for column in range(columns):
            angle = 2.0 * math.pi * column / (columns - 1)
            across, rise = radius * math.sin(angle) * (2.0 - flat), -radius * math.cos(angle) * flat
            for axis in range(3):
                out[at, axis] = centre[axis] + across * side[axis] + rise * up[axis]
            at += 1
    return at


@kernel
def _ruff(bird, points, size, left, ragged, out, at):
    """Put a collar of feathers around the neck: from the cheeks out to a ragged rim and back in to the breast."""
    axis, side, up = ruff_axes(points, left)
    rows, columns = RUFF_GRID
    for row in range(rows):
        for column in range(columns):
            angle = 2.0 * math.pi * column / (columns - 1)
            ruff_point(bird, size, points, axis, side, up, row / (rows - 1), angle, ragged[column], out[at])
            at += 1
    return at


@kernel
def _wing(bird, size, side, out, at):
    """Lay a wing along the body, open it, or anything in between."""
    middle = body_height(bird, size)
    cos_p, sin_p = math.cos(bird.pitch), math.sin(bird.pitch)
    opened = unfolding(bird)
    rows, columns = WING_GRID
    unfolded = np.empty(3)
    for row in range(rows):
        s = row / (rows - 1)
        along = FOLDED_WING[0] - FOLDED_WING[1] * s
        girth = 0.0575 * math.sqrt(max(0.0, 1.0 - ((along + 0.012) / 0.116) ** 2))
        high = 0.034 - 0.022 * s * s
        low = -0.020 + 0.034 * s**1.5
        taper = math.sqrt(max(0.0, 1.0 - (2.0 * max(0.0, s - 0.5)) ** 2.5))
        rounding = math.sqrt(min(1.0, s / 0.18 + 0.12))
        chord = 0.088 * (1.0 - 0.35 * s - 0.40 * s**4)
        for column in range(columns):
            t = column / (columns - 1)
            mid = 0.5 * (high + low)
            up = mid + (0.5 - t) * (high - low) * taper * rounding
            out_m = math.sqrt(max(girth * girth - up * up, 0.0)) + 0.004 + 0.005 * math.sin(math.pi * t) * (1.0 - s)
            out_m = max(out_m, 0.014 * (1.0 - s) + 0.003)
            place(bird, size, middle, along * cos_p - up * sin_p, side * out_m, along * sin_p + up * cos_p, out[at])
            if opened > 0.0:
                wing_point(bird, size, side, s, chord * t - 0.02, unfolded)
                for axis in range(3):
                    out[at, axis] += opened * (unfolded[axis] - out[at, axis])
            at += 1
    return at


@kernel
def _fan(bird, points, size, left, out, at):
    rows, columns = FAN_GRID
    for row in range(rows):
        s = row / (rows - 1)
        half = size * (0.016 + (0.006 + 0.045 * bird.tail) * s)
        for column in range(columns):
            t = 2.0 * column / (columns - 1) - 1.0
            back = s * (1.0 - 0.22 * t * t * (0.3 + bird.tail))
            for axis in range(3):
                out[at, axis] = points[TAIL, axis] + (points[TAIL_TIP, axis] - points[TAIL, axis]) * (
                    1.25 * back - 0.25
                )
                out[at, axis] += half * t * left[axis]
            out[at, 2] += size * 0.010 * (1.0 - t * t)
            at += 1
    return at


@kernel
def _tuft(bird, points, size, left, side, out, at):
    """Put one of the two tufts that stand off the head behind the eye."""
    forward = points[FOREHEAD] - points[HEAD]
    out_of, up = turn(left, forward)
    forward = forward / math.sqrt(forward[0] ** 2 + forward[1] ** 2 + forward[2] ** 2)
    rows, columns = TUFT_GRID
    length = size * (0.026 + 0.014 * bird.ruff)
    for row in range(rows):
        s = row / (rows - 1)
        half = size * (0.010 + 0.008 * bird.ruff) * (0.75 + 0.9 * s - 1.2 * s**3)
        for column in range(columns):
            t = 2.0 * column / (columns - 1) - 1.0
            for axis in range(3):
                start = points[HEAD, axis] + size * (
                    0.015 * side * out_of[axis] + 0.010 * up[axis] - 0.004 * forward[axis]
                )
                away = -0.80 * forward[axis] + (0.15 + 0.45 * bird.ruff) * side * out_of[axis] - 0.15 * up[axis]
                wide = 0.8 * up[axis] - 0.35 * side * out_of[axis]
                out[at, axis] = start + s * length * away + t * half * wide
            at += 1
    return at


@kernel
def _leg(bird, size, side, left, foot, out, at):
    """Put a leg from hip to foot; ``foot`` (3,) is set to where it ends."""
    hip, heel = np.empty(3), np.empty(3)
    leg_points(bird, size, side, hip, heel, foot)
    rows, columns = LEG_GRID
    for row in range(rows):
        s = row / (rows - 1)
        upper = s < 0.5
        w = 2.0 * s if upper else 2.0 * s - 1.0
        radius = size * (0.0100 - 0.0062 * w if upper else 0.0038 - 0.0006 * w)
        for column in range(columns):
            angle = 2.0 * math.pi * column / (columns - 1)
            for axis in range(3):
                a, b = (hip[axis], heel[axis]) if upper else (heel[axis], foot[axis])
                sway = radius * (math.sin(angle) * left[axis])
                out[at, axis] = a + (b - a) * w + sway
            out[at, 0] += radius * math.cos(angle) * left[1]
            out[at, 1] -= radius * math.cos(angle) * left[0]
            at += 1
    return at


@kernel
def _toes(bird, size, foot, left, out, at):
    tip = np.empty(3)
    for spread in TOES:
        length = size * 0.032
        tip[0] = foot[0] + length * math.cos(bird.heading + spread)
        tip[1] = foot[1] + length * math.sin(bird.heading + spread)
        tip[2] = max(0.002, foot[2] - 0.004)
        at = _tube(foot, tip, 0.0036 * size, 0.0016 * size, TOE_GRID, left, out, at)
    return at


@kernel
def _tube(start, end, first, last, grid, left, out, at):
    side, up = turn(left, end - start)
    rows, columns = grid
    for row in range(rows):
        s = row / (rows - 1)
        radius = first + (last - first) * s
        for column in range(columns):
            angle = 2.0 * math.pi * column / (columns - 1)
            for axis in range(3):
                out[at, axis] = start[axis] + (end[axis] - start[axis]) * s
                out[at, axis] += radius * (math.sin(angle) * side[axis] - math.cos(angle) * up[axis])
            at += 1
    return at


@kernel(inline="always")
def _curve(a, b, c, d, t):
    return b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))


@kernel(inline="always")
def _slope(a, b, c, d, t):
    return 0.5 * (c - a) + t * (2.0 * a - 5.0 * b + 4.0 * c - d) + 1.5 * t * t * (3.0 * (b - c) + d - a)
