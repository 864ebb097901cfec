"""Filming without rendering: each bird as a row of discs along its skeleton, the nearer in front of the farther.

Boxes and masks come close to those of the rendered bird (a test says how close) at a hundredth of the cost. Grass and
feather tips are left out.
"""

import math

import cv2
import numpy as np

from backend.lek.arena import BOX_DEPTH_M, BOX_HEIGHT_M, box_corners, box_point
from backend.lek.bird import Behaviour
from backend.lek.camera import NEAREST_M, project
from backend.lek.skeleton import (
    N_JOINTS,
    NAPE,
    NECK,
    RADIUS,
    RIM,
    RUFF_M,
    TAIL_TIP,
    folded_wing_point,
    joints,
    leg_points,
    ruff_axes,
    ruff_point,
    unfolding,
    wing_point,
)
from backend.lek.visible import VIEW, RunLengths, measure, scratch
from backend.lek.world import Lek
from backend.project.kernels import kernel

BETWEEN = 2  # discs from one joint to the next
RIM_DISCS, WING_DISCS, LEG_DISCS = 10, 6, 8
WING_RADIUS_M, LEG_RADIUS_M = 0.045, 0.008
MAX_DISCS = (N_JOINTS - 1) * BETWEEN + 1 + RIM_DISCS + 2 * (WING_DISCS + 2 * LEG_DISCS)


