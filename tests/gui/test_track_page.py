"""The page Track: what it says of a result, and where something is missing."""

from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.jobs import JobStore
from backend.project.atomic import atomic_json
from backend.project.manifest import read_manifest
from backend.project.paths import Project
from backend.tracking.review.views import doubt_rows
from backend.tracking.tracks.schemas import DOUBT_COLUMNS, DOUBTS, SUMMARY
from backend.tracking.tracks.track_folder import open_tracks, write_table, write_tracks
from backend.zones.zone_file import parse_zones
from board.load_board import open_board
from board.requests import ActRequest
from tests.board.boards import SIZE, small_project
from tests.detection_runs import make_run
from tests.gui.pages import button, opened

RESULTS = {"asked-track-view": "Results"}


@pytest.fixture
def project(installed: Project) -> Project:
    """A project with one tracked video."""
    return small_project(installed.root)


def test_a_run_without_its_summary_is_shown_with_one_line_about_it(project: Project) -> None:
    app = opened("track", **RESULTS)
    assert not app.exception
    (problem,) = app.error
    assert "summary.json is missing" in problem.value
    assert any(heading.value == "Doubts (4)" for heading in app.subheader)


def test_what_a_result_is_worth_is_said_in_plain_words(project: Project) -> None:
    facts = {
        "corrections": 0,
        "birds": 3,
        "described": True,
        "expected_error": 0.021,
        "corrections_that_do_not_apply": [],
    }
    atomic_json(project.track_output("lek", "tracks-a") / SUMMARY, facts)
    app = opened("track", **RESULTS)
    assert not app.exception and not app.error
    assert any("3 birds. Expected identity error 2.1 % of bird-time" in text.value for text in app.markdown)
    assert not app.info


def test_corrections_are_told_and_tracking_again_keeps_what_tracking_was_told(project: Project) -> None:
    folder = project.track_output("lek", "tracks-a")
    atomic_json(folder / SUMMARY, {"birds": 3, "described": True, "expected_error": 0.02, "corrections": 0,
                                   "corrections_that_do_not_apply": []})  # fmt: skip
    manifest = read_manifest(folder)
    manifest.settings |= {"n_birds": 3, "camera_motion": "off", "least_probability": 0.5, "no_appearance": True}
    manifest.write(folder)
    with open_board(project, folder, 1.0) as board:
        board.session.act(ActRequest(version=board.session.view.version, kind="answer", doubt=1), "Ann")
    app = opened("track", **RESULTS)
    assert not app.exception and not app.error
    (told,) = app.info
    assert "of these detections, not all used by this tracking" in told.value
    button(app, "Track again with corrections").click().run()
    (job,) = JobStore().list(kind="track")
    assert job.command[-7:] == (
        "--n-birds",
        "3",
        "--camera-motion",
        "off",
        "--least-probability",
        "0.5",
        "--no-appearance",
    )


def test_doubts_come_in_the_order_of_their_effect(project: Project) -> None:
    tracks = open_tracks(project.track_output("lek", "tracks-a"), corrections=False)
    rows = doubt_rows(project.track_output("lek", "tracks-a"), tracks)
    costs = [row["cost_s"] for row in rows]
    assert len(rows) == 4 and costs == sorted(costs, reverse=True) and costs[0] > costs[-1] > 0
    shape = [[0, 0], [SIZE[0], 0], [SIZE[0], SIZE[1]], [0, SIZE[1]]]
    everywhere = {"id": 1, "name": "all", "kind": "open", "group": "", "shape": shape}
    zones = parse_zones({"format": 1, "image_size": list(SIZE), "zones": [everywhere]})
    assert [row["cost_s"] for row in doubt_rows(project.track_output("lek", "tracks-a"), tracks, zones)] == [0.0] * 4


def test_a_run_without_any_track_says_so(installed: Project) -> None:
    frames = np.arange(50, dtype=np.int32)
    whole = small_project(installed.root).track_output("lek", "tracks-a")
    nothing = open_tracks(whole, corrections=False).select(np.zeros(0, np.int64))
    write_tracks(whole, replace(nothing, names=(), frames=frames, times=frames / 25))
    write_table(whole / DOUBTS, DOUBT_COLUMNS.empty_table())
    atomic_json(whole / SUMMARY, {"birds": 0, "described": False, "expected_error": None, "corrections": 0,
                                  "corrections_that_do_not_apply": []})  # fmt: skip
    app = opened("track", **RESULTS)
    assert not app.exception and not app.error
    assert any("0 birds. Expected identity error not known" in text.value for text in app.markdown)
    assert any("No bird was tracked" in warning.value for warning in app.warning)
    assert not any("Doubts" in heading.value for heading in app.subheader)


def number_of_birds() -> None:
    """Draw the number of birds on Track."""
    import streamlit as st

    from gui.widgets.track_form import choose_birds

    st.session_state["birds"] = choose_birds()


def test_a_known_number_of_birds_is_typed_not_guessed():
    app = AppTest.from_function(number_of_birds, default_timeout=60).run()
    (field,) = app.number_input
    assert field.value is None and app.session_state["birds"] == (None, False)
    field.set_value(7).run()
    assert app.session_state["birds"] == (7, True)


def test_start_without_the_number_is_refused_in_one_line_and_queues_nothing(project: Project) -> None:
    run = make_run(project.inference_output("lek", "ruffs-1"), {0: [(10, 10, 30, 40)]}, 20, video="lek")
    assert run.manifest.complete
    app = opened("track")
    button(app, "Start").click().run()
    assert any("Type how many birds" in error.value for error in app.error)
    assert JobStore().list(kind="track") == [] and JobStore().list(kind="describe") == []


def number_for_statistics() -> None:
    """Draw the settings of statistics of all track runs."""
    import streamlit as st

    from backend.zones.statistics_library import list_measurable
    from gui.widgets.context import project
    from gui.widgets.statistics_form import choose_settings, told_number

    st.session_state["options"] = choose_settings(True, told_number(list_measurable(project(), "track_output")))[1]


@pytest.mark.parametrize(("told", "expected"), [(3, ["--birds", "3"]), (None, [])])
def test_statistics_begin_with_the_number_that_tracking_was_told(project: Project, told, expected) -> None:
    folder = project.track_output("lek", "tracks-a")
    manifest = read_manifest(folder)
    manifest.settings["n_birds"] = told
    manifest.complete = True
    manifest.write(folder)
    app = AppTest.from_function(number_for_statistics, default_timeout=60).run()
    assert not app.exception, app.exception
    options = app.session_state["options"]
    assert options[4:6] == expected if expected else "--birds" not in options
