"""The page Correct mistakes: what it says of a run, what it starts, and what it says where something is missing."""

from pathlib import Path

import pytest

from backend.jobs import JobStore
from backend.project.paths import Project
from backend.video.library import get_video
from board.load_board import open_board
from board.requests import ActRequest
from board.summary import review_of
from gui.widgets.annotation_jobs import start_annotation
from gui.widgets.correct_jobs import import_tracks
from tests.board.boards import small_project
from tests.gui.pages import button, opened


@pytest.fixture
def project(installed: Project) -> Project:
    """A project with one tracked video."""
    return small_project(installed.root)


def decided(project: Project, *decisions: tuple[str, dict]) -> None:
    """Make decisions on the board, as (who, request)."""
    with open_board(project, project.track_output("lek", "tracks-a"), 1.0) as board:
        for who, request in decisions:
            board.session.act(ActRequest(version=board.session.view.version, **request), who)


def test_it_says_how_far_the_review_is_and_how_sure_one_may_be(project: Project) -> None:
    answers = [("Ann", {"kind": "answer", "doubt": 1}), ("Bob", {"kind": "answer", "doubt": 1})]
    audits = [("Ann", {"kind": "audit", "track": 1, "frame": k, "verdict": "right"}) for k in range(10)]
    decided(project, *answers, *audits)
    app = opened("correct")
    assert not app.exception
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Doubts answered"] == "25 %" and shown["Identity error"] == "0.0 %" and shown["Corrections"] == "12"
    assert any("Wilson score interval" in caption.value for caption in app.caption)
    assert any("Ann and Bob both answered 1 doubts" in caption.value for caption in app.caption)
    found = review_of(project, project.track_output("lek", "tracks-a"))
    assert (found.doubts, found.open) == (4, 3)


def test_it_starts_a_board_of_the_run(project: Project) -> None:
    app = opened("correct")
    button(app, "Start board").click().run()
    assert not app.exception
    (job,) = JobStore().list(kind="board")
    assert job.command[:3] == ("-m", "board", "--tracks") and job.service
    assert any("Board is" in caption.value for caption in app.caption)


def test_it_queues_an_export(project: Project) -> None:
    app = opened("correct")
    button(app, "Export corrected tracks").click().run()
    (job,) = JobStore().list(kind="export_tracks")
    assert job.command[-2:] == ("--to", "csv") and job.output is not None


def test_it_queues_a_small_copy_once(project: Project) -> None:
    app = opened("correct")
    button(app, "Create proxy video").click().run()
    (job,) = JobStore().list(kind="proxy")
    assert job.command[:4] == ("-m", "backend.proxy", "--video", "lek") and job.resumable
    assert job.output == project.cache / "proxies" / "lek"
    assert "Create proxy video" not in [button.label for button in app.button]


def test_it_hands_outlines_back_unless_segannot_has_the_video(project: Project) -> None:
    app = opened("correct")
    next(entry for entry in app.number_input if entry.label == "Maximum number of frames").set_value(7)
    button(app, "Add outlines to annotation").click().run()
    assert not app.exception
    (job,) = JobStore().list(kind="from_tracks")
    assert job.command[:2] == ("-m", "segannot.from_tracks") and job.command[-2:] == ("--most", "7")
    start_annotation(get_video(project, "lek"), "classic", False, 1.5)
    button(app, "Add outlines to annotation").click().run()
    assert "open in SegAnnot" in app.error[0].value and len(JobStore().list(kind="from_tracks")) == 1


def test_a_video_without_tracks_says_so_and_takes_those_made_elsewhere(project: Project) -> None:
    for file in project.track_output("lek", "tracks-a").iterdir():
        file.unlink()
    app = opened("correct")
    assert any("no tracks yet" in info.value for info in app.info)
    assert "Import tracks" in [expander.label for expander in app.expander]


def test_tracks_made_elsewhere_get_a_run_of_their_own(project: Project) -> None:
    record = get_video(project, "lek")
    jobs = [import_tracks(record, Path(name)) for name in ("/data/Tracks A.slp", "/data/mot.txt")]
    assert [job.output.name for job in jobs] == ["tracks-a-2", "mot"]  # tracks-a is there already
    assert jobs[1].command[-6:] == (
        "--from",
        "/data/mot.txt",
        "--video-path",
        record.path,
        "--out",
        str(jobs[1].output),
    )
