"""Regions of a frame that are the network's input: whole frame, crop, or overlapping tiles; and merging of tiles."""

from dataclasses import dataclass

import numpy as np

from backend.project.errors import InputError

SAME_ANIMAL = 0.5  # two boxes of different tiles are one animal from this share of the smaller inside the other on
AT_BORDER = 0.01  # share of a tile's side within which a box counts as cut off by it


@dataclass(frozen=True)
class Region:
    """A rectangle of the frame in whole px: ``x1, y1`` included, ``x2, y2`` not."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.x2 - self.x1, self.y2 - self.y1

    def to_frame(self, boxes: np.ndarray, input_size: tuple[int, int]) -> np.ndarray:
        """Return (N, 4) float32 ``x1 y1 x2 y2`` in px of the frame for boxes in px of the network's input.

        The result lies inside the region.
        """
        scale = np.array([side / given for side, given in zip(self.size, input_size, strict=True)] * 2)
        low, high = np.array([self.x1, self.y1] * 2), np.array([self.x2, self.y2] * 2)
        return np.clip(boxes * scale + low, low, high).astype(np.float32)


def crop_region(frame_size: tuple[int, int], crop: tuple[int, int, int | None, int | None]) -> Region:
    """Return the crop ``from x, from y, to x, to y`` (None: to the end) of a frame of (width, height).

    Raises
    ------
    InputError
        If it is empty or reaches out of the frame.
    """
    width, height = frame_size
    x1, y1, x2, y2 = crop[0], crop[1], width if crop[2] is None else crop[2], height if crop[3] is None else crop[3]
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise InputError(
            f"crop from ({x1}, {y1}) to ({x2}, {y2}) does not lie inside the frame of {width}x{height} px, or is empty"
        )
    return Region(x1, y1, x2, y2)


def tile_regions(crop: Region, tile: tuple[int, int] | None, overlap_px: int) -> tuple[Region, ...]:
    """Cover ``crop`` with tiles of one size, (width, height), that overlap by ``overlap_px`` or more.

    ``overlap_px`` should be no less than the largest animal: then each lies whole in at least one tile.

    Raises
    ------
    InputError
        If a tile is larger than the crop or not larger than the overlap.
    """
    if tile is None:
        return (crop,)
    for side, (length, whole) in {"wide": (tile[0], crop.size[0]), "high": (tile[1], crop.size[1])}.items():
        if not 0 <= overlap_px < length <= whole:
            raise InputError(
                f"a tile {length} px {side} with an overlap of {overlap_px} px cannot be used: "
                f"it must be larger than the overlap and not larger than the picture ({whole} px)"
            )
    across = _starts(crop.x1, crop.x2, tile[0], overlap_px)
    down = _starts(crop.y1, crop.y2, tile[1], overlap_px)
    return tuple(Region(x, y, x + tile[0], y + tile[1]) for y in down for x in across)


def merge_tiles(
    boxes: np.ndarray, scores: np.ndarray, region_index: np.ndarray, regions: tuple[Region, ...]
) -> np.ndarray:
    """Choose the detections of one frame so that an animal that several tiles see counts once.

    Detections of different tiles are brought together pair by pair, those with the largest overlap first, and never two
    of the same tile: birds that stand in front of each other stay apart as the network saw them. Of each group the best
    is kept: one that its tile does not cut off, then the one of the highest score.

    Parameters
    ----------
    boxes
        (N, 4) ``x1 y1 x2 y2``, px of the frame.
    scores
        (N,) float.
    region_index
        (N,) int, index into ``regions`` of each detection.
    regions
        The tiles.

    Returns
    -------
    (K,) int64, positions of those kept, ascending.
    """
    groups = {k: [k] for k in range(len(boxes))}
    group_of = list(range(len(boxes)))
    for first, second in _pairs(boxes, region_index):
        one, other = group_of[first], group_of[second]
        if one == other or {region_index[k] for k in groups[one]} & {region_index[k] for k in groups[other]}:
            continue
        groups[one] += groups.pop(other)
        for k in groups[one]:
            group_of[k] = one
    cut = _cut_off(boxes, region_index, regions)
    kept = [min(group, key=lambda k: (cut[k], -scores[k], k)) for group in groups.values()]
    return np.array(sorted(kept), np.int64)


def _starts(begin: int, end: int, length: int, overlap_px: int) -> list[int]:
    count = -(-(end - begin - overlap_px) // (length - overlap_px))
    return [round(start) for start in np.linspace(begin, end - length, max(count, 1)).tolist()]


def _pairs(boxes: np.ndarray, region_index: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of different tiles that may be the same animal, the most alike first."""
    corners = boxes.astype(np.float64)
    low = np.maximum(corners[:, None, :2], corners[None, :, :2])
    high = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)  # N x N
    area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    smaller = np.minimum(area[:, None], area[None, :])
    first, second = np.nonzero(np.triu((common >= SAME_ANIMAL * smaller) & (common > 0), k=1))
    apart = region_index[first] != region_index[second]
    first, second = first[apart], second[apart]
    likeness = common[first, second] / (area[first] + area[second] - common[first, second])
    return [(int(first[k]), int(second[k])) for k in np.argsort(-likeness, kind="stable")]


def _cut_off(boxes: np.ndarray, region_index: np.ndarray, regions: tuple[Region, ...]) -> np.ndarray:
    """Tell for each box, (N,) bool, whether it touches a border of its tile that other tiles reach beyond."""
    sides = np.array([(r.x1, r.y1, r.x2, r.y2) for r in regions], np.float64)
    outer = np.concatenate((sides[:, :2].min(0), sides[:, 2:].max(0)))
    near = AT_BORDER * np.tile(sides[:, 2:] - sides[:, :2], 2)
    touches = (np.abs(boxes - sides[region_index]) <= near[region_index]) & (sides[region_index] != outer)
    return touches.any(axis=1)
