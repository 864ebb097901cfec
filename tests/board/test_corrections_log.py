"""The corrections log after a power cut: a decision is there as a whole or not at all."""

import json

from backend.project.paths import Project
from backend.tracking.tracks.edits import read_log
from board.load_board import open_board
from board.requests import ActRequest, Turn

LOG = "corrections/lek/detections-a.jsonl"
SWAP = ActRequest(kind="answer", version=0, doubt=1, assignment=[1, 0], key="swap")


def cuts(written: bytes, after: int) -> list[int]:
    """Return places behind byte ``after`` at which a power cut may end the log, the end of each line among them."""
    ends = [place + 1 for place in range(after, len(written)) if written[place : place + 1] == b"\n"]
    return sorted({after, after + 1, *ends, *(end - 1 for end in ends), *(end + 9 for end in ends[:-1])})


def test_a_decision_of_several_lines_that_was_cut_short_is_dropped_whole_and_done_when_sent_again(
    project: Project,
) -> None:
    log, run = project.root / LOG, project.track_output("lek", "tracks-a")
    with open_board(project, run, 1.0, threads=1) as board:
        board.session.act(SWAP, "Ann")
        decided = log.read_bytes()
        board.session.turn(Turn(way="undo", version=board.session.view.version, key="undo"), "Ann")
        undone, after_undo = log.read_bytes(), board.session.view.version
    assert (decided.count(b"\n"), after_undo) == (2, 4)
    for whole, start, request in ((decided, 0, SWAP), (undone, len(decided), Turn(way="undo", version=2, key="undo"))):
        for end in cuts(whole, start):
            log.write_bytes(whole[:end])
            done = end == len(whole)
            lines = whole if done else whole[:start]
            assert len(read_log(log)) == lines.count(b"\n")
            with open_board(project, run, 1.0, threads=1) as board:
                assert log.read_bytes() == lines
                if isinstance(request, Turn):
                    board.session.turn(request, "Ann")
                else:
                    board.session.act(request, "Ann")
                assert board.session.view.version == whole.count(b"\n")
                assert (1 in {doubt.number for doubt in board.session.view.open}) == (whole is undone)


def test_a_log_whose_lines_do_not_say_what_follows_is_read_as_before(project: Project) -> None:
    log, run = project.root / LOG, project.track_output("lek", "tracks-a")
    with open_board(project, run, 1.0, threads=1) as board:
        board.session.act(SWAP, "Ann")
        acts = [act.act for act in board.session.view.acts]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line.pop("more", False) for line in lines] == [True, False]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with open_board(project, run, 1.0, threads=1) as board:
        assert [act.act for act in board.session.view.acts] == acts == ["swap", "keep"]
        board.session.act(SWAP, "Ann")
        assert board.session.view.version == 2
