"""Editing a video: the start time as it was typed, and zones that survive another camera name."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from backend.project.errors import InputError
from backend.video.library import add_video, get_video, update_video
from backend.zones.video_zones import path_to_save_for, zones_of_video
from backend.zones.zone_file import list_versions, own_zones_path, parse_zones, read_zones, save_zones
from board.load_board import zones_of
from gui.widgets.video_dialogs import shown_time, start_time
from tests.gui.pages import button
from tests.videos import write_video

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("day", "clock", "expected"),
    [
        ("2026-05-01", "05:30:00+09:00", "2026-05-01T05:30:00+09:00"),
        ("2026-05-01", "05:30Z", "2026-05-01T05:30:00+00:00"),
        ("2026-05-01", "05:30:00", "2026-05-01T05:30:00+02:00"),
        ("2026-03-29", "01:59:59", "2026-03-29T01:59:59+01:00"),
        ("2026-03-29", "03:00", "2026-03-29T03:00:00+02:00"),
        ("2026-03-29", "02:30+01:00", "2026-03-29T02:30:00+01:00"),
        ("2026-10-25", "02:30:00+02:00", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25", "02:30:00+01:00", "2026-10-25T02:30:00+01:00"),
        ("2026-10-25", "03:00:00", "2026-10-25T03:00:00+01:00"),
    ],
)
def test_a_typed_start_time_is_that_moment(day, clock, expected):
    assert start_time(day, clock, BERLIN) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("day", "clock", "words"),
    [
        ("2026-03-29", "02:30", "does not exist in Europe/Berlin.*03:30:00"),
        ("2026-03-29", "02:00:00", "does not exist"),
        ("2026-10-25", "02:30:00", r"exists twice.*02:30:00\+02:00 or 02:30:00\+01:00"),
        ("2026-05-01", "half past five", "not a start time"),
        (None, "05:30", "not a start time"),
    ],
)
def test_a_time_that_is_none_or_two_is_refused_in_one_line(day, clock, words):
    with pytest.raises(InputError, match=words) as refused:
        start_time(day, clock, BERLIN)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "stored", ["2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00", "2026-05-01T03:30:00.25Z"]
)
def test_the_stored_start_time_is_offered_so_that_saving_it_changes_nothing(stored):
    moment = datetime.fromisoformat(stored)
    local = moment.astimezone(BERLIN)
    assert start_time(local.date(), shown_time(local), BERLIN) == moment


SQUARE = {"id": 1, "name": "court", "shape": [[10, 10], [60, 10], [60, 60]]}


@pytest.fixture
def project(installed, tmp_path: Path):
    """A project with two videos without a camera; zones in two versions were drawn for the first."""
    for name in ("dawn", "dusk"):
        add_video(installed, write_video(tmp_path / "videos" / f"{name}.mp4", 20, gop=4), [tmp_path / "videos"])
    path = zones_of_video(installed, get_video(installed, "dawn"))
    first = save_zones(path, parse_zones({"image_size": [160, 96], "zones": [SQUARE]}), 0)
    save_zones(path, first.model_copy(update={"zones": (first.zones[0].model_copy(update={"name": "lek"}),)}), 1)
    return installed


def editing(video: str) -> None:
    """Draw the dialog of a video until it is saved."""
    import streamlit as st

    from backend.video.library import get_video
    from gui.widgets.context import project
    from gui.widgets.video_dialogs import edit

    if not st.session_state.get("closed"):
        edit(get_video(project(), video))
    st.session_state["closed"] = st.session_state.get("closing", False)


def rename(video: str, camera: str, keep: bool = True) -> None:
    """Edit a video's camera."""
    app = AppTest.from_function(editing, default_timeout=60, args=(video,)).run()
    next(each for each in app.text_input if each.label == "Camera").set_value(camera)
    for box in app.checkbox:
        box.set_value(keep)
    app.session_state["closing"] = True
    button(app, "Save").click().run()
    assert not app.exception and not app.error


def names(project, video: str) -> list[str]:
    path = zones_of_video(project, get_video(project, video))
    return [zone.name for zone in read_zones(path).zones] if path.exists() else []


def test_zones_survive_every_name_of_the_camera(project):
    for camera in ("North", "north", "Север", ""):
        rename("dawn", camera)
        assert get_video(project, "dawn").camera == camera
        assert names(project, "dawn") == ["lek"] and names(project, "dusk") == []
        assert list_versions(zones_of_video(project, get_video(project, "dawn"))) == [2, 1]


def test_zones_of_two_cameras_are_never_mixed(project):
    other = {"image_size": [160, 96], "zones": [{**SQUARE, "name": "south"}]}
    save_zones(own_zones_path(project, "South"), parse_zones(other), 0)
    rename("dusk", "South")
    rename("dawn", "South")
    assert names(project, "dawn") == names(project, "dusk") == ["south"]
    rename("dawn", "dusk pole", keep=False)
    assert names(project, "dawn") == ["lek"], "its own zones, from before it had a camera"


def choosing_zones() -> None:
    """Draw the choice of zones on Track for the video dawn."""
    from types import SimpleNamespace

    import streamlit as st

    from gui.widgets.track_form import choose_zones

    st.session_state["chosen"] = choose_zones([SimpleNamespace(video="dawn")])


@pytest.mark.parametrize("camera", ["", "North"])
def test_track_board_and_zones_agree_on_the_zones_of_a_video(project, camera):
    """Without a camera, and with a camera that was named without asking for the zones (an earlier version did)."""
    update_video(project, "dawn", camera=camera)
    app = AppTest.from_function(choosing_zones, default_timeout=60).run()
    assert not app.exception and app.session_state["chosen"] == {"dawn": own_zones_path(project, "dawn")}
    assert [zone.name for zone in zones_of(project, "dawn").zones] == ["lek"]
    record = get_video(project, "dawn")
    saved = save_zones(path_to_save_for(project, record), read_zones(zones_of_video(project, record)), 2)
    assert saved.version == 2 and zones_of_video(project, record) == own_zones_path(project, camera or "dawn")
    assert list_versions(zones_of_video(project, record)) == [2, 1]
