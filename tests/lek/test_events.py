import json
from collections import defaultdict

import cv2
import numpy as np
import pytest

from backend.lek.events import APART_M, CONTACT_M


@pytest.fixture(scope="module")
def story(outlined, truth):
    rows = truth(outlined)
    n = rows.bird.max()
    grid = {name: rows[name].to_numpy().reshape(-1, n) for name in rows.columns if name != "rle"}
    events = [json.loads(line) for line in (outlined / "events.jsonl").read_text().splitlines()]
    kinds = defaultdict(list)
    for event in events:
        kinds[event["kind"]].append(event)
    return grid, kinds, events


def apart(grid, event):
    frame, i, j = event["frame"], event["bird"] - 1, event["other"] - 1
    x, y = grid["ground_x"][frame], grid["ground_y"][frame]
    return np.hypot(x[i] - x[j], y[i] - y[j])


def test_events_come_in_order_and_every_kind_happened(story):
    _, kinds, events = story
    assert [event["frame"] for event in events] == sorted(event["frame"] for event in events)
    expected = {"contact_start", "contact_end", "fight_start", "fight_end", "displacement", "enter_zone", "leave_zone"}
    assert set(kinds) == expected | {"fly_out", "gone", "fly_in", "box_in", "box_out"}


def test_contacts_begin_when_birds_come_close_and_end_when_they_part(story):
    grid, kinds, _ = story
    assert all(apart(grid, event) < CONTACT_M for event in kinds["contact_start"])
    on_ground = [
        event
        for event in kinds["contact_end"]
        if grid["height_m"][event["frame"]][[event["bird"] - 1, event["other"] - 1]].max() < 0.25
        and not grid["in_box"][event["frame"]][[event["bird"] - 1, event["other"] - 1]].any()
    ]
    assert all(apart(grid, event) > APART_M for event in on_ground)


def test_a_fight_ends_with_the_loser_running_from_the_winner(story):
    grid, kinds, _ = story
    for event in kinds["fight_start"]:
        for one, other in ((event["bird"], event["other"]), (event["other"], event["bird"])):
            assert grid["behaviour"][event["frame"]][one - 1] == "fight"
            assert grid["partner"][event["frame"]][one - 1] == other
    for event in kinds["fight_end"]:
        assert grid["behaviour"][event["frame"]][event["other"] - 1] == "flee"
        assert grid["behaviour"][event["frame"] - 1][event["bird"] - 1] == "fight"
    ends = {(event["frame"], event["other"]) for event in kinds["fight_end"]}
    assert ends <= {(event["frame"], event["bird"]) for event in kinds["displacement"]}


def test_zone_events_agree_with_polygons_and_ground_points(story, outlined):
    grid, kinds, _ = story
    zones = {zone["id"]: zone for zone in json.loads((outlined / "zones.json").read_text())["zones"]}
    for kind, sign in (("enter_zone", 1), ("leave_zone", -1)):
        for event in kinds[kind][::7]:
            frame, bird = event["frame"], event["bird"] - 1
            foot = (float(grid["foot_x"][frame][bird]), float(grid["foot_y"][frame][bird]))
            shape = np.array(zones[event["zone"]]["shape"], np.float32)
            flying = grid["height_m"][frame][bird] >= 0.25 or grid["behaviour"][frame][bird] == "away"
            assert flying or sign * cv2.pointPolygonTest(shape, foot, True) > -0.05


def test_visits_to_a_zone_begin_and_end_in_turn(story):
    _, _, events = story
    inside = set()
    for event in events:
        key = (event["bird"], event.get("zone"))
        if event["kind"] == "enter_zone":
            assert key not in inside
            inside.add(key)
        elif event["kind"] == "leave_zone":
            inside.remove(key)


def test_a_bird_in_the_box_is_not_seen_until_it_comes_out(story):
    grid, kinds, _ = story
    for event in kinds["box_in"]:
        assert grid["in_box"][event["frame"]][event["bird"] - 1]
    for event in kinds["box_out"]:
        frame, bird = event["frame"], event["bird"] - 1
        assert grid["in_box"][frame - 1][bird] and not grid["in_box"][frame][bird]
    assert not grid["visible_share"][grid["in_box"]].any()


def test_who_is_gone_is_outside_until_it_flies_in(story):
    grid, kinds, _ = story
    for event in kinds["gone"] + kinds["fly_in"]:
        assert grid["outside"][event["frame"]][event["bird"] - 1]
    assert grid["outside"][grid["behaviour"] == "away"].all()
    assert not (grid["outside"] & grid["in_box"]).any()


def test_what_the_log_says_at_the_start_is_what_is_so_in_frame_0(story):
    grid, _, events = story
    at_once = {event["bird"] for event in events if event["frame"] == 0 and event["kind"] == "gone"}
    assert at_once == set((np.flatnonzero(grid["behaviour"][0] == "away") + 1).tolist())
