"""Who is where: each rule of backend.zones.membership on a case that can be checked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from backend.masks.rle import encode
from backend.project.errors import InputError
from backend.zones.bird_sequences import recording_from_tracks
from backend.zones.geometry import (
    box_shares,
    distance_to_outlines,
    join_polygons,
    mask_shares,
    pixels_before,
    points_inside,
)
from backend.zones.membership import find_membership
from tests.detection_runs import make_run
from tests.zones.made import left_and_right, rectangle, tracks_of, zones_of


def where(paths, zones, **options) -> dict[str, str]:
    """Return one letter a frame for the first sequence and each place: x where it is there."""
    recording = recording_from_tracks(tracks_of(paths))
    membership = find_membership(recording, zones, **options)
    rows = slice(0, recording.starts[1])
    columns = {place.name: membership.inside[rows, k] for k, place in enumerate(membership.locations)}
    assert (membership.inside[:, -3:].sum(axis=1) == 1).all()  # any zone, outside, lost: exactly one
    return {name: "".join("x" if here else "." for here in column) for name, column in columns.items()}


def test_outside_is_not_lost():
    found = where({"a": [20, 100, None, None, None, 170]}, left_and_right())
    assert found == {
        "left": "x.....",
        "right": ".....x",
        "any zone": "x....x",
        "outside": ".x....",
        "lost": "..xxx.",
    }


def test_a_gap_shorter_than_lost_after_keeps_the_bird_where_it_was():
    path = {"a": [20, 20, None, None, 20, None, None, None, 20]}
    assert where(path, left_and_right(), lost_after=3)["left"] == "xxxxx...x"
    assert where(path, left_and_right(), lost_after=3)["lost"] == ".....xxx."
    assert where(path, left_and_right(), lost_after=1)["lost"] == "..xx.xxx."


def test_a_bird_that_was_never_seen_is_lost_from_the_first_sample_on():
    assert where({"a": [None, 20], "b": [1, 1]}, left_and_right())["lost"] == "x."


def nest_box(**options):
    return zones_of(
        {"name": "door", "kind": "entry", "group": "box", "shape": rectangle(40, 0, 60, 100)},
        {"name": "box", "kind": "hidden", "group": "box", "shape": rectangle(0, 0, 40, 100), **options},
    )


def test_a_bird_that_vanished_from_the_entry_is_in_the_hidden_zone_until_it_is_seen_again():
    found = where({"a": [100, 50, None, None, None, 50, 100, None, None, None]}, nest_box())
    assert found["box"] == "..xxx....."
    assert found["lost"] == ".......xxx"
    assert found["door"] == ".x...x...."
    assert found["box (group)"] == ".xxxxx...."


def test_a_bird_that_was_last_seen_within_the_hidden_zone_went_in():
    found = where({"a": [50, 30, None, None, None, 100, None, None, None]}, nest_box())
    assert found["box"] == "..xxx...." and found["outside"] == ".x...x..." and found["lost"] == "......xxx"


def test_a_bird_that_never_reappears_stays_hidden_and_a_seen_one_is_never_hidden():
    assert where({"a": [50, None, None, None], "b": [1] * 4}, nest_box())["box"] == ".xxx"
    assert where({"a": [20, 20]}, nest_box())["box"] == ".."
    assert where({"a": [20, 20]}, nest_box())["outside"] == "xx"


def test_stays_shorter_than_the_least_stay_do_not_count():
    zones = zones_of({"name": "left", "shape": rectangle(0, 0, 50, 100), "min_stay_s": 0.3})
    found = where({"a": [20, 20, 100, 20, 20, 20, 100]}, zones)
    assert found["left"] == "...xxx." and found["outside"] == "xxx...x"


def test_a_hidden_stay_that_is_too_short_is_lost_time():
    found = where({"a": [50, None, None, None, 100]}, nest_box(min_stay_s=1.0))
    assert found["box"] == "....." and found["lost"] == ".xxx."


def test_zones_together_and_their_bad_names():
    found = where({"a": [20, 100, 170]}, left_and_right(), unions={"sides": ["left", "right"]})
    assert found["sides"] == "x.x"
    with pytest.raises(InputError, match="there is no zone"):
        where({"a": [20, 20]}, left_and_right(), unions={"sides": ["left", "middle"]})
    with pytest.raises(InputError, match="has this name already"):
        where({"a": [20, 20]}, left_and_right(), unions={"left": ["right"]})


def test_by_mask_a_bird_goes_in_at_in_share_and_out_below_out_share(tmp_path):
    """Boxes 10 px wide move over the border at x = 50: shares 0.6, 0.7, 0.6, 0.5, 0.4, 0.6."""
    left_sides = [44, 43, 44, 45, 46, 44]
    boxes = {frame: [(x, 30, x + 10, 50)] for frame, x in enumerate(left_sides)}
    run = make_run(tmp_path / "run", boxes, 6, size=(200, 100), fps=10)
    recording = recording_from_tracks(tracks_of({"a": [x + 5 for x in left_sides]}))
    zones = zones_of({"name": "left", "shape": rectangle(0, 0, 50, 100)})
    found = find_membership(recording, zones, by="mask", masks=run)
    assert found.column("left").tolist() == [False, True, True, True, False, False]
    with pytest.raises(InputError, match="needs the inference run"):
        find_membership(recording, zones, by="mask")


def test_an_interpolated_bird_is_judged_by_its_box_where_masks_decide(tmp_path):
    run = make_run(tmp_path / "run", {0: [(10, 30, 20, 50)]}, 3, size=(200, 100), fps=10)
    recording = recording_from_tracks(tracks_of({"a": [15, 48 + 0j, 100]}))
    recording.detection[1:] = -1
    zones = zones_of({"name": "left", "shape": rectangle(0, 0, 50, 100)})
    assert find_membership(recording, zones, by="mask", masks=run).column("left").tolist() == [True, True, False]


def test_what_people_drew_decides_where_masks_decide(tmp_path):
    """The detection is always inside; a drawn mask lies outside, another one inside, and a box alone outside."""
    run = make_run(tmp_path / "run", {frame: [(10, 30, 20, 50)] for frame in range(4)}, 4, size=(200, 100), fps=10)
    tracks = tracks_of({"a": [15, 15, 15, 100]})
    outside, inside = np.zeros((2, 100, 200), bool)
    outside[30:50, 100:120] = inside[30:50, 20:30] = True
    drawn = {(1, 1): encode(outside), (2, 1): encode(inside), (3, 1): None}
    recording = recording_from_tracks(replace(tracks, detection=np.zeros(len(tracks), np.int32), drawn=drawn))
    zones = zones_of({"name": "left", "shape": rectangle(0, 0, 50, 100)})
    found = find_membership(recording, zones, by="mask", masks=run)
    assert found.column("left").tolist() == [True, False, True, False]


def test_masks_against_polygons_count_pixels():
    corners, ends = join_polygons([np.array(rectangle(0, 0, 10, 20)), np.array([[0.0, 0], [20, 0], [0, 20]])])
    before = pixels_before(corners, ends, 30, 20)
    mask = np.zeros((20, 30), bool)
    mask[5:10, 5:15] = True
    text = encode(mask)
    shares = mask_shares(np.frombuffer(text, np.uint8), np.array([0, len(text)]), before)
    centres = np.column_stack([(axis + 0.5).ravel() for axis in np.meshgrid(np.arange(30), np.arange(20))])
    by_points = points_inside(centres, corners, ends).reshape(20, 30, 2)[mask].mean(axis=0)
    assert shares[0].tolist() == pytest.approx([0.5, by_points[1]])
    assert box_shares(np.array([[5, 5, 15, 10]], np.float32), before, 20)[0].tolist() == pytest.approx(shares[0])


def test_distance_to_an_outline():
    corners, ends = join_polygons([np.array(rectangle(0, 0, 10, 10))])
    points = np.array([[5.0, 5], [13, 14], [-2, 5], [np.nan, 1]])
    assert distance_to_outlines(points, corners, ends)[:, 0].tolist() == pytest.approx([5, 5, 2, np.nan], nan_ok=True)
