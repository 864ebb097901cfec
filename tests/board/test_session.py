"""Decisions of reviewers: what they change, what is refused, undo and redo, the queue, the second reviewer."""

import dataclasses
from dataclasses import replace

import pytest

from backend.project.errors import InputError
from backend.project.paths import Project
from backend.tracking.tracks.edits import Anchor
from backend.tracking.tracks.schemas import DOUBT_COLUMNS, DOUBTS
from backend.tracking.tracks.track_folder import open_tracks, read_doubts, write_table
from backend.web.http_errors import Conflict
from backend.zones.zone_file import Zone, Zones, save_zones, zones_path
from board.anchored_doubts import rows_of
from board.load_board import Board, open_board
from board.requests import ActRequest, Turn
from board.session import Session, agreement, audit
from tests.board.boards import MEETINGS, identity_errors, plain_table, tracked
from tests.tracking.track_samples import same


def ask(session: Session, kind: str, who: str = "Ann", **rest) -> None:
    session.act(ActRequest(kind=kind, version=session.view.version, **rest), who)


def turn(session: Session, way: str) -> None:
    session.turn(Turn(way=way, version=session.view.version), "Ann")


def answer_from_truth(session: Session, who: str = "Ann") -> None:
    """Answer every open doubt as somebody who knows the birds: detection ``k`` is bird ``k`` in `tracked`."""
    while session.view.open:
        doubt = session.view.open[0]
        birds_before = [anchor.detection for anchor in doubt.before]
        assignment = [birds_before.index(anchor.detection) for anchor in doubt.after]
        ask(session, "answer", who, doubt=doubt.number, assignment=assignment)


def test_answers_from_truth_leave_no_wrong_identity(board: Board) -> None:
    assert identity_errors(board.session.view.tracks) > 0
    answer_from_truth(board.session)
    assert identity_errors(board.session.view.tracks) == 0
    assert len(board.session.view.active_acts) == 4 + 2  # an answer each, and two exchanges


def test_a_new_name_is_tied_to_a_sighting_of_the_bird(board: Board) -> None:
    session = board.session
    ask(session, "rename", identity="bird 02", new="Hugo")
    anchor, tracks = session.view.active_acts[-1].anchor, session.view.tracks
    (row,) = rows_of(tracks, [anchor])
    assert tracks.names[tracks.identity[row]] == "Hugo"
    assert tracks.p_identity[row] == max(tracks.p_identity[tracks.identity == tracks.identity[row]])


def test_answers_in_any_order_end_alike(board: Board) -> None:
    session = board.session
    for number in (3, 1, 4, 2):
        doubt = session.view.doubts[number]
        wrong = MEETINGS[number - 1][2]
        ask(session, "answer", doubt=number, assignment=[1, 0] if wrong else list(doubt.followed))
    assert identity_errors(session.view.tracks) == 0


def test_undoing_everything_gives_the_automatic_result_and_redo_the_corrected_one(board: Board) -> None:
    session = board.session
    answer_from_truth(session)
    corrected, steps = session.view.tracks, 0
    while session.view.undo_target:
        turn(session, "undo")
        steps += 1
    assert steps == 4
    assert session.view.tracks is session.automatic
    while session.view.redo_target:
        turn(session, "redo")
        steps -= 1
    assert steps == 0 and same(session.view.tracks, corrected)


def test_nothing_can_be_redone_after_something_new(board: Board) -> None:
    session = board.session
    ask(session, "answer", doubt=1)
    turn(session, "undo")
    assert session.view.redo_target
    ask(session, "answer", doubt=2)
    assert session.view.redo_target is None
    turn(session, "redo")
    assert len(session.view.acts) == 3


def test_the_log_read_by_others_gives_what_the_board_shows(board: Board, project: Project) -> None:
    answer_from_truth(board.session)
    assert same(open_tracks(project.track_output("lek", "tracks-a")), board.session.view.tracks)


def test_a_stale_version_changes_nothing(board: Board) -> None:
    session = board.session
    ask(session, "answer", doubt=1)
    with pytest.raises(Conflict, match="version 0 is not the present one, 1"):
        session.act(ActRequest(kind="answer", version=0, doubt=2), "Bob")
    assert session.view.version == 1


def test_the_same_key_is_done_once(board: Board, project: Project) -> None:
    request = ActRequest(kind="answer", version=0, doubt=1, key="one")
    board.session.act(request, "Ann")
    board.session.act(request, "Ann")
    assert board.session.view.version == 1


