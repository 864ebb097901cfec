"""What annotators do, on a video of two birds: outlines, objects, propagation, correction, undo."""

import numpy as np
import pytest

from backend.masks.indexed import read_labels
from backend.masks.objects import MaskOrigin, read_objects
from backend.project.errors import InputError
from backend.web.http_errors import Conflict
from segannot.engines.base import LabelledFrame
from segannot.propagation import Propagation, fuse
from segannot.requests import Draw, FrameAct, ObjectAct, Propagate, checked
from tests.jobs.tools import stays, wait_until
from tests.segannot.conftest import N_FRAMES, iou, truth

BIRDS = {1: [[45.0, 66.0], [75.0, 74.0]], 2: [[250.0, 108.0], [250.0, 132.0]]}  # strokes on frame 0


def add(session, **more):
    session.object_act(ObjectAct(version=session.store.version, kind="add", **more))


def draw(session, frame, number, points, kind="scribble", **more):
    request = Draw(version=session.store.version, frame=frame, object=number, kind=kind, points=points, **more)
    session.draw(request)


def carry(session, frame, to=None, **more):
    session.propagate(Propagate(version=session.store.version, frame=frame, to=to, **more))
    session.task.join(60)
    assert session.task.state == "done", session.task.problem


@pytest.fixture
def labelled(session):
    """The session with two birds scribbled on frame 0."""
    for number, points in BIRDS.items():
        add(session)
        draw(session, 0, number, points)
    return session


def test_one_scribble_on_a_bird_outlines_it(labelled):
    labels, true = labelled.store.labels(0), truth(0)
    assert [iou(labels == number, true == number) > 0.9 for number in (1, 2)] == [True, True]
    assert labelled.store.origins == {0: MaskOrigin.HAND_MADE}


@pytest.mark.parametrize(
    ("kind", "points"), [("click", [[60.0, 70.0]]), ("box", [[30.0, 50.0], [92.0, 92.0]])], ids=["click", "box"]
)
def test_a_click_or_a_box_outlines_a_bird(session, kind, points):
    add(session)
    draw(session, 0, 1, points, kind)
    assert iou(session.store.labels(0) == 1, truth(0) == 1) > 0.85


def test_a_negative_scribble_takes_away_what_it_crosses(labelled):
    draw(labelled, 0, 1, [[95.0, 70.0], [105.0, 70.0]], "brush", radius=8)
    assert labelled.store.labels(0)[70, 104] == 1
    draw(labelled, 0, 1, [[98.0, 64.0], [104.0, 76.0]], positive=False)
    assert labelled.store.labels(0)[70, 101] == 0
    assert iou(labelled.store.labels(0) == 1, truth(0) == 1) > 0.7


def test_brush_eraser_and_polygon_are_exact(session):
    add(session)
    draw(session, 3, 1, [[100.5, 100.5]], "brush", radius=10)
    area = int((session.store.labels(3) == 1).sum())
    assert abs(area - np.pi * 100) < 40
    draw(session, 3, 1, [[100.5, 90.5], [100.5, 110.5]], "eraser", radius=2)
    assert 0 < (session.store.labels(3) == 1).sum() < area
    draw(session, 3, 1, [[10.0, 10.0], [30.0, 10.0], [30.0, 20.0], [10.0, 20.0]], "polygon")
    assert session.store.labels(3)[10:20, 10:30].all()
    draw(session, 3, 1, [[10.0, 10.0], [30.0, 10.0], [30.0, 20.0], [10.0, 20.0]], "polygon", positive=False)
    assert not session.store.labels(3)[10:20, 10:30].any()


def test_outlines_carried_forward_follow_the_birds(labelled):
    carry(labelled, 0, 40)
    for frame in (10, 25, 40):
        labels, true = labelled.store.labels(frame), truth(frame)
        assert min(iou(labels == number, true == number) for number in (1, 2)) > 0.85, frame
    assert labelled.store.origins[25] is MaskOrigin.PROPAGATED and len(labelled.store.origins) == 41
    assert not labelled.store.confidence
    labelled.turn("undo", labelled.store.version, "")
    assert list(labelled.store.origins) == [0]


def test_backward_is_as_good_as_forward(session):
    for number, x, y in ((1, 160, 70), (2, 200, 136)):
        add(session)
        draw(session, 50, number, [[x - 8.0, float(y)], [x + 8.0, float(y)]])
    carry(session, 50, 10)
    labels, true = session.store.labels(10), truth(10)
    assert min(iou(labels == number, true == number) for number in (1, 2)) > 0.8
    assert min(session.store.origins) == 10


