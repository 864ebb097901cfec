"""Export and import of zones as GeoJSON. Coordinates are px of the frame with y down, not degrees."""

import json
from typing import Any

from backend.project.errors import InputError
from backend.zones.zone_file import MAX_ZONES, Zone, Zones, parse_zones

FORMAT = "lektrack-zones"
PROPERTIES = ("name", "kind", "group", "colour", "in_share", "out_share", "min_stay_s")


def to_geojson(zones: Zones) -> str:
    """Return a FeatureCollection, one Polygon per zone with its properties; image size and scale as foreign members."""
    features = [
        {
            "type": "Feature",
            "id": zone.id,
            "properties": zone.model_dump(mode="json", include=set(PROPERTIES)),
            "geometry": {"type": "Polygon", "coordinates": [[*map(list, zone.shape), list(zone.shape[0])]]},
        }
        for zone in zones.zones
    ]
    known = zones.model_dump(mode="json", include={"image_size", "scale"})
    return json.dumps({"type": "FeatureCollection", "format": FORMAT, **known, "features": features}, indent=1) + "\n"


def from_geojson(text: str | bytes, image_size: tuple[int, int]) -> Zones:
    """Return the zones of a FeatureCollection, for pictures of ``image_size``.

    Polygons and the parts of multipolygons become zones; holes are refused. Unknown properties are ignored, and
    features without a name are numbered. The scale is read from files that `to_geojson` wrote.

    Raises
    ------
    InputError
        If the text is not GeoJSON with polygons, or was made for frames of another size.
    """
    try:
        content = json.loads(text.removeprefix("\ufeff") if isinstance(text, str) else text)
    except ValueError as error:
        raise InputError(f"the file is not JSON: {error}") from error
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list):
        raise InputError("the file is not a GeoJSON FeatureCollection: it has no list of features")
    size = content.get("image_size")
    if size is not None and list(size) != list(image_size):
        raise InputError(f"the zones are for frames of {size[0]}x{size[1]} px; this camera has {_x(image_size)} px")
    zones: list[dict[str, Any]] = []
    for number, feature in enumerate(features, 1):
        for ring in _rings(feature, number):
            given = feature.get("properties") or {}
            known = {name: given[name] for name in PROPERTIES if given.get(name) is not None}
            zones.append({"name": _free(str(known.pop("name", f"zone {number}")), zones), **known, "shape": ring})
    if not zones:
        raise InputError("the file has no polygons; a zone is a polygon")
    if len(zones) > MAX_ZONES:
        raise InputError(f"the file has {len(zones)} polygons; at most {MAX_ZONES} are allowed")
    whole = [{**zone, "id": number} for number, zone in enumerate(zones, 1)]
    scale = content.get("scale") if content.get("format") == FORMAT else None
    return parse_zones({"image_size": list(image_size), "scale": scale, "zones": whole}, "GeoJSON")


def _rings(feature: Any, number: int) -> list[list[list[float]]]:
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise InputError(f"feature {number} has the geometry {kind}; a zone must be a Polygon or MultiPolygon")
    polygons = [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]
    try:
        if any(len(polygon) != 1 for polygon in polygons):
            raise InputError(f"feature {number} has a hole; draw zones without holes")
        rings = [[[float(x), float(y)] for x, y, *_ in polygon[0]] for polygon in polygons]
    except (TypeError, ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"feature {number}: the coordinates are not a list of [x, y] numbers") from error
    return [ring[:-1] if len(ring) > 3 and ring[0] == ring[-1] else ring for ring in rings]


def _free(name: str, zones: list[dict[str, Any]]) -> str:
    taken = {zone["name"] for zone in zones}
    return next(
        candidate for k in range(1, MAX_ZONES + 2) if (candidate := name if k == 1 else f"{name} {k}") not in taken
    )


def _x(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def scale_zones(zones: tuple[Zone, ...], size: tuple[int, int], to_size: tuple[int, int]) -> list[Zone]:
    """Return zones for a camera with frames of ``to_size`` (width, height px), scaled from frames of ``size``."""
    sx, sy = to_size[0] / size[0], to_size[1] / size[1]
    return [
        zone.model_copy(update={"shape": tuple((round(x * sx, 2), round(y * sy, 2)) for x, y in zone.shape)})
        for zone in zones
    ]
