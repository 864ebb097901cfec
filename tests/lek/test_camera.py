import numpy as np
import pytest

from backend.lek.arena import box_corners, courts, homes, lay_out, zones
from backend.lek.camera import apply_homography, ground_to_image, image_to_ground, project, slanted_camera


@pytest.fixture(params=[(960, 544), (2688, 1520), (640, 480)], ids=lambda size: f"{size[0]}x{size[1]}")
def camera(request):
    return slanted_camera(request.param, 8, np.random.default_rng(3))


def test_a_ground_point_goes_to_its_pixel_and_back(camera):
    points = np.array([[0.0, 3.0], [-1.2, 2.5], [1.7, 6.0]])
    pixels = apply_homography(ground_to_image(camera), points)
    assert pixels == pytest.approx(np.array([project(camera, x, y, 0.0)[:2] for x, y in points]))
    assert apply_homography(image_to_ground(camera), pixels) == pytest.approx(points)


def test_what_is_higher_is_farther_up_and_what_is_farther_away_is_smaller(camera):
    _, row, near = project(camera, 0.0, 3.0, 0.0)
    _, raised, _ = project(camera, 0.0, 3.0, 0.3)
    _, behind, far = project(camera, 0.0, 5.0, 0.0)
    assert raised < row and behind < row and far > near


def test_the_lek_its_box_and_its_homes_lie_inside_the_picture(camera):
    rng = np.random.default_rng(4)
    arena = lay_out(camera, rng)
    home = homes(arena, 20, rng)
    seen = apply_homography(ground_to_image(camera), np.vstack([home, box_corners(arena)]))
    assert (seen > 0).all() and (seen < [camera.width, camera.height]).all()
    gaps = np.linalg.norm(home[:, None] - home[None], axis=2) + np.eye(20) * 9
    assert gaps.min() > 0.15


def test_zones_have_ids_from_1_and_polygons_inside_the_picture(camera):
    rng = np.random.default_rng(5)
    arena = lay_out(camera, rng)
    content = zones(camera, arena, courts(arena, homes(arena, 9, rng)))
    assert [zone["id"] for zone in content["zones"]] == list(range(1, len(content["zones"]) + 1))
    assert {zone["kind"] for zone in content["zones"]} == {"open", "entry", "hidden", "border"}
    for zone in content["zones"]:
        shape = np.array(zone["shape"])
        assert len(shape) >= 4 and (shape >= 0).all() and (shape <= content["image_size"]).all()