def test_two_birds_with_one_name_in_a_frame_are_refused_with_the_frame(board: Board) -> None:
    with pytest.raises(InputError, match="frame 5: bird 02 is seen elsewhere"):
        ask(board.session, "name", track=1, frame=5, identity="bird 02", to="end")
    assert board.session.view.version == 0


def test_exchange_gives_the_other_bird_the_name(board: Board) -> None:
    session = board.session
    ask(session, "name", track=1, frame=12, identity="bird 02", to="end", exchange=True)
    preview = session.view.tracks.select(session.view.tracks.frame < MEETINGS[2][0])
    assert identity_errors(preview) == 0


def test_a_change_goes_to_the_next_open_doubt_and_no_further(board: Board) -> None:
    session = board.session
    told = session.preview(ActRequest(kind="name", version=0, track=3, frame=2, identity="new one"))
    assert told["words"] == ["bird 03 becomes new one in 22 frames, 2 to 23"] and told["problem"] == ""
    ask(session, "name", track=3, frame=2, identity="new one")
    names = {frame: set(identities_at(session, frame)) for frame in (1, 2, 23, 24)}
    assert names[2] == names[23] == {"bird 01", "bird 02", "new one"}
    assert names[1] == names[24] == {"bird 01", "bird 02", "bird 03"}


def identities_at(session: Session, frame: int) -> list[str]:
    tracks = session.view.tracks
    rows = tracks.rows_at(frame)
    seen = tracks.detection[rows] >= 0
    return [tracks.names[code] for code in tracks.identity[rows][seen]]


def test_a_preview_says_why_something_cannot_be_done_and_changes_nothing(board: Board) -> None:
    told = board.session.preview(ActRequest(kind="name", version=0, track=1, frame=5, identity="bird 02", to="end"))
    assert "frame 5" in told["problem"]
    assert board.session.view.version == 0 and board.session.view.tracks is board.session.automatic


@pytest.mark.parametrize("kind", ["split", "unlink", "lost", "not_a_bird"])
def test_acts_on_one_bird_can_be_undone(board: Board, kind: str) -> None:
    session = board.session
    ask(session, kind, track=2, frame=5)
    assert not same(session.view.tracks, session.automatic)
    turn(session, "undo")
    assert session.view.tracks is session.automatic


def test_split_and_merge_restore_a_track(board: Board) -> None:
    session = board.session
    ask(session, "split", track=2, frame=30)
    piece = int(session.view.tracks.track_id.max())
    ask(session, "merge", track=2, other=piece)
    again, automatic = session.view.tracks, session.automatic
    assert (again.identity == automatic.identity).all() and (again.detection == automatic.detection).all()


def test_a_drawn_bird_is_there_and_a_box_can_be_put_right(board: Board) -> None:
    session = board.session
    ask(session, "not_a_bird", track=3, frame=10, to=11)
    ask(session, "draw", frame=10, identity="bird 03", box=(1, 2, 30, 40))
    tracks = session.view.tracks
    row = tracks.rows_at(10).start + 2
    assert tracks.boxes[row].tolist() == [1, 2, 30, 40]
    ask(session, "draw", frame=10, identity="bird 03", box=(1, 2, 33, 44), track=3)
    assert session.view.tracks.boxes[row].tolist() == [1, 2, 33, 44]


def test_unsure_takes_a_doubt_from_the_queue_without_a_change(board: Board) -> None:
    session = board.session
    ask(session, "unsure", doubt=2)
    assert 2 not in {doubt.number for doubt in session.view.open}
    assert session.view.tracks is session.automatic


def test_a_doubt_is_asked_again_when_its_answer_no_longer_holds(board: Board) -> None:
    session = board.session
    ask(session, "answer", doubt=1)
    ask(session, "answer", doubt=1, assignment=[1, 0])
    turn(session, "undo")
    assert 1 not in {doubt.number for doubt in session.view.open}
    turn(session, "undo")
    assert 1 in {doubt.number for doubt in session.view.open}


def test_the_queue_is_ordered_by_effect(board: Board) -> None:
    effects = [doubt.effect_s for doubt in board.session.view.open]
    assert effects == sorted(effects, reverse=True) and len(set(effects)) == 4
    first = board.session.view.open[0]
    assert first.number == 1  # both birds for 48 frames, of which 3 in 10 are thought wrong
    assert first.effect_s == pytest.approx(0.3 * 2 * 48 / 25, rel=0.01)


