"""Every statistic on a recording whose numbers were worked out by hand: 10 frames a second, zones left and right."""

import dataclasses
from datetime import UTC, datetime

import numpy as np
import pytest

from backend.project.errors import InputError
from backend.zones.bird_sequences import Recording, recording_from_detections, recording_from_tracks
from backend.zones.measures import TABLES, measure
from backend.zones.pooled import pool_tables
from backend.zones.settings import StatisticsSettings, VideoFacts
from tests.detection_runs import make_run
from tests.zones.made import left_and_right, rectangle, tracks_of, zones_of

START = datetime(2026, 5, 9, 5, 59, 59, tzinfo=UTC)
PATH = [100, 40, 40, 40, 100, 160, 160, 160 + 0j, None, 160, 100, 100, None, None, None, 40, 40, 40, 100, 100]


def tables_of(paths, zones=None, p=None, **settings):
    settings = {"smooth_s": 0, "lost_after": 2, "bin_s": 1.0, **settings}
    facts = VideoFacts("made", "north", START, reviewed=((0, 5),), corrections=3, zones_version=7)
    return measure(
        recording_from_tracks(tracks_of(paths, p=p)), zones or left_and_right(), facts, StatisticsSettings(**settings)
    )


def row(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_time_visits_latency_and_evidence_of_a_bird():
    """Bird a: left for frames 1-3 and 15-17, right for 5-9 (7 guessed, 8 bridged), lost for 12-14, outside for 7."""
    birds = tables_of({"a": PATH})["birds"]
    left, right = row(birds, zone="left"), row(birds, zone="right")
    outside, lost = row(birds, zone="outside"), row(birds, zone="lost")
    assert [left.time_s, right.time_s, outside.time_s, lost.time_s] == pytest.approx([0.6, 0.5, 0.6, 0.3])
    assert left.share == pytest.approx(0.3) and row(birds, zone="any zone").time_s == pytest.approx(1.1)
    assert [right.seen_s, right.interpolated_s, right.missing_s] == pytest.approx([0.3, 0.1, 0.1])
    assert [right.least_s, right.most_s] == pytest.approx([0.4, 0.8])
    assert (left.visits, right.visits) == (2, 1)
    assert [left.latency_s, right.latency_s] == pytest.approx([0.1, 0.5])
    assert left.bout_mean_s == pytest.approx(0.3) and left.bouts_cut == 1 and right.bouts_cut == 0
    assert left.bout_mean_uncut_s == pytest.approx(0.3)


def test_bouts_say_how_they_begin_and_end():
    bouts = tables_of({"a": PATH, "b": [40] * 20})["bouts"]
    left = bouts[(bouts.bird == "a") & (bouts.zone == "left")]
    assert left[["begins", "ends"]].to_numpy().tolist() == [["entered", "left"], ["not seen", "left"]]
    assert left[["start_s", "end_s"]].to_numpy().ravel().tolist() == pytest.approx([0.1, 0.4, 1.5, 1.8])
    whole = row(bouts, bird="b", zone="left")
    assert (whole.begins, whole.ends, whole.cut) == ("recording", "recording", True)
    assert whole.seen_share == pytest.approx(1)
    assert row(bouts, bird="a", zone="right").seen_share == pytest.approx(0.8)


def test_transitions_in_order_and_their_matrix_skips_outside_but_not_lost():
    found = tables_of({"a": PATH})
    steps = [f"{move['from']}>{move['to']}" for _, move in found["transitions"].iterrows()]
    assert steps == [
        "outside>left",
        "left>outside",
        "outside>right",
        "right>outside",
        "outside>lost",
        "lost>left",
        "left>outside",
    ]
    matrix = found["transition_matrix"]
    assert row(matrix, **{"from": "left", "to": "right"}).n == 1
    assert matrix["n"].sum() == 1  # right to left went through lost


def test_bins_add_up_and_carry_the_clock():
    found = tables_of({"a": PATH})
    by_time = found["birds_by_time"]
    left = by_time[by_time.zone == "left"]
    assert left.time_s.tolist() == pytest.approx([0.3, 0.3]) and left.visits.tolist() == [1, 1]
    assert left.hour.tolist() == [5, 6] and left.clock.tolist()[1] == "2026-05-09T06:00:00+00:00"
    sums = by_time.groupby("zone")[["time_s", "distance", "rest_s", "visits"]].sum()
    whole = found["birds"].set_index("zone")[["time_s", "distance", "rest_s", "visits"]]
    assert sums.loc[whole.index].to_numpy() == pytest.approx(whole.to_numpy())


@pytest.mark.parametrize(
    ("start", "clocks"),
    [
        ("2026-05-01T22:29:30+00:00", ["2026-05-02T00:29:30+02:00", "2026-05-02T00:30:30+02:00"]),
        ("2026-05-02T00:29:30+02:00", ["2026-05-02T00:29:30+02:00", "2026-05-02T00:30:30+02:00"]),
        ("2026-10-25T00:59:30+00:00", ["2026-10-25T02:59:30+02:00", "2026-10-25T02:00:30+01:00"]),
    ],
)
def test_day_and_hour_are_those_of_the_time_zone_whatever_the_start_is_given_in(start, clocks):
    """A start that a file says is in UTC, a typed one is local: the same moment has one day and one hour."""
    facts = VideoFacts("made", "north", datetime.fromisoformat(start))
    settings = StatisticsSettings(bin_s=60, time_zone="Europe/Budapest")
    found = measure(recording_from_tracks(tracks_of({"a": [40] * 120}, fps=1)), left_and_right(), facts, settings)
    for name in ("birds_by_time", "counts_by_time"):
        left = found[name].query("zone == 'left'")
        assert left.clock.tolist() == clocks
        assert left.day.tolist() == [clock[:10] for clock in clocks]
        assert left.hour.tolist() == [int(clock[11:13]) for clock in clocks]
    assert found["videos"].start_time.tolist() == clocks[:1]


def test_distance_speed_and_rest_in_metres():
    """10 px a frame are 0.1 m a frame, 1 m/s; then it stands."""
    scale = {"kind": "length", "line": [[0, 0], [100, 0]], "length_m": 1.0}
    path = [0, 10, 20, 30, 40, 40, 40, 40, 40, 40, 40]
    found = tables_of({"a": path}, left_and_right(scale=scale), rest_below=0.5)["birds"]
    left = row(found, zone="left")
    assert left.distance == pytest.approx(0.4) and left.speed == pytest.approx(0.4)
    assert [left.moving_s, left.rest_s] == pytest.approx([0.4, 0.6]) and left.unit == "m"


def test_a_way_is_measured_on_the_ground_of_a_slanted_camera():
    """A view in which y halves: 10 px down is 5 m on the ground, 10 px across is 10 m."""
    scale = {"kind": "homography", "image_to_ground": [[1, 0, 0], [0, 0.5, 0], [0, 0, 1]]}
    across = tables_of({"a": [10, 20, 30]}, left_and_right(scale=scale))["birds"]
    assert row(across, zone="left").distance == pytest.approx(20)
    assert row(across, zone="right").distance_to_zone == pytest.approx(130)


def test_smoothing_keeps_a_trembling_box_from_walking():
    trembling = [40 + (frame % 2) for frame in range(100)]
    assert row(tables_of({"a": trembling})["birds"], zone="left").distance == pytest.approx(99)
    assert row(tables_of({"a": trembling}, smooth_s=1.0)["birds"], zone="left").distance < 12


def test_distance_to_zone_and_border():
    zones = zones_of(
        {"name": "court", "shape": rectangle(0, 0, 50, 100)},
        {"name": "rim", "kind": "border", "shape": rectangle(180, 0, 200, 100)},
    )
    birds = tables_of({"a": [60, 70, 40]}, zones)["birds"]
    assert row(birds, zone="court").distance_to_zone == pytest.approx((10 + 20 + 0) / 3)
    assert row(birds, zone="court").distance_to_border == pytest.approx((120 + 110 + 140) / 3)


def test_counts_need_no_names():
    found = tables_of({"a": [40] * 10, "b": [40] * 5 + [None] * 5, "?1": [100] * 5 + [40] * 5})
    counts = found["counts"]
    assert row(counts, zone="left").birds == pytest.approx((10 + 5 + 5) / 10)
    assert row(counts, zone="outside").birds == pytest.approx(0.5)
    assert row(counts, zone="lost").birds == 0  # the nameless one may be b
    assert row(found["birds"], bird="(not told apart)", zone="left").time_s == pytest.approx(0.5)
    assert np.isnan(row(found["birds"], bird="(not told apart)", zone="left").share)


def test_counts_of_bare_detections_and_the_stated_error_of_the_detector(tmp_path):
    boxes = {frame: [(35, 30, 45, 50)] * (1 + frame % 2) for frame in range(10)}
    recording = recording_from_detections(make_run(tmp_path / "run", boxes, 10, size=(200, 100), fps=10), 0.5)
    settings = StatisticsSettings(bin_s=0.5, birds=3, missed=0.2, false=0.1)
    found = measure(recording, left_and_right(), VideoFacts("made"), settings)
    assert set(found) == {"counts", "counts_by_time", "counts_by_hour", "videos"}
    left = row(found["counts"], zone="left")
    assert left.birds == pytest.approx(1.5) and row(found["counts"], zone="lost").birds == pytest.approx(1.5)
    assert [left.detection_low, left.detection_high] == pytest.approx([1.35, 1.875])
    assert found["counts_by_time"].query("zone == 'left'").birds.tolist() == pytest.approx([1.4, 1.6])


def test_contacts_pairs_and_nearest_neighbours():
    """b comes within 20 px of a in frames 3-5, is 22 px away in 6 (still in contact), gone in 7. c is far off."""
    found = tables_of(
        {"a": [40] * 10, "b": [100, 80, 65, 55, 50, 55, 62, 90, 90, 90], "c": [195] * 10}, contact=20.0, near=30.0
    )
    contact = row(found["contacts"], bird="a")
    assert (contact.other, contact.zone) == ("b", "left")
    assert [contact.start_s, contact.end_s, contact.least_distance] == pytest.approx([0.3, 0.7, 10])
    pair = row(found["pairs"], bird="a", other="b")
    assert [pair.together_s, pair.near_s, pair.weight] == pytest.approx([1.0, 0.5, 0.5])
    assert (pair.contacts, pair.contact_s) == (1, pytest.approx(0.4))
    assert row(found["pairs"], bird="a", other="b").nearest_share == 1
    assert row(found["pairs"], bird="b", other="a").nearest_share == pytest.approx(1.0)
    assert row(found["pairs"], bird="c", other="b").nearest_share == pytest.approx(1.0)


def test_what_was_not_watched_counts_neither_as_contact_nor_as_way():
    """10 s of two birds side by side; a is elsewhere after a hole of 1000 s. With and without smoothing."""
    run = recording_from_tracks(tracks_of({"a": [10] * 60 + [40] * 40, "b": [12] * 60 + [42] * 40}))
    times = run.times + 1000 * (np.arange(100) >= 60)
    for smooth_s in (0, 1.0):
        settings = StatisticsSettings(contact=20, near=50, rest_below=5, smooth_s=smooth_s)
        found = measure(dataclasses.replace(run, times=times), left_and_right(), VideoFacts("made"), settings)
        contact, pair = row(found["contacts"], bird="a"), row(found["pairs"], bird="a", other="b")
        assert [contact.start_s, contact.end_s, contact.duration_s] == pytest.approx([0, 1010, 10])
        assert [pair.together_s, pair.near_s, pair.contact_s] == pytest.approx([10, 10, 10])
        left = row(found["birds"], bird="a", zone="left")
        assert [left.distance, left.speed, left.moving_s] == pytest.approx([0, 0, 0], abs=1e-6)
        assert left.rest_s == pytest.approx(9.8)  # all but the first frame on either side


def recorded_at(times, path):
    """Return a recording of one bird, a, that is at ``path`` at ``times`` (s)."""
    return dataclasses.replace(recording_from_tracks(tracks_of({"a": path})), times=np.asarray(times, float))


@pytest.mark.parametrize("slow", [4, 10, 1])
def test_a_camera_that_lowers_its_rate_in_the_dark_is_watched_all_the_time(slow):
    """60 s at 25 frames a second in the left zone, 60 s at a lower rate in the right one, half a px a second."""
    times = [*(np.arange(1500) / 25), *(60 + np.arange(60 * slow) / slow)]
    path = [*(10 + np.arange(1500) / 25 / 2), *(160 + np.arange(60 * slow) / slow / 2)]
    for smooth_s in (0.0, 0.4):
        found = measure(
            recorded_at(times, path), left_and_right(), VideoFacts("made"), StatisticsSettings(smooth_s=smooth_s)
        )
        birds = found["birds"]
        assert row(birds, zone="left").watched_s == pytest.approx(120, abs=0.3)
        assert row(birds, zone="left").time_s == pytest.approx(60)
        assert row(birds, zone="right").time_s == pytest.approx(60)
        assert row(birds, zone="left").share == pytest.approx(0.5, abs=0.002)
        walked = measure(
            recorded_at(times, 10 + np.array(times) / 4), left_and_right(), VideoFacts("made"),
            StatisticsSettings(smooth_s=smooth_s),
        )  # fmt: skip
        assert row(walked["birds"], zone="left").distance == pytest.approx(30, rel=0.02)
        counts = row(found["counts"], zone="right")
        assert counts.birds == pytest.approx(0.5, abs=0.002)
        if np.isfinite(counts.sampling_low):
            assert counts.sampling_low <= counts.birds <= counts.sampling_high
    assert found["videos"].frame_rate[0] == pytest.approx((1500 + 60 * slow) / 120, rel=0.01)


def test_frames_that_are_missing_and_a_recording_that_paused_were_not_watched():
    """Frames 50 to 149 were not analysed; later the recording paused for 100 s. 25 frames a second."""
    frames = np.r_[0:50, 150:300].astype(np.int32)
    times = frames / 25 + 100.0 * (frames >= 200)
    run = dataclasses.replace(recording_from_tracks(tracks_of({"a": [40] * 200})), frames=frames, times=times)
    left = row(measure(run, left_and_right(), VideoFacts("made"), StatisticsSettings())["birds"], zone="left")
    assert [left.watched_s, left.time_s] == pytest.approx([200 / 25] * 2)


def test_single_frames_that_were_left_of_a_damaged_stretch_stand_for_one_frame_each():
    frames = np.r_[0:100, 250:2750:250, 2750:2850].astype(np.int32)
    run = recording_from_tracks(tracks_of({"a": [40] * len(frames)}))
    run = dataclasses.replace(run, frames=frames, times=frames / 25)
    left = row(measure(run, left_and_right(), VideoFacts("made"), StatisticsSettings())["birds"], zone="left")
    assert left.watched_s == pytest.approx(len(frames) / 25)


@pytest.mark.parametrize("by", ["ground point", "centre"])
@pytest.mark.parametrize(
    ("corner", "is_in"),
    [*(((x, y), 1) for x, y in ((200, 100), (200, 50), (100, 100), (0, 100), (0, 0))), ((205, 103), 0), ((-4, -2), 0)],
)
def test_a_bird_on_the_border_of_the_picture_is_in_a_zone_that_reaches_to_it(by, corner, is_in):
    """The border belongs to the picture; what lies beyond it does not."""
    x, y = corner
    boxes = np.tile(np.array([x, y, x, y], np.float32), (10, 1))
    run = dataclasses.replace(recording_from_tracks(tracks_of({"a": [50] * 10})), boxes=boxes)
    whole = zones_of({"name": "whole", "shape": rectangle(0, 0, 200, 100)})
    birds = measure(run, whole, VideoFacts("made"), StatisticsSettings(by=by, smooth_s=0))["birds"]
    assert row(birds, zone="whole").share == is_in
    assert (row(birds, zone="outside").time_s == 0) == is_in


def test_of_two_neighbouring_zones_one_has_the_bird_on_the_line_between_them():
    zones = zones_of(
        {"name": "west", "shape": rectangle(0, 0, 100, 100)}, {"name": "east", "shape": rectangle(100, 0, 200, 100)}
    )
    run = recording_from_tracks(tracks_of({"a": [100] * 10}))
    birds = measure(run, zones, VideoFacts("made"), StatisticsSettings(smooth_s=0))["birds"]
    assert sorted([row(birds, zone="west").share, row(birds, zone="east").share]) == [0, 1]


@pytest.mark.parametrize("bin_s", [60.0, 1000.0, 3600.0, 86400.0])
@pytest.mark.parametrize(
    ("zone", "begin", "days", "hours"),
    [
        ("UTC", "2024-05-01T22:30:00+00:00", [5400, 5400], {22: 1800, 23: 3600, 0: 3600, 1: 1800}),
        ("Asia/Kolkata", "2024-05-01T17:00:00+00:00", [5400, 5400], {22: 1800, 23: 3600, 0: 3600, 1: 1800}),
        ("Europe/Budapest", "2024-10-26T23:30:00+00:00", [10800], {1: 1800, 2: 7200, 3: 1800}),
    ],
    ids=["UTC", "a zone half an hour off", "the night when the hour from 2 to 3 comes twice"],
)
def test_sums_by_hour_and_day_do_not_follow_the_width_of_the_bins(bin_s, zone, begin, days, hours):
    """Three hours, one frame a second. The hours and days were counted by hand."""
    facts = VideoFacts("made", "north", datetime.fromisoformat(begin))
    settings = StatisticsSettings(bin_s=bin_s, time_zone=zone, smooth_s=0)
    found = measure(recording_from_tracks(tracks_of({"a": [40] * 10800}, fps=1)), left_and_right(), facts, settings)
    pooled = pool_tables([found])
    for table, name in ((pooled["birds_pooled"], "any zone"), (pooled["counts_pooled"], "left")):
        part = table[table["zone"] == name]
        assert part[part["by"] == "day"].watched_s.tolist() == pytest.approx(days)
        by_hour = part[part["by"] == "hour"]
        assert dict(zip(by_hour.hour, by_hour.watched_s, strict=True)) == pytest.approx(hours)
    assert set(pooled) == {*TABLES, "birds_pooled", "counts_pooled"}


def test_displacement_is_one_leaving_as_another_comes():
    """b comes into left at 0.5 s, a leaves at 0.7 s; c comes at 1.5 s when b stays."""
    found = tables_of(
        {"a": [40] * 7 + [100] * 13, "b": [100] * 5 + [45] * 15, "c": [100] * 15 + [30] * 5}, displacement_s=0.5
    )
    event = row(found["displacements"], zone="left")
    assert (event.left, event.came) == ("a", "b") and [event.time_s, event.lag_s] == pytest.approx([0.5, 0.2])


def test_the_video_row_carries_review_and_expected_error():
    video = tables_of({"a": [40] * 20, "b": [40] * 10 + [None] * 10}, p={"b": 0.9})["videos"].iloc[0]
    assert video.reviewed_share == pytest.approx(0.25) and video.corrections == 3 and video.zones_version == 7
    assert video.not_seen_share == pytest.approx(0.25)
    assert video.identity_error == pytest.approx(0.1 * 10 / 30)


def test_empty_tracks_and_a_range_behind_the_end_are_refused():
    with pytest.raises(InputError, match="empty"):
        tables_of({"a": [None] * 5, "b": [None] * 5})
    with pytest.raises(InputError, match=r"covers 0\.0 to 2\.0 s"):
        tables_of({"a": PATH}, from_s=5)


def later(recording: Recording, seconds: float) -> Recording:
    """Return what a run of a chosen range makes of the same birds: its first frame is ``seconds`` later."""
    frames = recording.frames + round(10 * seconds)
    return dataclasses.replace(recording, times=recording.times + seconds, frames=frames)


def test_a_run_of_a_chosen_range_begins_with_its_first_frame():
    """The same birds 400 s later in the video: the same latencies and bins, and no empty ones before them."""
    run, zones = recording_from_tracks(tracks_of({"a": PATH})), left_and_right()
    settings = StatisticsSettings(smooth_s=0, lost_after=2, bin_s=1.0)
    early, late = (measure(each, zones, VideoFacts("made"), settings) for each in (run, later(run, 400)))
    assert row(late["birds"], zone="left").latency_s == pytest.approx(0.1)
    assert late["birds_by_time"].start_s.unique().tolist() == pytest.approx([400, 401])
    for name in ("birds", "birds_by_time", "counts_by_time"):
        columns = [each for each in early[name].select_dtypes("number") if each not in ("start_s", "end_s")]
        assert late[name][columns].to_numpy() == pytest.approx(early[name][columns].to_numpy(), nan_ok=True)
    assert late["videos"][["from_s", "to_s"]].to_numpy().ravel().tolist() == pytest.approx([400, 402])


@pytest.mark.parametrize("settings", [{"to_s": 300.0}, {"from_s": 410.0}, {"from_s": 400.02, "to_s": 400.05}])
def test_a_range_without_a_frame_is_refused(settings):
    run = later(recording_from_tracks(tracks_of({"a": PATH})), 400)
    with pytest.raises(InputError, match=r"no analysed frame in the range .* covers 400\.0 to 402\.0 s"):
        measure(run, left_and_right(), VideoFacts("made"), StatisticsSettings(**settings))
