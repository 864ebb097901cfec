"""Masks as COCO polygons that give back exactly the same pixels, holes and several parts included.

**What COCO means by a polygon.** A pixel covers ``[x, x + 1)``, so its centre lies at ``x + 0.5``; a pixel is inside
if the boundary crosses its column an odd number of times above its centre; several polygons of one annotation are
united. That is how ``pycocotools`` reads them, and with it both engines and every evaluation. ``cv2.findContours``
gives the *indices* of the border pixels instead, half a pixel too small on every side, which is why we walk along the
cracks between the pixels.

**A ring** goes from crack to crack with the object at its right hand (y points down); pixels that touch at a corner
are connected. Its vertices are the middles of cracks, half a pixel from the nearest pixel centres. One straight line
may stand for a stretch of the ring as long as it keeps its distance from all pixel centres along it: slanted borders
need few vertices and still give the same pixels.

**Holes.** COCO has none. A hole is joined to the ring around it by a cut: along a row of pixel centres inside the
object to the hole, round it, and back the same way. Even and odd cancel the cut exactly, at any scale.

Every polygon is rasterised again by ``pycocotools`` before it is returned. Where the short form does not give the
mask back, the form with every corner of the pixels is used, which is exact by construction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from backend.masks import rle
from backend.project.kernels import kernel

RIGHT, DOWN, LEFT, UP = range(4)
# How far a line may lie from the middle of a crack, in half pixels. pycocotools rounds to fifths of a pixel; with 0.8
# and more, most masks would need the long form, with less the polygons only get longer.
SLACK = 0.7
FAR = 4  # times the image's longer side; pycocotools takes memory for every pixel of a line, wherever it lies


@dataclass(frozen=True)
class Outline:
    """The polygons of one mask.

    ``polygons``: (V, 2) int64 each, x y in **half pixels** (divide by two for COCO), one for each part of the mask.
    ``holes``: how many holes were cut open.
    """

    polygons: list[np.ndarray]
    holes: int

    def coco(self) -> list[list[float]]:
        """Return COCO's ``segmentation``: ``[[x, y, x, y, ...], ...]``, px."""
        return [(polygon.ravel() / 2).tolist() for polygon in self.polygons]

    def json(self) -> bytes:
        """Return ``coco()`` as JSON text, whole numbers without ``.0``."""
        return b"[" + b",".join(_json(polygon) for polygon in self.polygons) + b"]"


def outline(labels: np.ndarray, value: int, box: Sequence[float], counts: bytes) -> Outline:
    """Return the polygons of the object ``value`` of a label map.

    Parameters
    ----------
    labels
        (H, W) uint8.
    value
        The object's id; it must be there.
    box
        ``x1 y1 x2 y2`` px around all of it, as `LabelRuns.boxes` gives it.
    counts
        Its run-length code, which the polygons must give back.
    """
    cracks = _Cracks(*_trace(labels, value, *(int(side) for side in box)))
    paths, fixed = cracks.paths()
    polygons = [_short(cracks, path, fixed) for path in paths]
    if min(map(len, polygons)) < 3 or rasterise(polygons, *labels.shape) != counts:
        polygons = [_every_corner(cracks, path, fixed) for path in paths]
    return Outline(polygons, int((cracks.parents >= 0).sum()))


def count_parts(labels: np.ndarray, value: int, box: Sequence[float]) -> int:
    """Return of how many separate parts the object consists; parameters as for `outline`."""
    parents = _trace(labels, value, *(int(side) for side in box))[3]
    return int((parents < 0).sum())


def rasterise(polygons: Sequence[np.ndarray], height: int, width: int) -> bytes:
    """Return the counts of polygons in half pixels, as ``pycocotools`` reads them."""
    plain = [(polygon.ravel() / 2).tolist() for polygon in polygons]
    return coco_mask.merge(coco_mask.frPyObjects(plain, height, width))["counts"]


def to_counts(segmentation: Any, height: int, width: int) -> bytes:
    """Return the counts of any COCO ``segmentation``: polygons, compressed or uncompressed RLE.

    Raises
    ------
    ValueError
        If it is none of these, has another size, or a polygon has fewer than three points or a coordinate that is no
        number.
    """
    if isinstance(segmentation, dict):
        if list(segmentation.get("size", ())) != [height, width]:
            raise ValueError(f"the mask's size {segmentation.get('size')} is not its image's, [{height}, {width}]")
        return rle.checked(segmentation.get("counts"), height, width)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("there are neither polygons nor runs")
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise ValueError("a polygon needs at least three points, x and y each")
        if not (np.abs(np.asarray(polygon, float)) <= FAR * max(height, width)).all():
            raise ValueError("a polygon has coordinates that are no numbers or far outside the image")
    return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))["counts"]


