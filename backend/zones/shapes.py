"""Validity of drawn polygons: check, repair, overlap. Vertices are px of the frame, x right, y down."""

from collections.abc import Sequence

import shapely
from shapely.geometry import Polygon

from backend.project.errors import InputError

Shape = tuple[tuple[float, float], ...]
MIN_AREA_PX2 = 4.0
SLACK_PX = 0.01


def check_shape(name: str, shape: Sequence[tuple[float, float]], size: tuple[int, int]) -> None:
    """Raise InputError if a polygon crosses itself, has no area, or leaves the frame of ``size`` (width, height)."""
    polygon = Polygon(shape)
    if polygon.convex_hull.area < MIN_AREA_PX2:
        raise InputError(f"zone {name!r} encloses no area")
    if not polygon.is_valid:
        raise InputError(
            f"the outline of zone {name!r} crosses itself ({reason(polygon)}); move its points, or repair it"
        )
    width, height = size
    for x, y in shape:
        if not (-SLACK_PX <= x <= width + SLACK_PX and -SLACK_PX <= y <= height + SLACK_PX):
            raise InputError(f"zone {name!r} leaves the frame: ({x:.0f}, {y:.0f}) is outside of {width}x{height} px")


def reason(polygon: Polygon) -> str:
    """Return where a polygon crosses itself, as text for an error message."""
    text = shapely.is_valid_reason(polygon)
    at = text[text.find("[") + 1 : text.find("]")].split() if "[" in text else []
    return f"near x {float(at[0]):.0f}, y {float(at[1]):.0f}" if len(at) >= 2 else text


def repair_shape(shape: Sequence[tuple[float, float]]) -> Shape:
    """Return the outline of the largest part of a self-crossing polygon; valid polygons are returned unchanged."""
    polygon = Polygon(shape)
    if polygon.is_valid:
        return tuple((float(x), float(y)) for x, y in shape)
    whole = shapely.make_valid(polygon)
    parts = [part for part in getattr(whole, "geoms", [whole]) if isinstance(part, Polygon)]
    parts += [inner for part in getattr(whole, "geoms", []) for inner in getattr(part, "geoms", []) if inner.area]
    parts = [part for part in parts if isinstance(part, Polygon)]
    if not parts:
        raise InputError("the outline encloses no area and cannot be repaired; draw it again")
    outline = max(parts, key=lambda part: part.area).exterior.coords[:-1]
    return tuple((round(x, 2), round(y, 2)) for x, y in outline)


def overlap_share(a: Sequence[tuple[float, float]], b: Sequence[tuple[float, float]]) -> float:
    """Return the share of the smaller of two valid polygons that lies inside the other, 0 to 1."""
    first, second = Polygon(a), Polygon(b)
    smaller = min(first.area, second.area)
    return float(first.intersection(second).area / smaller) if smaller > 0 else 0.0
