import json

import numpy as np
import pytest

from backend.lek.lek_settings import LekSettings
from backend.lek.recording import record
from backend.masks.rle import box, decode


def test_a_row_for_every_bird_and_frame_with_boxes_of_what_is_seen(outlined, truth):
    rows = truth(outlined)
    assert len(rows) == 15000 * 12 and (rows.bird.to_numpy().reshape(-1, 12) == np.arange(1, 13)).all()
    seen = rows[rows.area_px2 > 0]
    unseen = rows[rows.area_px2 == 0]
    assert unseen[["x1", "y1", "x2", "y2", "cx", "cy"]].isna().all().all() and unseen.rle.isna().all()
    assert (unseen.visible_share == 0).all() and (seen.visible_share > 0).all() and (seen.visible_share <= 1).all()
    assert (seen.x1 >= 0).all() and (seen.y2 <= 544).all() and (seen.cx > seen.x1).all() and (seen.cy < seen.y2).all()


def test_boxes_areas_and_centres_are_those_of_the_run_lengths(outlined, truth):
    for row in truth(outlined).query("area_px2 > 0").iloc[::4001].itertuples():
        mask = decode(row.rle, 544, 960)
        y, x = np.nonzero(mask)
        assert mask.sum() == row.area_px2
        assert box(row.rle, 544).tolist() == [row.x1, row.y1, row.x2, row.y2]
        assert (x.mean() + 0.5, y.mean() + 0.5) == pytest.approx((row.cx, row.cy), abs=1e-3)


def test_ground_points_in_metres_and_pixels_agree_through_the_homography(outlined, truth):
    matrix = np.array(json.loads((outlined / "zones.json").read_text())["scale"]["image_to_ground"])
    rows = truth(outlined).query("not outside").iloc[::997]
    lifted = np.column_stack([rows.foot_x, rows.foot_y, np.ones(len(rows))]) @ matrix.T
    metres = lifted[:, :2] / lifted[:, 2:]
    assert metres == pytest.approx(rows[["ground_x", "ground_y"]].to_numpy(), abs=2e-3)


def test_without_masks_the_rest_stays_the_same(tmp_path, truth):
    settings = LekSettings(birds=4, seconds=4, seed=5)
    record(tmp_path / "with", settings, video=False)
    record(tmp_path / "without", settings, video=False, masks=False)
    first, second = truth(tmp_path / "with"), truth(tmp_path / "without")
    assert second.rle.isna().all() and first.drop(columns="rle").equals(second.drop(columns="rle"))


def test_the_same_settings_write_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        record(tmp_path / name, LekSettings(birds=5, seconds=30, seed=6), video=False)
    record(tmp_path / "other", LekSettings(birds=5, seconds=30, seed=7), video=False)
    for file in ("truth.parquet", "appearance.parquet", "events.jsonl", "zones.json", "objects.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert (tmp_path / "one" / "truth.parquet").read_bytes() != (tmp_path / "other" / "truth.parquet").read_bytes()
