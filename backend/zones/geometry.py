"""Points, boxes and masks inside polygons, compiled for millions of rows.

Polygons are passed as ``corners`` (V, 2) float64, the vertices of all polygons one after the other, and ``ends`` (Z,)
int64, the index after the last vertex of each polygon.
"""

from collections.abc import Sequence

import numpy as np

from backend.masks.rle import _read_counts
from backend.project.kernels import kernel


def join_polygons(polygons: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return ``corners`` (V, 2) float64 and ``ends`` (Z,) int64 of polygons, each (v, 2)."""
    corners = np.concatenate([np.zeros((0, 2)), *polygons]).astype(np.float64)
    return corners, np.cumsum([len(polygon) for polygon in polygons]).astype(np.int64)


@kernel
def points_inside(points, corners, ends):
    """Return (N, Z) uint8: 1 where a point (N, 2) lies inside a polygon. A NaN point lies in none."""
    inside = np.zeros((len(points), len(ends)), np.uint8)
    start = 0
    for zone in range(len(ends)):
        polygon = corners[start : ends[zone]]
        left, right = polygon[:, 0].min(), polygon[:, 0].max()
        top, bottom = polygon[:, 1].min(), polygon[:, 1].max()
        for k in range(len(points)):
            x, y = float(points[k, 0]), float(points[k, 1])
            if left <= x <= right and top <= y <= bottom and point_in_polygon(polygon, x, y):
                inside[k, zone] = 1
        start = ends[zone]
    return inside


@kernel
def point_in_polygon(polygon, x, y):
    """Return whether the point (x, y) lies inside ``polygon``, (V, 2), by the even-odd rule."""
    inside = False
    x1, y1 = polygon[-1]
    for x2, y2 in polygon:
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            inside = not inside
        x1, y1 = x2, y2
    return inside


@kernel
def distance_to_outlines(points, corners, ends):
    """Return (N, Z) float32: distance of each point (N, 2) to the outline of each polygon, in the points' unit."""
    distances = np.full((len(points), len(ends)), np.nan, np.float32)
    for k in range(len(points)):
        x, y = points[k, 0], points[k, 1]
        if np.isnan(x):
            continue
        start = 0
        for zone in range(len(ends)):
            least = np.inf
            x1, y1 = corners[ends[zone] - 1]
            for corner in range(start, ends[zone]):
                x2, y2 = corners[corner]
                dx, dy = x2 - x1, y2 - y1
                length2 = dx * dx + dy * dy
                along = ((x - x1) * dx + (y - y1) * dy) / length2 if length2 > 0 else 0.0
                along = min(1.0, max(0.0, along))
                ex, ey = x - x1 - along * dx, y - y1 - along * dy
                least = min(least, ex * ex + ey * ey)
                x1, y1 = x2, y2
            distances[k, zone] = np.sqrt(least)
            start = ends[zone]
    return distances


@kernel
def pixels_before(corners, ends, width, height):
    """Return (Z, width * height + 1) int32: cumulative number of pixels inside each zone, in column-major order.

    A pixel lies in a zone if its centre does. With this sum the share of a run-length mask costs two reads per run.
    """
    before = np.zeros((len(ends), width * height + 1), np.int32)
    start = 0
    for zone in range(len(ends)):
        polygon = corners[start : ends[zone]]
        crossings = np.empty(len(polygon))
        total = 0
        for column in range(width):
            x = column + 0.5
            n = 0
            x1, y1 = polygon[-1]
            for x2, y2 in polygon:
                if (x1 > x) != (x2 > x):
                    crossings[n] = y1 + (x - x1) * (y2 - y1) / (x2 - x1)
                    n += 1
                x1, y1 = x2, y2
            hits = np.sort(crossings[:n])
            at = 0
            for row in range(height):
                while at < n and hits[at] <= row + 0.5:
                    at += 1
                total += at % 2
                before[zone, column * height + row + 1] = total
        start = ends[zone]
    return before


@kernel
def mask_shares(text, offsets, before):
    """Return (N, Z) float32: share of each mask's area inside each zone, 0 to 1.

    ``text`` uint8 and ``offsets`` (N + 1,) hold COCO counts one after the other; ``before`` is from `pixels_before`.
    A mask without pixels has NaN.
    """
    shares = np.full((len(offsets) - 1, len(before)), np.nan, np.float32)
    inside = np.zeros(len(before), np.int64)
    for k in range(len(shares)):
        counts = _read_counts(text[offsets[k] : offsets[k + 1]])
        inside[:] = 0
        area, position = 0, 0
        for run in range(len(counts)):
            if run % 2:
                area += counts[run]
                for zone in range(len(before)):
                    inside[zone] += before[zone, position + counts[run]] - before[zone, position]
            position += counts[run]
        if area > 0:
            shares[k] = inside / area
    return shares


@kernel
def box_shares(boxes, before, height):
    """Return (N, Z) float32: share of each box (N, 4) x1 y1 x2 y2 px inside each zone, 0 to 1; NaN without a box."""
    shares = np.full((len(boxes), len(before)), np.nan, np.float32)
    width = (before.shape[1] - 1) // height
    for k in range(len(boxes)):
        if np.isnan(boxes[k, 0]):
            continue
        x1, x2 = max(0, int(round(boxes[k, 0]))), min(width, int(round(boxes[k, 2])))
        y1, y2 = max(0, int(round(boxes[k, 1]))), min(height, int(round(boxes[k, 3])))
        if x2 <= x1 or y2 <= y1:
            continue
        for zone in range(len(before)):
            inside = 0
            for x in range(x1, x2):
                inside += before[zone, x * height + y2] - before[zone, x * height + y1]
            shares[k, zone] = inside / ((x2 - x1) * (y2 - y1))
    return shares