def test_a_correction_changes_the_stretch_up_to_the_next_labelled_frames_and_only_its_object(labelled):
    carry(labelled, 0, 50)
    draw(labelled, 40, 1, [[140.0, 70.0]], "brush", radius=4)  # accepts frame 40 as it is
    before = {frame: labelled.store.labels(frame).copy() for frame in range(51)}
    draw(labelled, 20, 1, [[100.5, 40.5]], "brush", radius=9)  # a "crest" that flow alone will carry along
    carry(labelled, 20)
    changed = [frame for frame in range(51) if (labelled.store.labels(frame) != before[frame]).any()]
    assert 20 in changed and min(changed) > 0 and max(changed) < 40
    assert all(((labelled.store.labels(f) == 2) == (before[f] == 2)).mean() > 0.999 for f in range(51))
    labelled.turn("undo", labelled.store.version, "")
    assert (labelled.store.labels(21) == before[21]).all()


def test_pause_and_stop_keep_what_is_done(labelled, monkeypatch):
    save = Propagation._save

    def save_and_pause(task, carried, *rest):
        save(task, carried, *rest)
        if carried.frame in (5, 9):
            task.pause()

    monkeypatch.setattr(Propagation, "_save", save_and_pause)
    labelled.propagate(Propagate(version=labelled.store.version, frame=0, to=N_FRAMES - 1))
    task = labelled.task
    wait_until(lambda: task.done == 5, 60)
    with pytest.raises(Conflict):
        draw(labelled, 0, 1, [[5.0, 5.0]])
    stays(lambda: (task.done, task.facts()["state"]) == (5, "paused"), 0.5)
    task.resume()
    wait_until(lambda: task.done == 9, 60)
    task.stop()
    task.join(60)
    assert (task.state, task.done) == ("stopped", 9) and sorted(labelled.store.origins) == list(range(10))


def test_fusing_moves_from_one_outline_to_the_other():
    one, two = np.zeros((40, 60), np.uint8), np.zeros((40, 60), np.uint8)
    one[10:30, 10:30], two[10:30, 16:36] = 1, 1
    left = [np.flatnonzero(fuse(one, two, weight, [1], [1])[0].any(axis=0))[0] for weight in (0, 0.5, 1)]
    assert left == [10, 13, 16]
    assert fuse(one, two, 0.5, [1], [1])[1][1] == pytest.approx(14 / 26)


def test_objects_are_added_named_hidden_locked_merged_and_deleted(labelled):
    store = labelled.store
    labelled.object_act(ObjectAct(version=store.version, kind="edit", object=1, name="Rufus", class_name="ruff"))
    assert [(each.name, each.class_name) for each in read_objects(store.folder)][0] == ("Rufus", "ruff")
    labelled.object_act(ObjectAct(version=store.version, kind="edit", object=1, locked=True))
    with pytest.raises(InputError, match="Rufus is locked"):
        draw(labelled, 0, 1, [[5.0, 5.0]])
    labelled.object_act(ObjectAct(version=store.version, kind="edit", object=1, locked=False))
    area = int((store.labels(0) > 0).sum())
    labelled.object_act(ObjectAct(version=store.version, kind="merge", object=2, into=1))
    assert [each.id for each in store.objects] == [1] and int((store.labels(0) == 1).sum()) == area
    labelled.turn("undo", store.version, "")
    assert [each.id for each in store.objects] == [1, 2] and (store.labels(0) == 2).any()
    labelled.object_act(ObjectAct(version=store.version, kind="delete", object=1))
    assert not (read_labels(store.mask_path(0)) == 1).any()


def test_a_video_takes_255_objects_and_says_when_it_is_full(session):
    for _ in range(255):
        add(session)
    with pytest.raises(InputError, match="at most 255"):
        add(session)


def test_who_is_in_front_decides_overlaps(session):
    add(session)
    add(session)
    draw(session, 0, 2, [[100.5, 50.5]], "brush", radius=10)
    draw(session, 0, 1, [[92.0, 40.0], [112.0, 40.0], [112.0, 60.0], [92.0, 60.0]], "polygon")
    assert session.store.labels(0)[50, 100] == 1  # drawn by hand, so it is meant
    session.object_act(ObjectAct(version=session.store.version, kind="front", object=1))
    assert session.store.object(1).order > session.store.object(2).order
    session.object_act(ObjectAct(version=session.store.version, kind="back", object=1))
    assert session.store.object(1).order < session.store.object(2).order


