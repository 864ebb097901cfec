"""Drawings are sound XML, keep inside their frame, and show names as text."""

import xml.etree.ElementTree as ElementTree

import pytest

from backend.reports.svg import heat_map, level_bars, nice_ceiling, shorten, stacked_bars, strips

NAMES = ["<script>", "a & b", "ő" * 60]


@pytest.mark.parametrize(
    "drawing",
    [
        stacked_bars(NAMES, {"train": [1, 0, 7], "<val>": [2, 3, 0]}, "x & y", "<images>", ("red", "blue")),
        stacked_bars([], {"train": []}, "x", "y", ("red",)),
        level_bars(NAMES, {"train": [0, 0, 0]}, ("red",)),
        level_bars([], {"train": []}, ("red",)),
        heat_map([[0, 1], [5, 0]], 1.5, "<birds>"),
        heat_map([[0]], 1.0, "birds"),
        strips([(name, [[0, 10, 0, 11], [11, 20, 2, 10], [500, 500, 1, 1]]) for name in NAMES], ("a", "b", "c")),
        strips([("empty", [])], ("a", "b", "c")),
    ],
    ids=["bars", "no bars", "zeros", "no rows", "heat", "no heat", "strips", "an empty strip"],
)
def test_drawings_are_sound_and_inside_their_frame(drawing):
    root = ElementTree.fromstring(drawing)
    width, height = (float(side) for side in root.attrib["viewBox"].split()[2:])
    for rectangle in root.iter("rect"):
        x, y = float(rectangle.get("x", 0)), float(rectangle.get("y", 0))
        assert x >= -0.1 and x + float(rectangle.attrib["width"]) <= width + 1
        assert y >= -0.1 and y + float(rectangle.attrib["height"]) <= height + 1
    assert "<script>" not in drawing


def test_ceilings_are_round():
    assert [nice_ceiling(value) for value in (0, 1, 5, 9, 101, 143, 7999)] == [1, 1, 6, 10, 200, 200, 8000]


def test_long_names_lose_their_middle():
    assert shorten("lek-north-2024-05-17", 11) == "lek-n…05-17"
    assert shorten("short", 11) == "short"
