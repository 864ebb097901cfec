from datetime import UTC, datetime

import numpy as np
import pytest

from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.tracking.tracks.corrections import replay
from backend.tracking.tracks.edits import edit_line, parse_edit, read_log
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.track_folder import corrections_log, open_tracks, track_manifest
from backend.tracking.tracks.tracks import Tracks
from tests.tracking.track_samples import same, two_birds, write_run

BIRD_1, BIRD_2 = {"frame": 4, "detection": 0}, {"frame": 4, "detection": 1}


def act(number: int, what: str, **fields):
    now = datetime(2026, 5, 9, 6, 0, tzinfo=UTC)
    return parse_edit({"id": number, "when": now, "who": "Anna", "version": number - 1, "act": what, **fields})


def seen_as(tracks: Tracks, name: str) -> dict[int, int]:
    """Detection by frame of one identity."""
    rows = (tracks.identity == tracks.names.index(name)) & (tracks.state == State.DETECTED)
    return dict(zip(tracks.frame[rows].tolist(), tracks.detection[rows].tolist(), strict=True))


def one_row_a_frame(tracks: Tracks) -> bool:
    return all(
        np.array_equal(tracks.frame[tracks.identity == code], np.arange(tracks.n_frames))
        for code in range(len(tracks.names))
    )


def test_without_acts_the_automatic_result_itself_comes_back():
    tracks = two_birds(lost=(3,))
    assert replay(tracks, []).tracks is tracks


def test_a_swap_lasts_from_its_first_frame_to_its_last():
    swap = act(
        1, "swap", from_frame=4, to_frame=7, first=BIRD_1, first_identity="bird 02", second=BIRD_2,
        second_identity="bird 01",
    )  # fmt: skip
    result = replay(two_birds(), [swap])
    assert seen_as(result.tracks, "bird 01") == {f: int(4 <= f < 7) for f in range(10)}
    assert result.outcomes[0].rows == 6
    assert result.tracks.p_identity[result.tracks.rows_at(5)].tolist() == [1.0, 1.0]


def test_a_swap_that_the_tracks_follow_already_changes_no_name():
    swap = act(
        1, "swap", from_frame=4, first=BIRD_1, first_identity="bird 01", second=BIRD_2, second_identity="bird 02"
    )
    result = replay(two_birds(), [swap])
    assert seen_as(result.tracks, "bird 01") == dict.fromkeys(range(10), 0)


def test_naming_leaves_the_old_name_lost():
    result = replay(two_birds(), [act(1, "name", anchor=BIRD_1, identity="bird 09", from_frame=4)])
    tracks = result.tracks
    assert seen_as(tracks, "bird 09") == dict.fromkeys(range(4, 10), 0)
    assert seen_as(tracks, "bird 01") == dict.fromkeys(range(4), 0)
    lost = (tracks.identity == 0) & (tracks.state == State.LOST)
    assert tracks.frame[lost].tolist() == list(range(4, 10))


def test_two_birds_of_one_name_in_a_frame_are_refused_with_the_frame():
    result = replay(two_birds(), [act(1, "name", anchor=BIRD_1, identity="bird 02", from_frame=4)])
    assert "frame 4: bird 02 is seen elsewhere" in result.outcomes[0].problem
    assert same(result.tracks, two_birds())


def test_unlinking_leaves_a_track_without_a_name():
    tracks = replay(two_birds(), [act(1, "unlink", anchor=BIRD_2, from_frame=6)]).tracks
    nameless = tracks.identity == -1
    assert tracks.frame[nameless].tolist() == [6, 7, 8, 9]
    assert np.isnan(tracks.p_identity[nameless]).all()
    assert one_row_a_frame(tracks)


def test_what_was_unlinked_can_be_merged_again():
    acts = [
        act(1, "unlink", anchor=BIRD_2, from_frame=6),
        act(2, "merge", anchor=BIRD_2, other={"frame": 8, "detection": 1}, from_frame=0),
    ]
    assert seen_as(replay(two_birds(), acts).tracks, "bird 02") == dict.fromkeys(range(10), 1)


def test_a_link_fills_the_gap_with_guessed_boxes():
    before, after = {"frame": 2, "detection": 1}, {"frame": 5, "detection": 1}
    tracks = replay(two_birds(lost=(3, 4)), [act(1, "link", before=before, after=after, from_frame=2)]).tracks
    rows = (tracks.identity == 1) & (tracks.state == State.INTERPOLATED)
    assert tracks.frame[rows].tolist() == [3, 4]
    assert tracks.boxes[rows][:, 0].tolist() == [103, 104]
    assert one_row_a_frame(tracks)


def test_what_is_not_a_bird_vanishes():
    tracks = replay(two_birds(), [act(1, "not_a_bird", anchor=BIRD_2, from_frame=0)]).tracks
    assert seen_as(tracks, "bird 02") == {}
    assert set(tracks.state[tracks.identity == 1].tolist()) == {State.LOST}