def test_frames_are_copied_reviewed_cleared(labelled):
    store = labelled.store
    labelled.frame_act(FrameAct(version=store.version, frame=1, kind="copy"))
    assert (store.labels(1) == store.labels(0)).all()
    carry(labelled, 1, 3)
    labelled.frame_act(FrameAct(version=store.version, frame=3, kind="review"))
    assert store.origins[3] is MaskOrigin.REVIEWED
    labelled.frame_act(FrameAct(version=store.version, frame=3, kind="clear"))
    assert 3 not in store.origins and not store.mask_path(3).exists()
    with pytest.raises(InputError, match="nothing to accept"):
        labelled.frame_act(FrameAct(version=store.version, frame=9, kind="review"))


def test_an_act_sent_twice_is_done_once(session):
    add(session, key="a")
    request = ObjectAct(version=0, kind="add", key="a")
    session.object_act(request)
    assert len(session.store.objects) == 1


def test_an_undo_sent_twice_is_done_once(labelled):
    before = len(labelled.store.inputs(0, 2))
    version = labelled.store.version
    for _ in range(2):
        labelled.turn("undo", version, "same")
    assert before == 1 and labelled.store.version == version + 1 and len(labelled.store.objects) == 2


def test_a_stale_version_overwrites_nothing(labelled):
    before = labelled.store.labels(0).copy()
    with pytest.raises(Conflict):
        labelled.draw(Draw(version=0, frame=0, object=1, kind="brush", points=[[5, 5]], radius=9))
    assert (labelled.store.labels(0) == before).all()


def test_after_a_restart_all_is_as_it_was_and_strokes_still_count(labelled, reopened):
    carry(labelled, 0, 5)
    labels, version = labelled.store.labels(3).copy(), labelled.store.version
    inputs = labelled.store.inputs(0, 1)
    with reopened() as again:
        assert (again.store.labels(3) == labels).all() and again.store.version == version
        assert again.store.inputs(0, 1) == inputs and len(inputs) == 1
        again.turn("undo", version, "")
        assert list(again.store.origins) == [0]


@pytest.mark.parametrize(
    "given",
    [
        {"version": 0, "frame": 0, "object": 0, "kind": "brush", "points": [[1, 1]]},
        {"version": 0, "frame": -1, "object": 1, "kind": "brush", "points": [[1, 1]]},
        {"version": 0, "frame": 0, "object": 1, "kind": "brush", "points": []},
        {"version": 0, "frame": 0, "object": 1, "kind": "brush", "points": [[1, 1e30]]},
        {"version": 0, "frame": 0, "object": 1, "kind": "chisel", "points": [[1, 1]]},
        {"version": 0, "frame": 0, "object": 1, "kind": "brush", "points": [[1, 1]], "radius": 0},
        {"version": 0, "frame": 0, "object": 1, "kind": "brush", "points": [[1, 1]], "extra": 1},
        [1],
        None,
    ],
    ids=["object 0", "frame -1", "no points", "far away", "no such tool", "no radius", "unknown field", "list", "null"],
)
def test_what_is_not_allowed_is_refused_in_one_line(given):
    with pytest.raises(InputError):
        checked(Draw, given)


def test_a_lost_bird_is_marked_where_it_is_lost_and_not_for_ever_after(labelled):
    blank = np.full((192, 320, 3), 90, np.uint8)
    view = LabelledFrame(0, labelled.source.frame(0), labelled.store.labels(0))
    pictures = [(1, labelled.source.frame(1)), *((frame, blank) for frame in range(2, 8))]
    carried = list(labelled.engines.classic.propagate(view, iter(pictures), [1], [1]))
    values = [each.confidence.get(1) for each in carried]
    assert values[0] > 0.6 and min(value for value in values[1:] if value is not None) < 0.3


def test_who_is_covered_is_unsure(labelled):
    labels = labelled.store.labels(0).copy()
    labels[60:80, 40:80] = 9  # lies on the first bird, in front of it, and does not move with it
    view = LabelledFrame(0, labelled.source.frame(0), labels)
    pictures = ((frame, labelled.source.frame(frame)) for frame in range(1, 4))
    sure = [each.confidence for each in labelled.engines.classic.propagate(view, pictures, [1, 2, 9], [1, 2, 9])]
    assert min(each[1] for each in sure) < min(each[2] for each in sure)