class Outliner:
    """Films a lek without rendering it."""

    def __init__(self, lek: Lek, masks: bool = True):
        self._lek = lek
        self._owner = np.zeros(lek.settings.size[::-1], np.uint8)
        self._runs = scratch(lek.settings.size, masks)
        self._box, self._box_distance = box_silhouette(lek)
        self._codes = RunLengths()

    def film(self, first: int, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Film (frames, n) BIRD states, the first of which is frame ``first``.

        Returns
        -------
        views
            (frames, n) VIEW.
        codes
            (bytes,) uint8: the compressed run lengths of all birds and frames, one after the other.
        """
        views = np.zeros(states.shape, VIEW)
        for birds, seen in zip(states, views, strict=True):
            self._codes.append(lambda out, at, birds=birds, seen=seen: self._frame(birds, seen, out, at))
        return views, self._codes.take()

    def _frame(self, birds: np.ndarray, views: np.ndarray, out: np.ndarray, at: int) -> int:
        lek, box = self._lek, (self._box, self._box_distance)
        regions = paint(birds, lek.temperament["size"], lek.camera, *box, self._owner, views)
        return measure(self._owner, regions, views, self._runs, out, at)


def box_silhouette(lek: Lek) -> tuple[np.ndarray, float]:
    """Return the (H, W) bool silhouette of the nest box and the distance of its door, m along the camera's axis."""
    width, height = lek.settings.size
    corners = [project(lek.camera, x, y, z)[:2] for x, y in box_corners(lek.arena) for z in (0.0, BOX_HEIGHT_M)]
    silhouette = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(silhouette, cv2.convexHull(np.round(corners).astype(np.int32)), 1)
    door = box_point(lek.arena, BOX_DEPTH_M / 2)
    return silhouette.astype(bool), project(lek.camera, *door, 0.0)[2]


@kernel
def paint(birds, sizes, camera, box, box_distance, owner, views):
    """Paint birds and box into ``owner`` from far to near; set feet, ``whole`` and ``inside`` of ``views``.

    Returns
    -------
    (n, 4) int64
        Columns [x1, x2) and rows [y1, y2) inside the picture that hold all pixels of each bird.
    """
    n = len(birds)
    height, width = owner.shape
    discs = np.empty((MAX_DISCS, 3))
    regions = np.zeros((n, 4), np.int64)
    distance = np.empty(n)
    owner[:] = 0
    for i in range(n):
        views[i].foot_x, views[i].foot_y, distance[i] = project(camera, birds[i].x, birds[i].y, 0.0)
    box_is_painted = False
    for i in np.argsort(-distance):
        hidden = birds[i].behaviour == Behaviour.AWAY or birds[i].behaviour == Behaviour.IN_BOX
        if hidden or distance[i] < NEAREST_M:
            continue
        if not box_is_painted and distance[i] < box_distance:
            erase(owner, box, regions)
            box_is_painted = True
        count = make_discs(birds[i], sizes[i], camera, discs)
        stamp(discs[:count], i + 1, owner, views[i], regions[i])
    if not box_is_painted:
        erase(owner, box, regions)
    return regions


@kernel
def erase(owner, box, regions):
    """Hide behind ``box`` (H, W) bool what was painted so far; ``regions`` say where that is."""
    for x1, y1, x2, y2 in regions:
        for row in range(y1, y2):
            for column in range(x1, x2):
                if box[row, column]:
                    owner[row, column] = 0


@kernel
def make_discs(bird, size, camera, discs):
    """Fill ``discs`` with (column, row, radius), px, of the bird's parts and return their number."""
    points = np.empty((N_JOINTS, 3))
    joints(bird, size, points)
    count = 0
    for joint in range(TAIL_TIP, N_JOINTS - 1):
        for part in range(BETWEEN):
            share = part / BETWEEN
            at = (1.0 - share) * points[joint] + share * points[joint + 1]
            radius = (1.0 - share) * RADIUS[joint] + share * RADIUS[joint + 1]
            count = add_disc(at, size * radius, camera, discs, count)
    count = add_ruff(bird, size, points, camera, discs, count)
    for side in (-1.0, 1.0):
        hip, heel, foot = points[0], points[1], points[2]  # the joints were used and are not needed any more
        leg_points(bird, size, side, hip, heel, foot)
        for part in range(LEG_DISCS):
            share = (part + 0.5) / LEG_DISCS
            count = add_disc((1.0 - share) * hip + share * heel, LEG_RADIUS_M * size, camera, discs, count)
            count = add_disc((1.0 - share) * heel + share * foot, LEG_RADIUS_M * size, camera, discs, count)
        if bird.wings > 0.15:  # a folded wing stays inside the trunk
            for part in range(WING_DISCS):
                along = (part + 0.5) / WING_DISCS
                wing_point(bird, size, side, along, 0.02, points[0])
                folded_wing_point(bird, size, side, along, points[1])
                at = points[1] + unfolding(bird) * (points[0] - points[1])
                count = add_disc(at, size * WING_RADIUS_M * (1.0 - 0.6 * along), camera, discs, count)
    return count


@kernel
def add_ruff(bird, size, points, camera, discs, count):
    """Append a ring of discs inside the rim of the ruff and one in its middle; return the new count."""
    left = np.array([-math.sin(bird.heading), math.cos(bird.heading), 0.0])
    axis, side, up = ruff_axes(points, left)
    reach = RUFF_M[0] + RUFF_M[1] * bird.ruff
    middle = 0.25 * points[NECK] + 0.75 * points[NAPE]
    count = add_disc(middle, 0.45 * size * reach, camera, discs, count)
    rim = np.empty(3)
    for k in range(RIM_DISCS):
        ruff_point(bird, size, points, axis, side, up, RIM, 2.0 * math.pi * k / RIM_DISCS, 1.0, rim)
        rim += 0.35 * (middle - rim)
        count = add_disc(rim, 0.33 * size * reach, camera, discs, count)
    return count


@kernel
def add_disc(at, radius_m, camera, discs, count):
    """Append the disc of a sphere to ``discs`` and return the new count."""
    column, row, distance = project(camera, at[0], at[1], at[2])
    discs[count, 0], discs[count, 1], discs[count, 2] = column, row, radius_m * camera.focal / distance
    return count + 1


@kernel
def stamp(discs, value, owner, view, region):
    """Paint the union of discs as ``value``; count its pixels with and without the picture's border."""
    height, width = owner.shape
    left = int(math.floor((discs[:, 0] - discs[:, 2]).min()))
    top = int(math.floor((discs[:, 1] - discs[:, 2]).min()))
    right = int(math.ceil((discs[:, 0] + discs[:, 2]).max()))
    bottom = int(math.ceil((discs[:, 1] + discs[:, 2]).max()))
    union = np.zeros((bottom - top, right - left), np.bool_)
    for x, y, radius in discs:
        for column in range(int(math.ceil(x - radius - 0.5)), int(math.floor(x + radius - 0.5)) + 1):
            off = column + 0.5 - x
            half = math.sqrt(max(0.0, radius * radius - off * off))
            start, stop = int(math.ceil(y - half - 0.5)), int(math.floor(y + half - 0.5)) + 1
            for row in range(start, stop):
                union[row - top, column - left] = True
    whole = inside = 0
    for row in range(bottom - top):
        for column in range(right - left):
            if union[row, column]:
                whole += 1
                if 0 <= row + top < height and 0 <= column + left < width:
                    inside += 1
                    owner[row + top, column + left] = value
    view.whole, view.inside = whole, inside
    region[0], region[1] = max(0, left), max(0, top)
    region[2], region[3] = max(0, min(width, right)), max(0, min(height, bottom))