@dataclass(frozen=True)
class _Cracks:
    """The cracks around one object, ring after ring.

    ``middles`` (N, 2) int64: the middle of every crack, x y in half pixels; ``directions`` (N,) uint8; ring ``k`` has
    ``offsets[k]:offsets[k + 1]``. ``parents`` (K,) int64 is -1 for an outer ring; for a hole it is the crack of
    another ring that the cut from crack ``anchors[k]`` meets.
    """

    middles: np.ndarray
    directions: np.ndarray
    offsets: np.ndarray
    parents: np.ndarray
    anchors: np.ndarray

    def paths(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Return for each outer ring its cracks in the polygon's order, and (N,) bool: cracks that stay vertices."""
        fixed = np.zeros(len(self.middles), bool)
        holes: dict[int, list[int]] = {}
        for ring in np.flatnonzero(self.parents >= 0).tolist():
            holes.setdefault(int(self.parents[ring]), []).append(ring)
            fixed[self.anchors[ring]] = fixed[self.parents[ring]] = True
        outer = np.flatnonzero(self.parents < 0).tolist()
        rings = [np.arange(self.offsets[ring], self.offsets[ring + 1]) for ring in outer]
        return ([self._with_holes(ring, holes) for ring in rings] if holes else rings), fixed

    def _with_holes(self, ring: np.ndarray, holes: dict[int, list[int]]) -> np.ndarray:
        path = []
        ahead = ring[::-1].tolist()
        while ahead:
            crack = ahead.pop()
            path.append(crack)
            for hole in holes.pop(crack, ()):
                around = np.arange(self.offsets[hole], self.offsets[hole + 1])
                around = np.roll(around, int(self.offsets[hole] - self.anchors[hole])).tolist()
                ahead += [crack, around[0], *around[::-1]]  # to the hole, round it, back; read from the end
        return np.array(path)


def _short(cracks: _Cracks, path: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    return cracks.middles[path[_straighten(cracks.middles[path], cracks.directions[path], fixed[path])]]


def _every_corner(cracks: _Cracks, path: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Return the polygon with a vertex at every corner of the pixels, and at both ends of every cut."""
    ends = cracks.middles[path] + np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])[cracks.directions[path]]
    adjacent = np.abs(np.roll(cracks.middles[path], -1, 0) - ends).sum(1) == 1
    turns = adjacent & (cracks.directions[path] != cracks.directions[np.roll(path, -1)])
    both = np.stack([cracks.middles[path], ends], 1)
    return both[np.stack([fixed[path], turns], 1)]


def _json(polygon: np.ndarray) -> bytes:
    buffer = np.empty(polygon.size * 13 + 2, np.uint8)
    return buffer[: _write_json(polygon.ravel(), buffer)].tobytes()


@kernel(nogil=True)
def _write_json(halves: np.ndarray, out: np.ndarray) -> int:
    """Write ``[12,3.5,...]`` of not negative half pixels into ``out`` (uint8) and return its length."""
    digits = np.empty(20, np.uint8)
    out[0] = ord("[")
    size = 1
    for half in halves:
        whole, number = half >> 1, 0
        while whole or not number:
            digits[number] = 48 + whole % 10
            whole //= 10
            number += 1
        for k in range(number):
            out[size + k] = digits[number - 1 - k]
        size += number
        if half & 1:
            out[size], out[size + 1] = ord("."), ord("5")
            size += 2
        out[size] = ord(",")
        size += 1
    out[size - 1] = ord("]")
    return size


@kernel(nogil=True)
def _straighten(middles: np.ndarray, directions: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Return the places of the vertices that are needed: from each as far as one straight line may go, greedily.

    From a vertex every crack on the way narrows the cone of directions that pass between the pixel centre at its
    right (inside) and the one at its left (outside).
    """
    count = len(middles)
    kept = np.empty(count, np.int64)
    found, here = 0, 0
    while here < count:
        kept[found] = here
        found += 1
        best = here + 1
        left_x, left_y, right_x, right_y = 0.0, 0.0, 0.0, 0.0
        for k in range(here + 1, count + 1):
            place = k if k < count else 0
            x, y = float(middles[place, 0] - middles[here, 0]), float(middles[place, 1] - middles[here, 1])
            if k == here + 1 or (left_x * y - left_y * x >= 0 and x * right_y - y * right_x >= 0):
                best = k
            if fixed[place]:
                break
            direction = directions[place]
            inward_x = SLACK * ((direction == UP) - (direction == DOWN))
            inward_y = SLACK * ((direction == RIGHT) - (direction == LEFT))
            if k == here + 1 or (x + inward_x) * right_y - (y + inward_y) * right_x > 0:
                right_x, right_y = x + inward_x, y + inward_y
            if k == here + 1 or left_x * (y - inward_y) - left_y * (x - inward_x) > 0:
                left_x, left_y = x - inward_x, y - inward_y
            if left_x * right_y - left_y * right_x <= 0:
                break
        here = best
    return kept[:found]


@kernel(nogil=True)
def _trace(
    labels: np.ndarray, value: int, x1: int, y1: int, x2: int, y2: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Walk around the object and its holes; the fields of `_Cracks`."""
    inside = np.zeros((y2 - y1 + 2, x2 - x1 + 2), np.bool_)  # with a border of nothing
    for y in range(y1, y2):
        for x in range(x1, x2):
            inside[y - y1 + 1, x - x1 + 1] = labels[y, x] == value
    seen = np.zeros(inside.shape, np.bool_)  # the crack at the upper side of a pixel
    upward = np.full(inside.shape, -1, np.int64)  # the one at its left side, if it leads up
    total = (inside[1:] != inside[:-1]).sum() + (inside[:, 1:] != inside[:, :-1]).sum()
    middles, directions = np.empty((total, 2), np.int64), np.empty(total, np.uint8)
    offsets, anchors = [0], [0][:0]
    count = 0
    for start_y in range(1, inside.shape[0]):
        for start_x in range(1, inside.shape[1]):
            if not inside[start_y, start_x] or inside[start_y - 1, start_x] or seen[start_y, start_x]:
                continue
            x, y, direction = start_x, start_y, RIGHT
            turned, leftmost, anchor = 0, inside.shape[1], -1
            while direction != RIGHT or not seen[y, x]:
                step_x, step_y = (direction == RIGHT) - (direction == LEFT), (direction == DOWN) - (direction == UP)
                middles[count] = 2 * (x - 1 + x1) + step_x, 2 * (y - 1 + y1) + step_y
                directions[count] = direction
                turned += x * step_y  # the area inside, or outside as a negative number: then the ring is a hole's
                if direction == RIGHT:
                    seen[y, x] = True
                elif direction == UP:
                    upward[y - 1, x] = count
                elif direction == DOWN and x < leftmost:
                    leftmost, anchor = x, count
                count += 1
                x, y = x + step_x, y + step_y
                direction = _turn(inside, x, y, direction)
            offsets.append(count)
            anchors.append(anchor if turned < 0 else -1)
    anchor_of = np.array(anchors)
    return middles, directions, np.array(offsets), _parents(inside, upward, middles, anchor_of, x1, y1), anchor_of


@kernel(nogil=True)
def _parents(
    inside: np.ndarray, upward: np.ndarray, middles: np.ndarray, anchors: np.ndarray, x1: int, y1: int
) -> np.ndarray:
    """Return for each hole the crack that is met going left from its anchor, its leftmost crack; -1 for outer rings."""
    parents = np.full(len(anchors), -1, np.int64)
    for ring in range(len(anchors)):
        if anchors[ring] >= 0:
            x = middles[anchors[ring], 0] // 2 - x1  # of the pixel inside, in the grid with a border
            y = (middles[anchors[ring], 1] - 1) // 2 - y1 + 1
            while inside[y, x - 1]:
                x -= 1
            parents[ring] = upward[y, x]
    return parents


@kernel(nogil=True)
def _turn(inside: np.ndarray, x: int, y: int, direction: int) -> int:
    """Return where the ring goes on at corner x, y: left if it can (so corners connect), else straight, else right."""
    below = direction in (RIGHT, DOWN)  # of the two pixels ahead: where they lie from the corner
    left = inside[y if direction in (DOWN, LEFT) else y - 1, x if below else x - 1]
    right = inside[y if below else y - 1, x if direction in (RIGHT, UP) else x - 1]
    if left:
        return (direction + 3) % 4
    return direction if right else (direction + 1) % 4
