"""The file of zones: what is refused and in which words, repair, versions, scale."""

import json

import numpy as np
import pytest

from backend.project.errors import InputError
from backend.project.paths import Project
from backend.zones.scale import Homography, KnownLength, to_ground
from backend.zones.zone_file import (
    check_zones,
    list_versions,
    merge_zones,
    overlapping_pairs,
    parse_zones,
    path_to_save,
    read_version,
    read_zones,
    save_zones,
    zones_folder,
    zones_path,
)
from tests.zones.made import left_and_right, rectangle, zones_of

BOW_TIE = [[0, 0], [100, 100], [100, 0], [0, 100]]


def test_a_polygon_that_crosses_itself_is_refused_with_the_place_and_repaired_on_request():
    zones = zones_of({"name": "bow", "shape": BOW_TIE})
    with pytest.raises(InputError, match="outline of zone 'bow' crosses itself .near x 50, y 50"):
        check_zones(zones)
    (zone,) = check_zones(zones, repair=True).zones
    assert sorted(zone.shape) in ([(0, 0), (0, 100), (50, 50)], [(50, 50), (100, 0), (100, 100)])


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ({"name": "far", "shape": rectangle(150, 0, 260, 50)}, r"zone 'far' leaves the frame: \(260, 0\).*200x100"),
        ({"name": "flat", "shape": [[0, 0], [50, 0], [90, 0]]}, "'flat' encloses no area"),
        ({"name": "box", "kind": "hidden", "shape": rectangle(0, 0, 9, 9)}, "hidden zone 'box' needs an entry zone"),
    ],
    ids=["outside the frame", "no area", "hidden without entry"],
)
def test_zones_that_cannot_be_counted_in_are_refused(zone, words):
    with pytest.raises(InputError, match=words):
        check_zones(zones_of(zone))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "lost"}, "'lost' is reserved"),
        ({"in_share": 0.3}, "out_share 0.5 is above in_share 0.3"),
        ({"shape": [[0, 0], [1, 1]]}, "shape"),
        ({"kind": "secret"}, "kind"),
        ({"colour": "red"}, "colour"),
        ({"size": 3}, "size"),
    ],
)
def test_values_that_are_not_allowed_are_named(change, words):
    with pytest.raises(InputError, match=words):
        parse_zones({"image_size": [200, 100], "zones": [{"id": 1, "name": "a", "shape": BOW_TIE, **change}]})


def test_two_zones_of_one_name_are_refused():
    with pytest.raises(InputError, match="two zones have the name 'a'"):
        zones_of({"name": "a", "shape": BOW_TIE}, {"name": "a", "shape": BOW_TIE})


def test_overlaps_are_stated_as_share_of_the_smaller_zone():
    zones = zones_of(
        {"name": "large", "shape": rectangle(0, 0, 100, 100)},
        {"name": "small", "shape": rectangle(90, 0, 110, 10)},
        {"name": "apart", "shape": rectangle(150, 0, 160, 10)},
    )
    assert overlapping_pairs(zones) == [("large", "small", pytest.approx(0.5))]


def test_versions_are_kept_and_a_stale_editor_is_refused(tmp_path):
    path = tmp_path / "zones" / "north.json"
    first = save_zones(path, left_and_right(), 0)
    assert first.version == 1 and save_zones(path, left_and_right(), 1).version == 1  # nothing changed
    second = save_zones(path, merge_zones(first, first.zones[:1]), 1)
    assert second.version == 2 and [zone.name for zone in second.zones] == ["left", "right", "left 2"]
    assert list_versions(path) == [2, 1] and len(read_version(path, 1).zones) == 2
    with pytest.raises(InputError, match="changed by somebody else"):
        save_zones(path, left_and_right(), 1)
    assert read_zones(path) == second


def test_a_file_written_elsewhere_is_kept_as_a_version_when_it_is_first_changed(tmp_path):
    path = tmp_path / "north.json"
    content = {"format": 1, "version": 1, **left_and_right().model_dump(mode="json", include={"image_size", "zones"})}
    path.write_text(json.dumps(content))
    save_zones(path, merge_zones(read_zones(path), read_zones(path).zones[:1]), 1)
    assert list_versions(path) == [2, 1] and len(read_version(path, 1).zones) == 2


@pytest.mark.parametrize(
    ("one", "other"), [("Север", "Юг"), ("Cam 1", "cam-1"), ("камера 1", "cam 1"), ("x" * 90, "x" * 91)]
)
def test_cameras_of_similar_names_have_zones_of_their_own(tmp_path, one, other):
    project = Project(tmp_path)
    for camera in (one, other):
        assert not zones_path(project, camera).exists()
        assert save_zones(path_to_save(project, camera), left_and_right(), 0).version == 1
    save_zones(path_to_save(project, one), merge_zones(left_and_right(), left_and_right().zones[:1]), 1)
    assert [read_zones(zones_path(project, camera)).version for camera in (one, other)] == [2, 1]


def test_zones_saved_under_the_plain_name_are_found_and_part_when_one_camera_saves(tmp_path):
    """Both cameras shared one file once: saving for one keeps its versions and leaves the other's as they are."""
    project = Project(tmp_path)
    plain = zones_folder(project) / "unnamed.json"
    save_zones(plain, left_and_right(), 0)
    more = merge_zones(left_and_right(), left_and_right().zones[:1])
    save_zones(plain, more, 1)
    assert zones_path(project, "Север") == zones_path(project, "Юг") == plain
    own = path_to_save(project, "Север")
    assert save_zones(own, left_and_right(), 2).version == 3
    assert (
        zones_path(project, "Север") == own and list_versions(own) == [3, 2, 1] and len(read_version(own, 2).zones) == 3
    )
    assert zones_path(project, "Юг") == plain and read_zones(plain).version == 2


def test_a_known_length_scales_px():
    scale = KnownLength(line=((0, 0), (30, 40)), length_m=2)
    assert to_ground(scale, np.array([[100.0, 50.0]])) == pytest.approx(np.array([[4.0, 2.0]]))


def test_four_ground_points_undo_a_slanted_view():
    ground = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 3.0]])
    view = np.array([[100.0, 0, 50], [0, -60, 300], [0, 0.2, 1]])
    image = np.column_stack([ground, np.ones(4)]) @ view.T
    image = image[:, :2] / image[:, 2:]
    scale = Homography(points=tuple(map(tuple, image)), ground=tuple(map(tuple, ground)))
    inner = np.array([2.0, 1.0, 1.0]) @ view.T
    assert to_ground(scale, inner[None, :2] / inner[2]) == pytest.approx(np.array([[2.0, 1.0]]))
    beyond = to_ground(scale, np.array([[50.0, -1e5]]))  # above the horizon there is no ground
    assert np.isnan(beyond).all()


@pytest.mark.parametrize("points", [((0, 0), (1, 1), (2, 2), (5, 0)), ((0, 0), (1, 1), (2, 0))])
def test_ground_points_on_a_line_or_too_few_are_refused(points):
    scale = {"kind": "homography", "points": points, "ground": [(0, 0), (1, 0), (1, 1), (0, 1)][: len(points)]}
    with pytest.raises(InputError, match="ground"):
        zones_of(scale=scale)
