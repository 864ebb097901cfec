"""Zones to GeoJSON and back, and copies for other cameras."""

import json

import pytest

from backend.project.errors import InputError
from backend.zones.geojson import from_geojson, scale_zones, to_geojson
from tests.zones.made import SIZE, rectangle, zones_of

SCALE = {"kind": "length", "line": [[0, 0], [100, 0]], "length_m": 2.0}
ZONES = zones_of(
    {"name": "court", "shape": rectangle(0, 0, 50.25, 100), "colour": "#e69f00", "min_stay_s": 2.5},
    {"name": "door", "kind": "entry", "group": "box", "shape": [[60, 1], [80, 1], [70, 30]]},
    {"name": "box", "kind": "hidden", "group": "box", "shape": [[90, 1], [99, 1], [95, 30]], "in_share": 0.9},
    scale=SCALE,
)


def test_the_round_trip_changes_nothing():
    assert from_geojson(to_geojson(ZONES), SIZE) == ZONES


def test_a_byte_order_mark_does_not_matter():
    text = "\ufeff" + to_geojson(ZONES)
    assert from_geojson(text, SIZE) == from_geojson(text.encode(), SIZE) == ZONES


def test_rings_are_closed_as_the_standard_wants_them():
    for feature in json.loads(to_geojson(ZONES))["features"]:
        (ring,) = feature["geometry"]["coordinates"]
        assert ring[0] == ring[-1] and feature["type"] == "Feature"


def collection(*geometries, **more) -> str:
    features = [{"type": "Feature", "properties": {"note": 1}, "geometry": geometry} for geometry in geometries]
    return json.dumps({"type": "FeatureCollection", "features": features, **more})


def test_polygons_of_other_programs_get_names_and_lose_foreign_properties():
    ring = [*rectangle(0, 0, 10, 10), [0, 0]]
    found = from_geojson(
        collection(
            {"type": "Polygon", "coordinates": [ring]}, {"type": "MultiPolygon", "coordinates": [[ring], [ring]]}
        ),
        SIZE,
    )
    assert [zone.name for zone in found.zones] == ["zone 1", "zone 2", "zone 2 2"]
    assert found.zones[0].shape == tuple(map(tuple, rectangle(0, 0, 10, 10)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not a GeoJSON"),
        (collection({"type": "Point", "coordinates": [1, 2]}), "feature 1 has the geometry Point"),
        (collection({"type": "Polygon", "coordinates": [[[0, 0]], [[1, 1]]]}), "has a hole"),
        (collection({"type": "Polygon", "coordinates": [[["a", 0], [1, 1], [2, 2]]]}), "coordinates are not a list"),
        (collection({"type": "Polygon", "coordinates": [5]}), "coordinates are not a list"),
        (collection(), "no polygons"),
        (
            collection({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 0]]]}, image_size=[9, 9]),
            "frames of 9x9 px",
        ),
    ],
)
def test_what_cannot_be_zones_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        from_geojson(text, SIZE)


def test_a_copy_for_a_camera_with_another_picture_is_stretched():
    (zone,) = scale_zones(ZONES.zones[:1], (200, 100), (400, 300))
    assert zone.shape == ((0, 0), (100.5, 0), (100.5, 300), (0, 300)) and zone.name == "court"
