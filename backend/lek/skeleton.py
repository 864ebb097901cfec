"""From the pose of a bird to points in space: one skeleton for the rendered body and for mere outlines.

A bird has its own axes: forward, left and up. Lengths are metres of a bird of size 1 (30 cm from bill to tail).
"""

import math

import numpy as np

from backend.project.kernels import kernel

TAIL_TIP, TAIL, RUMP, BACK, BREAST, ROOT, NECK, NAPE, HEAD, FOREHEAD, BILL_TIP = range(11)
N_JOINTS = 11
RADIUS = np.array([0.010, 0.020, 0.041, 0.0565, 0.054, 0.041, 0.030, 0.0245, 0.0225, 0.0150, 0.0025])  # m

LEG_M = 0.105  # from the ground to the belly when standing straight
BELLY_M = 0.052
NECK_M = (0.030, 0.060)  # drawn in, and what stretching adds
BILL_M = 0.036
WING_SPAN_M = 0.26  # of one open wing, from the shoulder
SHOULDER = (0.025, 0.038, 0.022)  # forward, left, up from the middle of the body
HIP = (-0.012, 0.024, -0.030)
RUFF_M = (0.046, 0.046)  # radius when flat, and what spreading adds
FOLDED_WING = (0.052, 0.205)  # where it begins ahead of the middle of the body, and its length, m
RIM = 0.6  # of the way from the cheeks over the ruff to the breast


@kernel
def joints(bird, size, out):
    """Fill ``out`` (N_JOINTS, 3) float64, m in the world, with the joints from tail tip to bill tip."""
    middle = body_height(bird, size)
    cos_p, sin_p = math.cos(bird.pitch), math.sin(bird.pitch)
    nod = 0.012 * math.sin(2.0 * bird.gait) * min(1.0, bird.speed / 0.2)
    for joint, along, above in (
        (TAIL, -0.108, 0.004),
        (RUMP, -0.078, 0.004),
        (BACK, -0.030, 0.000),
        (BREAST, 0.020, -0.004),
        (ROOT, 0.060, 0.014),
    ):
        place(bird, size, middle, along * cos_p - above * sin_p, 0.0, along * sin_p + above * cos_p, out[joint])
    droop = bird.pitch - 0.12 - 0.25 * bird.crouch + 0.45 * bird.wings
    tip_a = -0.108 * cos_p - 0.004 * sin_p - 0.062 * math.cos(droop)
    tip_u = -0.108 * sin_p + 0.004 * cos_p - 0.062 * math.sin(droop)
    place(bird, size, middle, tip_a, 0.0, tip_u, out[TAIL_TIP])

    root_a, root_u = 0.060 * cos_p - 0.014 * sin_p, 0.060 * sin_p + 0.014 * cos_p
    reach = NECK_M[0] + NECK_M[1] * bird.neck
    yaw = 0.45 * bird.head_turn
    neck_a = math.cos(bird.lean) * math.cos(yaw) * reach + nod
    neck_l = math.cos(bird.lean) * math.sin(yaw) * reach
    neck_u = math.sin(bird.lean) * reach
    place(bird, size, middle, root_a + 0.5 * neck_a, 0.5 * neck_l, root_u + 0.5 * neck_u + 0.004, out[NECK])
    place(bird, size, middle, root_a + neck_a, neck_l, root_u + neck_u, out[NAPE])
    bill_a = math.cos(bird.bill) * math.cos(bird.head_turn)
    bill_l = math.cos(bird.bill) * math.sin(bird.head_turn)
    bill_u = math.sin(bird.bill)
    for joint, far in ((HEAD, 0.015), (FOREHEAD, 0.030), (BILL_TIP, 0.034 + BILL_M)):
        rise = 0.010 if joint == HEAD else 0.006
        place(
            bird,
            size,
            middle,
            root_a + neck_a + far * bill_a,
            neck_l + far * bill_l,
            root_u + neck_u + far * bill_u + rise,
            out[joint],
        )


@kernel(inline="always")
def body_height(bird, size):
    """Return the height, m, of the middle of the body above the ground the bird stands on or flies over."""
    step = 0.004 * math.sin(2.0 * bird.gait + 0.8) * min(1.0, bird.speed / 0.2)
    return bird.z + size * (BELLY_M + LEG_M * (1.0 - 0.93 * bird.crouch) + step)


@kernel(inline="always")
def place(bird, size, middle, ahead, left, up, out):
    """Put a point given in the bird's axes (m, from the middle of its body) into the world."""
    cos_h, sin_h = math.cos(bird.heading), math.sin(bird.heading)
    out[0] = bird.x + size * (ahead * cos_h - left * sin_h)
    out[1] = bird.y + size * (ahead * sin_h + left * cos_h)
    out[2] = middle + size * up