def test_a_drawn_bird_is_seen_without_a_detection_and_can_be_named():
    acts = [
        act(1, "draw", frame=3, identity="bird 02", box=(100, 10, 120, 30)),
        act(2, "name", anchor={"frame": 3, "drawn": 1}, identity="bird 07", from_frame=3, to_frame=4),
    ]
    tracks = replay(two_birds(lost=(3,)), acts[:1]).tracks
    assert seen_as(tracks, "bird 02")[3] == -1
    assert one_row_a_frame(tracks)
    assert seen_as(replay(two_birds(lost=(3,)), acts).tracks, "bird 07") == {3: -1}


def test_a_drawn_box_replaces_that_of_its_detection():
    redraw = act(1, "draw", frame=4, identity="bird 01", box=(1, 2, 3, 4), anchor=BIRD_1)
    tracks = replay(two_birds(), [redraw]).tracks
    assert tracks.boxes[tracks.rows_at(4)][0].tolist() == [1, 2, 3, 4]
    assert seen_as(tracks, "bird 01")[4] == 0


def test_a_new_name_holds_everywhere():
    tracks = replay(two_birds(), [act(1, "rename", identity="bird 02", new="Blue")]).tracks
    assert tracks.names == ("bird 01", "Blue")


def test_a_new_name_goes_with_the_bird_that_was_meant_whatever_it_is_called_now():
    blue = act(1, "rename", identity="bird 01", new="Blue", anchor=BIRD_2)  # it was bird 01 when it was renamed
    assert replay(two_birds(), [blue]).tracks.names == ("bird 01", "Blue")
    again = replay(replay(two_birds(), [blue]).tracks, [blue])  # tracked again: the name is there already
    assert again.tracks.names == ("bird 01", "Blue")
    assert not again.outcomes[0].problem


def test_an_undone_act_does_not_count_and_a_redone_one_does():
    name = act(1, "name", anchor=BIRD_1, identity="bird 09", from_frame=4)
    undo, redo = act(2, "undo", target=1), act(3, "undo", target=2)
    assert replay(two_birds(), [name, undo]).tracks.names == ("bird 01", "bird 02")
    assert "bird 09" in replay(two_birds(), [name, undo, redo]).tracks.names


def test_an_act_on_a_detection_that_no_track_holds_is_reported_and_the_others_count():
    acts = [
        act(1, "name", anchor={"frame": 4, "detection": 17}, identity="bird 09", from_frame=4),
        act(2, "rename", identity="bird 01", new="Red"),
    ]
    result = replay(two_birds(), acts)
    assert [bool(outcome.problem) for outcome in result.outcomes] == [True, False]
    assert result.tracks.names == ("Red", "bird 02")


def test_a_kept_doubt_counts_as_reviewed_and_says_when_it_no_longer_holds():
    right = act(1, "keep", pairs=[[{"frame": 2, "detection": 0}, BIRD_1]], from_frame=2, to_frame=5)
    wrong = act(2, "keep", pairs=[[{"frame": 2, "detection": 0}, BIRD_2]], from_frame=2, to_frame=5)
    result = replay(two_birds(), [right, wrong])
    assert result.reviewed == ((2, 5), (2, 5))
    assert [bool(outcome.problem) for outcome in result.outcomes] == [False, True]


def test_the_log_is_read_back_and_applied_when_tracks_are_opened(tmp_path):
    folder = tmp_path / "run"
    write_run(folder, two_birds())
    acts = (act(1, "rename", identity="bird 01", new="Red"), act(2, "reviewed", from_frame=0, to_frame=10))
    log = corrections_log(folder, track_manifest(folder))
    atomic_write(log, b"".join(map(edit_line, acts)))
    assert read_log(log) == acts
    assert open_tracks(folder).names == ("Red", "bird 02")
    assert open_tracks(folder, corrections=False).names == ("bird 01", "bird 02")


def test_a_line_that_was_never_finished_is_left_out(tmp_path):
    atomic_write(tmp_path / "log", edit_line(act(1, "reviewed", from_frame=0)) + b'{"act": "na')
    assert len(read_log(tmp_path / "log")) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{}\n", "line 1"),
        (edit_line(act(2, "reviewed", from_frame=0)), "numbered by line"),
        (b"\xff\n", "line 1"),
    ],
    ids=["not an act", "wrong number", "not text"],
)
def test_a_damaged_log_is_refused_with_its_line(tmp_path, line, message):
    atomic_write(tmp_path / "log", line)
    with pytest.raises(InputError, match=message):
        read_log(tmp_path / "log")


@pytest.mark.parametrize(
    "fields",
    [
        {"act": "name", "anchor": BIRD_1, "identity": "x", "from_frame": 5, "to_frame": 5},
        {"act": "draw", "frame": 1, "identity": "x", "box": (3, 1, 2, 4)},
        {"act": "draw", "frame": 1, "identity": "x", "box": (float("nan"), 1, 2, 4)},
        {"act": "name", "anchor": {"frame": 1}, "identity": "x", "from_frame": 5},
        {"act": "explode"},
    ],
    ids=["empty range", "box inside out", "not a number", "anchor without detection", "unknown act"],
)
def test_an_act_that_makes_no_sense_is_refused(fields):
    with pytest.raises(InputError, match="not allowed"):
        parse_edit({"id": 1, "when": "2026-05-09T06:00:00Z", "who": "Anna", "version": 0, **fields})
