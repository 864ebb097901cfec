"""Masks drawn on the board: strokes on what is there, what the page then shows, and what is refused."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from backend.masks import rle
from backend.masks.strokes import stroke_mask
from backend.project.errors import InputError
from backend.tracking.tracks.track_folder import open_tracks
from board.load_board import Board, open_board
from board.mask_brush import drawn_frames, label_map, row_labels, with_mask
from board.requests import ActRequest, Turn
from tests.board.boards import SIZE, board_server, box_of, post, small_project
from tests.web.servers import running

FRAME = 5
LINE = {"kind": "brush", "points": [[60, 80], [90, 80]], "radius": 4}


@pytest.fixture
def board(tmp_path: Path):
    """An open board whose masks are full boxes."""
    project = small_project(tmp_path / "project")
    with open_board(project, project.track_output("lek", "tracks-a"), 1.0) as opened:
        yield opened


def own_mask(bird: int) -> np.ndarray:
    x1, y1, x2, y2 = map(int, box_of(bird, FRAME))
    mask = np.zeros(SIZE[::-1], bool)
    mask[y1:y2, x1:x2] = True
    return mask


def draw(board: Board, *strokes: dict, track: int | None = 1, **more) -> ActRequest:
    """Return the request with its mask, and carry it out."""
    facts = {
        "kind": "draw",
        "version": board.session.view.version,
        "frame": FRAME,
        "identity": "bird 01",
        "track": track,
    }
    asked = ActRequest.model_validate({**facts, "strokes": strokes, **more})
    made = with_mask(asked, board.session.view.tracks, board.masks.at(FRAME), SIZE)
    board.session.act(made, "Ann")
    return made


def shown(board: Board) -> dict[int, np.ndarray]:
    """Return the mask that the page shows for each track in the frame."""
    tracks = board.session.view.tracks
    rows = tracks.rows_at(FRAME)
    labels = label_map(tracks, FRAME, board.masks.at(FRAME), SIZE)
    pairs = zip(tracks.track_id[rows].tolist(), row_labels(tracks, rows).tolist(), strict=True)
    return {track: labels == label for track, label in pairs}


def test_a_stroke_is_added_to_the_mask_that_is_there(board: Board) -> None:
    made = draw(board, LINE)
    wanted = own_mask(0) | stroke_mask(np.array(LINE["points"], float), 4, SIZE)
    assert np.array_equal(rle.decode(made.rle.encode(), SIZE[1], SIZE[0]), wanted)
    ys, xs = np.nonzero(wanted)
    assert made.box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    tracks = board.session.view.tracks
    assert tracks.boxes[tracks.rows_at(FRAME).start].tolist() == list(made.box)
    found = shown(board)
    assert np.array_equal(found[1], wanted) and np.array_equal(found[2], own_mask(1) & ~wanted)


def test_strokes_go_on_from_what_was_drawn_and_undo_brings_the_first_mask_back(board: Board) -> None:
    draw(board, LINE)
    before = drawn_frames(board.session.view.tracks)
    cut = {"kind": "polygon", "points": [[0, 0], [160, 0], [160, 50], [0, 50]], "positive": False}
    made = draw(board, cut, {"kind": "eraser", "points": [[60, 80]], "radius": 6})
    wanted = stroke_mask(np.array(LINE["points"], float), 4, SIZE) & ~stroke_mask(np.array([[60.0, 80.0]]), 6, SIZE)
    wanted[:50] = False
    assert np.array_equal(rle.decode(made.rle.encode(), SIZE[1], SIZE[0]), wanted)
    assert drawn_frames(board.session.view.tracks)[FRAME] != before[FRAME]
    for _ in range(2):
        board.session.turn(Turn(way="undo", version=board.session.view.version), "Ann")
    assert drawn_frames(board.session.view.tracks) == {} and np.array_equal(shown(board)[1], own_mask(0))


def test_a_bird_that_was_missed_is_drawn_and_can_be_put_right(board: Board) -> None:
    gone = {"kind": "not_a_bird", "track": 1, "frame": FRAME, "to": FRAME + 1}
    board.session.act(ActRequest(version=0, **gone), "Ann")
    draw(board, LINE, track=None)
    line = stroke_mask(np.array(LINE["points"], float), 4, SIZE)
    assert np.array_equal(shown(board)[1], line)
    dab = {"kind": "brush", "points": [[20, 20]], "radius": 5}
    draw(board, dab)
    assert np.array_equal(shown(board)[1], line | stroke_mask(np.array([[20.0, 20.0]]), 5, SIZE))


def test_a_box_alone_takes_the_mask_away_and_says_so(board: Board) -> None:
    facts = {"kind": "draw", "frame": FRAME, "identity": "bird 01", "track": 1, "box": (1, 2, 30, 40), "version": 0}
    request = with_mask(ActRequest(**facts), board.session.view.tracks, board.masks.at(FRAME), SIZE)
    assert board.session.preview(request)["words"] == ["bird 01 is drawn in frame 5 as a box without a mask, 1 frame"]
    board.session.act(request, "Ann")
    assert not shown(board)[1].any() and np.array_equal(shown(board)[2], own_mask(1))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"strokes": [{"kind": "eraser", "points": [[30, 12]], "radius": 400}]}, "the mask is empty"),
        ({"strokes": [{"kind": "polygon", "points": [[0, 0], [9, 9]]}]}, "at least 3 corners, this one has 2"),
        ({"rle": "no counts", "box": (0, 0, 9, 9)}, "rle cannot be used"),
        ({"rle": rle.encode(np.ones((10, 10), bool)).decode(), "box": (0, 0, 9, 9)}, "rle cannot be used"),
    ],
)
def test_what_is_no_mask_is_refused(board: Board, more: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        draw(board, **more)
    assert board.session.view.version == 0


def test_the_server_keeps_the_mask_and_answers_it(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    with running(board_server(project)) as server:
        request = {"kind": "draw", "frame": FRAME, "identity": "bird 01", "track": 1, "strokes": [LINE], "key": "k"}
        assert post(server, "preview", **request).json["words"] == [
            "bird 01 is drawn in frame 5 with this mask, 1 frame"
        ]
        state = post(server, "act", **request).json
        assert list(state["drawn"]) == [str(FRAME)]
        answer = server.ask_signed_in(path=f"/api/masks/{FRAME}?drawn={state['drawn'][str(FRAME)]}")
        assert answer.headers["cache-control"] == "no-store"
        data = gzip.decompress(answer.body)
        x, y, width, height = struct.unpack("<4I", data[:16])
        labels = np.zeros(SIZE[::-1], np.uint8)
        labels[y : y + height, x : x + width] = np.frombuffer(data[16:], np.uint8).reshape(height, width)
        wanted = own_mask(0) | stroke_mask(np.array(LINE["points"], float), 4, SIZE)
        assert np.array_equal(labels == 255, wanted)
    drawn = open_tracks(project.track_output("lek", "tracks-a")).drawn
    assert np.array_equal(rle.decode(drawn[FRAME, 1], SIZE[1], SIZE[0]), wanted)