@kernel
def wing_point(bird, size, side, along, behind, out):
    """Put a wing point into ``out``: ``side`` +1 is left, ``along`` 0 shoulder to 1 tip, ``behind`` m to the rear."""
    lift = 0.15 + 0.85 * math.sin(bird.flap)
    sweep = 1.0 - bird.wings
    span = WING_SPAN_M * along * (0.25 + 0.75 * bird.wings)
    bend = lift * (0.75 + 0.5 * along)
    left = SHOULDER[1] + span * math.cos(bend) * (1.0 - 0.7 * sweep)
    up = SHOULDER[2] + span * math.sin(bend)
    ahead = SHOULDER[0] - behind + 0.03 * math.sin(3.1 * along) - span * (0.28 * along + 0.9 * sweep)
    cos_p, sin_p = math.cos(bird.pitch), math.sin(bird.pitch)
    place(
        bird,
        size,
        body_height(bird, size),
        ahead * cos_p - up * sin_p,
        side * left,
        ahead * sin_p + up * cos_p,
        out,
    )


@kernel(inline="always")
def unfolding(bird):
    """Return how far a wing has come from folded (0) to open (1)."""
    return bird.wings * bird.wings * (3.0 - 2.0 * bird.wings)


@kernel
def folded_wing_point(bird, size, side, along, out):
    """Put a point of the middle of a folded wing into ``out``; arguments as for `wing_point`."""
    cos_p, sin_p = math.cos(bird.pitch), math.sin(bird.pitch)
    ahead, up = FOLDED_WING[0] - FOLDED_WING[1] * along, 0.01
    left = side * 0.045 * (1.0 - along)
    place(bird, size, body_height(bird, size), ahead * cos_p - up * sin_p, left, ahead * sin_p + up * cos_p, out)


@kernel
def leg_points(bird, size, side, hip, heel, foot):
    """Fill hip, heel and foot (3,) of one leg; ``side`` +1 is left. In flight the legs trail."""
    middle = body_height(bird, size)
    place(bird, size, middle, HIP[0], side * HIP[1], HIP[2], hip)
    flying = min(1.0, max(0.0, (bird.z - 0.03) / 0.08))
    moving = min(1.0, bird.speed / 0.12)
    swing = bird.gait + (0.0 if side > 0 else math.pi)
    ahead = 0.006 + 0.040 * math.sin(swing) * moving
    lift = 0.022 * max(0.0, math.cos(swing)) * moving
    place(bird, size, bird.z + 0.003 + size * lift, ahead, side * 0.024, 0.0, foot)
    place(bird, size, middle, -0.105, side * 0.014, -0.045, heel)  # where a foot trails
    for axis in range(3):
        foot[axis] += flying * (heel[axis] - foot[axis])
        heel[axis] = 0.5 * (hip[axis] + foot[axis])
    bent = size * (0.016 + 0.030 * bird.crouch)
    heel[0] -= bent * math.cos(bird.heading)
    heel[1] -= bent * math.sin(bird.heading)


@kernel
def ruff_axes(points, left):
    """Return the axes of the ruff, each of length 1: along the neck, to its left, and to its nape."""
    axis = points[NAPE] - points[ROOT]
    side, up = turn(left, axis)
    return axis / math.sqrt(axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2), side, up


@kernel
def ruff_point(bird, size, points, axis, side, up, t, angle, feather, out):
    """Put a ruff point into ``out``: ``t`` 0 at the cheeks, `RIM` at the rim, 1 at the breast; ``angle`` 0 in front.

    ``feather`` is the length of the feathers there, 1 on average. A flat ruff hangs down to the breast, a spread one
    stands off.
    """
    outer = t <= RIM
    w = t / RIM if outer else (1.0 - t) / (1.0 - RIM)
    throat = 0.5 + 0.5 * math.cos(angle)
    reach = size * (RUFF_M[0] + RUFF_M[1] * bird.ruff) * (0.66 + 0.34 * throat) * (1.0 + (feather - 1.0) * w)
    inner = size * (0.0235 if outer else 0.043)
    radius = inner + (reach - inner) * math.sin(0.5 * math.pi * w)
    droop = size * (0.050 - 0.058 * bird.ruff + 0.10 * (feather - 1.0))
    fall = droop * (0.55 + 0.75 * throat) * (w * w if outer else w)
    along, across = -math.cos(angle) * radius, math.sin(angle) * radius
    for k in range(3):
        goal = 0.25 * points[NECK, k] + 0.75 * points[NAPE, k]
        start = goal + 0.1 * (points[NECK, k] - goal) if outer else 0.25 * points[NECK, k] + 0.75 * points[ROOT, k]
        out[k] = start + (goal - start) * w - fall * axis[k] + across * side[k] + along * up[k]


@kernel
def turn(side, tangent):
    """Return ``side`` made perpendicular to ``tangent``, and the up that goes with them; both of length 1."""
    tx, ty, tz = tangent[0], tangent[1], tangent[2]
    length = math.sqrt(tx * tx + ty * ty + tz * tz) + 1e-12
    tx, ty, tz = tx / length, ty / length, tz / length
    along = side[0] * tx + side[1] * ty + side[2] * tz
    sx, sy, sz = side[0] - along * tx, side[1] - along * ty, side[2] - along * tz
    length = math.sqrt(sx * sx + sy * sy + sz * sz) + 1e-12
    sx, sy, sz = sx / length, sy / length, sz / length
    up = np.array([ty * sz - tz * sy, tz * sx - tx * sz, tx * sy - ty * sx])
    return np.array([sx, sy, sz]), up
