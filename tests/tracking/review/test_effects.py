import numpy as np
import pyarrow as pa
import pytest

from backend.tracking.review.effects import effects, zone_of_rows
from backend.tracking.tracks.schemas import DOUBT_COLUMNS
from backend.zones.zone_file import parse_zones
from tests.tracking.track_samples import two_birds

TRACKS = two_birds(100)  # 4 s at 25 frames/s


def doubt(kind, tracks, from_frame=20, to_frame=25, until_frame=75, p_error=0.5):
    row = (1, kind, from_frame, to_frame, tracks, [], [], p_error, until_frame)
    return pa.table([[value] for value in row], schema=DOUBT_COLUMNS)


def test_without_zones_an_exchange_costs_the_time_of_both():
    assert effects(TRACKS, doubt("crossing", [1, 2])) == pytest.approx([0.5 * 2 * 2.0])


def test_an_exchange_within_one_zone_changes_no_number():
    same, apart = np.zeros(len(TRACKS), np.int64), (TRACKS.track_id == 2).astype(np.int64)
    assert effects(TRACKS, doubt("crossing", [1, 2]), same) == pytest.approx([0.0])
    assert effects(TRACKS, doubt("crossing", [1, 2]), apart) == pytest.approx([0.5 * 2 * 2.0])


def test_one_bird_in_two_tracks_costs_the_time_of_one_wherever_they_are():
    same = np.zeros(len(TRACKS), np.int64)
    assert effects(TRACKS, doubt("duplicate", [1, 2], until_frame=70), same) == pytest.approx([0.5 * 2.0])


def test_a_bird_is_in_the_zone_it_stands_in():
    shape = [[100.5, 0], [400, 0], [400, 60], [100.5, 60]]
    zone = {"id": 1, "name": "right", "kind": "open", "group": "", "shape": shape}
    zone_of_row = zone_of_rows(TRACKS, parse_zones({"format": 1, "image_size": [640, 480], "zones": [zone]}))
    feet = TRACKS.boxes[:, [0, 2]].mean(1)
    assert np.array_equal(zone_of_row, np.where(feet > 100.5, 1, 0))