def test_with_zones_an_exchange_within_one_zone_does_not_matter(project: Project) -> None:
    lanes = [((0, 0), (160, 0), (160, 60), (0, 60)), ((0, 60), (160, 60), (160, 96), (0, 96))]  # birds 1 and 2; bird 3
    zones = tuple(Zone(id=k + 1, name=f"lane {k + 1}", shape=shape) for k, shape in enumerate(lanes))
    save_zones(zones_path(project, "lek"), Zones(image_size=(160, 96), zones=zones), based_on=0)
    with open_board(project, project.track_output("lek", "tracks-a"), 1.0) as board:
        effects = {doubt.number: doubt.effect_s for doubt in board.session.view.open}
    # tracks 1 and 2 (doubt 1) stand in the upper zone until track 2 or 1 goes down at frame 36
    assert effects[1] == pytest.approx(0.3 * 2 * (60 - 36) / 25, rel=0.02)
    assert effects[2] == pytest.approx(0.3 * 2 * (36 - 24) / 25, rel=0.02)  # track 3 comes up at frame 36


def test_another_bird_after_a_moment_is_no_longer_told_apart(board: Board) -> None:
    session = board.session
    doubt = session.view.doubts[4]
    ask(session, "answer", doubt=4, assignment=[-1, 1])
    tracks = session.view.tracks
    after = tracks.select((tracks.frame >= 48) & (tracks.detection == doubt.after[0].detection))
    assert (after.identity == -1).all() and len(after) == 12
    assert 4 not in {each.number for each in session.view.open}


def test_a_doubt_about_one_tracklet_shows_the_other_bird_it_may_be(project: Project) -> None:
    folder = project.track_output("lek", "tracks-a")
    rows = read_doubts(folder).to_pylist()
    first = rows[0] | {"before": rows[0]["before"][:1], "after": rows[0]["after"][:1]}
    write_table(folder / DOUBTS, plain_table([tuple(first.values())], DOUBT_COLUMNS))
    with open_board(project, folder, 1.0) as board:
        doubt = board.session.view.doubts[1]
        assert (doubt.followed, [anchor.frame for anchor in doubt.anchors]) == ((0, 1), [11, 11, 12, 12])
        ask(board.session, "answer", doubt=1, assignment=[1, 0])
        early = board.session.view.tracks.select(board.session.view.tracks.frame < MEETINGS[2][0])
        assert identity_errors(early) == 0


def test_three_birds_are_put_right_in_one_answer(board: Board) -> None:
    session = board.session
    whole = {anchor.detection: anchor for doubt in session.view.doubts.values() for anchor in doubt.before}
    one = replace(
        session.view.doubts[4], number=9, before=tuple(Anchor(frame=11, detection=k) for k in whole),
        after=tuple(Anchor(frame=12, detection=k) for k in whole), from_frame=12, to_frame=12, followed=(1, 0, 2),
    )  # fmt: skip
    session.view.doubts[9] = one
    ask(session, "answer", doubt=9, assignment=[1, 2, 0])
    tracks = session.view.tracks
    named = [tracks.names[tracks.identity[row]] for row in rows_of(tracks, one.after)]
    before = [tracks.names[tracks.identity[row]] for row in rows_of(tracks, one.before)]
    assert named == [before[1], before[2], before[0]]


def test_two_reviewers_are_compared(board: Board) -> None:
    session = board.session
    assert len(session.view.open_for("Bob")) == 4
    for number in (1, 2, 3, 4):
        ask(session, "answer", "Ann", doubt=number)
    for number in (1, 2, 3):
        ask(session, "answer", "Bob", doubt=number)
    ask(session, "unsure", "Bob", doubt=4)
    found = agreement(session.view)
    assert found["answered"] == {"Ann": 4, "Bob": 4} and found["differ"] == [4]
    assert found["pairs"][0]["doubts"] == 4 and found["pairs"][0]["kappa"] == pytest.approx(0.0)
    assert not session.view.open_for("Bob")


def test_audited_moments_give_an_interval(board: Board) -> None:
    for frame in range(10):
        ask(board.session, "audit", track=1, frame=frame, verdict="wrong" if frame == 0 else "right")
    told = audit(board.session.view)
    assert (told["decided"], told["wrong"], told["share"]) == (10, 1, 0.1)
    assert (told["low"], told["high"]) == (pytest.approx(0.0179, abs=1e-4), pytest.approx(0.4042, abs=1e-4))


def test_one_board_at_a_time_writes_a_log(board: Board, project: Project) -> None:
    with (
        pytest.raises(InputError, match="in use by another board"),
        open_board(project, project.track_output("lek", "tracks-a"), 1.0),
    ):
        pass


def test_the_sample_is_what_it_says() -> None:
    tracks = tracked()
    assert identity_errors(tracks) == 2 * (36 - 12) + 3 * (60 - 36)
    assert dataclasses.is_dataclass(tracks)
