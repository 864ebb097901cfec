"""Checks that boxes of a file are px of the video's frames: unit, box format, scale and number of frames."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from backend.project.errors import InputError

NEAR_PX = 2.0  # a box may end so far outside of the picture and still end in it
LEAST_FOR_CORNERS = 10  # boxes from which their spread tells corners from sizes
OUTSIDE_SHARE = 0.05  # points may lie so far outside of the picture, as a share of its longer side
FRAME_COUNT_SHARE = 0.01  # programs count frames of one video so differently
FRAME_COUNT_LEAST = 10


def check_boxes(source: Path, boxes: np.ndarray, size: tuple[int, int], where: Callable[[int], str]) -> None:
    """Raise InputError where boxes are not px of pictures of ``size`` (width, height), read as x, y, width, height.

    ``boxes`` (N, 4) x1 y1 x2 y2. Refused are files whose boxes are shares of the picture (0 to 1) or corners read as
    sizes, and boxes that lie outside of the picture as a whole; ``where(row)`` names the row of the latter. Nothing is
    said of boxes that are partly outside.
    """
    if not len(boxes):
        return
    boxes = boxes.astype(np.float64)
    _check_unit(source, np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]), size)
    if _are_corners(boxes, size):
        raise InputError(
            f"{source}: its boxes are corners, x1 y1 x2 y2: as x, y, width and height they reach to "
            f"{boxes[:, 2].max():g} x {boxes[:, 3].max():g} px in a picture of {_text(size)} px. "
            "Save width and height (x2 - x1, y2 - y1) in place of x2 and y2"
        )
    outside = np.flatnonzero((boxes[:, :2] >= size).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1))
    if len(outside):
        box = boxes[outside[0]].round(2).tolist()
        raise InputError(
            f"{where(outside[0])}: the box {box} lies outside of the picture, {_text(size)} px "
            f"({len(outside)} of {len(boxes)} boxes do{_reach(boxes, size)})"
        )


def check_points(source: Path, bounds: np.ndarray, size: tuple[int, int], where: Callable[[int], str]) -> None:
    """Raise InputError where points are not px of pictures of ``size`` (width, height).

    ``bounds`` (N, 4) x1 y1 x2 y2 around the points of each animal. A point may lie outside of the picture by
    `OUTSIDE_SHARE` of its longer side, as predicted points do at its border.
    """
    if not len(bounds):
        return
    _check_unit(source, bounds, size)
    slack = OUTSIDE_SHARE * max(size)
    high = np.array(size) + slack
    outside = np.flatnonzero((bounds[:, :2] < -slack).any(axis=1) | (bounds[:, 2:] > high).any(axis=1))
    if len(outside):
        box = bounds[outside[0]].round(2).tolist()
        raise InputError(
            f"{where(outside[0])}: the points within {box} lie outside of the picture, {_text(size)} px "
            f"({len(outside)} of {len(bounds)} animals have such points{_reach(bounds, size)})"
        )


def check_frame_count(source: Path, last: int, frames: int, theirs: int | None = None) -> None:
    """Raise InputError where a file has boxes behind the end of a video of ``frames`` frames, or names a longer one.

    ``last`` frame of the file, 0-based. ``theirs``: frames of the video that the file names, which another program may
    have counted a little differently.
    """
    if last >= frames:
        raise InputError(f"{source} has boxes in frame {last}; the video has {frames} frames. Is it of this video?")
    if theirs is not None and theirs > frames + max(FRAME_COUNT_LEAST, FRAME_COUNT_SHARE * frames):
        raise InputError(f"{source} is of a video of {theirs} frames; this one has {frames} frames")


def _check_unit(source: Path, values: np.ndarray, size: tuple[int, int]) -> None:
    if values.min() >= -1 and values.max() <= 1:
        raise InputError(
            f"{source}: all its coordinates lie between 0 and 1, so they are shares of the picture, not px. "
            f"Multiply x and width by {size[0]}, y and height by {size[1]}"
        )


def _are_corners(boxes: np.ndarray, size: tuple[int, int]) -> bool:
    """Tell whether boxes, made as x y w h, were x1 y1 x2 y2: they fit the picture as these and not as the former.

    Where most are inside of the picture either way, corners are known by their spread: x2 follows x1, so that
    x2 - x1 varies less than x2 itself.
    """
    first, second = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]  # as the file has them
    limit = np.array(size) + NEAR_PX
    if not ((second > first) & (second <= limit) & (first > -NEAR_PX)).all():
        return False
    ends_outside = (boxes[:, 2:] > limit).any(axis=1)
    if ends_outside.mean() > 0.5:  # noqa: PLR2004 - most
        return True
    return len(boxes) >= LEAST_FOR_CORNERS and bool((np.std(second - first, axis=0) < np.std(second, axis=0)).all())


def _reach(bounds: np.ndarray, size: tuple[int, int]) -> str:
    high = bounds[:, 2:].max(axis=0)
    if (high <= size).all():
        return ""
    return f"; the file reaches to {high[0]:g} x {high[1]:g} px: was it made on a larger picture, or another video?"


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
