"""Every doubt of a run can be answered with every answer, also where a tracklet passes through it."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from backend.tracking.tracks.schemas import DOUBT_COLUMNS, TRACKLET_COLUMNS
from backend.tracking.tracks.tracks import NONE
from board.anchored_doubts import Doubt, anchor_doubts
from board.load_board import Board
from tests.board.boards import plain_table, tracked
from tests.board.truthful_reviews import detected_lek, opened, refusal
from tests.board.truthful_reviews import tracked as tracked_run


def assignments(doubt: Doubt) -> list[list[int]]:
    """Return every assignment that gives no bird before a doubt to two birds after it."""
    every = product(range(NONE, len(doubt.before)), repeat=len(doubt.after))
    return [list(each) for each in every if len(set(each) - {NONE}) == sum(i != NONE for i in each)]


@pytest.mark.parametrize(("seed", "known"), [(2, True), (4, True), (5, True), (5, False)])
def test_every_answer_to_every_doubt_applies(tmp_path: Path, seed: int, known: bool) -> None:
    detections = detected_lek(tmp_path, birds=7, seconds=40, seed=seed)
    number = ("--n-birds", "7") if known else ()
    session = opened(tracked_run(detections, tmp_path / "tracks", "--no-appearance", *number), tmp_path / "log.jsonl")
    assert session.view.doubts
    for doubt in session.view.doubts.values():
        before, after = [a.frame for a in doubt.before], [a.frame for a in doubt.after]
        assert max(before, default=NONE) < min(after), f"doubt {doubt.number} is not in order of time"
        for answer in [None, *assignments(doubt)]:
            problem = refusal(session, doubt.number, answer)
            assert problem == "", f"doubt {doubt.number} ({doubt.kind}), answer {answer}: {problem}"


def passing(before: tuple[int, ...], after: tuple[int, ...], frames: tuple[int, int], *spans: tuple[int, ...]) -> Doubt:
    """Return the doubt between two tracklets of each bird; ``spans`` are (track, first, last frame) by number."""
    facts = [
        (n, track, f"bird {track:02d}", 0.9, first, last, last - first + 1, 0.9, "start", "end", None, None)
        for n, (track, first, last) in enumerate(spans, 1)
    ]
    tracks = sorted({spans[n - 1][0] for n in before + after})
    row = (1, "crossing", *frames, tracks, list(before), list(after), 0.3, 60)
    tables = plain_table([row], DOUBT_COLUMNS), plain_table(facts, TRACKLET_COLUMNS)
    (doubt,) = anchor_doubts(*tables, tracked(), np.ones(1))
    return doubt


def test_a_tracklet_that_passes_through_a_doubt_is_cut_at_it() -> None:
    doubt = passing((1, 2), (1, 2), (19, 21), (1, 0, 59), (2, 5, 50))
    assert [anchor.frame for anchor in doubt.before] == [19, 19]
    assert [anchor.frame for anchor in doubt.after] == [20, 20]
    assert doubt.followed == (0, 1)


def test_a_tracklet_that_passes_beside_one_that_ends_is_cut_at_the_doubt() -> None:
    doubt = passing((1, 2), (1, 3), (19, 21), (1, 0, 59), (2, 0, 18), (2, 20, 59))
    assert [anchor.frame for anchor in doubt.before] == [19, 18]
    assert [anchor.frame for anchor in doubt.after] == [20, 20]


def test_birds_that_were_doubted_one_after_the_other_are_asked_of_outside_both_moments() -> None:
    doubt = passing((1, 3), (2, 4), (9, 41), (1, 0, 9), (1, 10, 59), (2, 30, 39), (2, 40, 59))
    assert [anchor.frame for anchor in doubt.before] == [9, 9]
    assert [anchor.frame for anchor in doubt.after] == [40, 40]


def test_a_tracklet_that_ends_where_the_next_begins_stays_as_it_is() -> None:
    doubt = passing((1,), (2,), (9, 13), (1, 0, 9), (1, 12, 59))
    assert [anchor.frame for anchor in doubt.anchors] == [9, 12]


def test_the_doubts_of_the_sample_are_in_order(board: Board) -> None:
    for doubt in board.session.view.doubts.values():
        assert max(a.frame for a in doubt.before) < min(a.frame for a in doubt.after)
