"""A project on the disk: undo without limit that survives a restart, masks that are what was acknowledged."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.masks.indexed import read_labels, write_labels
from backend.masks.objects import MaskOrigin, read_frames, read_objects
from backend.project.errors import InputError
from backend.web.http_errors import Conflict
from segannot.annotated_objects import new_object
from segannot.store import ACTS, AnnotationStore

SIZE = (40, 30)


def square(x: int, number: int = 1) -> np.ndarray:
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[5:15, x : x + 8] = number
    return labels


def put(store: AnnotationStore, frame: int, labels: np.ndarray, origin=MaskOrigin.HAND_MADE, **more) -> None:
    act = store.begin("brush", 1, frame=frame)
    act.set_frame(frame, labels, origin, **more)
    act.end()


def on_disk(folder: Path) -> dict:
    masks = {path.name: read_labels(path).tobytes() for path in folder.glob("[0-9]*.png")}
    return {"masks": masks, "frames": read_frames(folder), "objects": read_objects(folder)}


def test_masks_and_lists_are_written_as_other_rooms_read_them(tmp_path):
    store = AnnotationStore(tmp_path, SIZE)
    put(store, 7, square(3), objects=[new_object([], class_name="ruff")])
    assert read_labels(tmp_path / "000007.png").tolist() == square(3).tolist()
    assert read_frames(tmp_path) == {7: MaskOrigin.HAND_MADE}
    assert [(each.id, each.class_name) for each in read_objects(tmp_path)] == [(1, "ruff")]


def test_undo_and_redo_have_no_limit_and_survive_a_restart(tmp_path):
    store = AnnotationStore(tmp_path, SIZE)
    states = [on_disk(tmp_path)]
    for k in range(25):
        put(store, k % 3, square(k))
        states.append(on_disk(tmp_path))
    for k in range(25, 10, -1):
        store.undo()
        assert on_disk(tmp_path) == states[k - 1]
    store.close()
    store = AnnotationStore(tmp_path, SIZE)
    for k in range(10, 0, -1):
        store.undo()
        assert on_disk(tmp_path) == states[k - 1]
    with pytest.raises(InputError, match="nothing to undo"):
        store.undo()
    for k in range(1, 26):
        store.redo()
        assert on_disk(tmp_path) == states[k]
    with pytest.raises(InputError, match="nothing to redo"):
        store.redo()


def test_undo_of_many_frames_is_one_act_and_brings_back_doubts(tmp_path):
    store = AnnotationStore(tmp_path, SIZE)
    put(store, 0, square(1))
    act = store.begin("propagate")
    for frame in range(1, 6):
        act.set_frame(frame, square(frame), MaskOrigin.PROPAGATED, {1: 0.2})
    act.end()
    assert store.confidence[3] == {1: 0.2} and len(store.origins) == 6
    put(store, 3, square(9))
    assert 3 not in store.confidence
    store.undo()
    assert store.confidence[3] == {1: 0.2}
    assert store.undo() == [5, 4, 3, 2, 1]
    assert list(store.origins) == [0] and not store.confidence
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["000000.png"]


def test_an_act_cut_off_between_log_and_files_is_finished_when_the_project_is_opened(tmp_path, monkeypatch):
    store = AnnotationStore(tmp_path, SIZE)
    put(store, 0, square(1))
    with monkeypatch.context() as broken:
        broken.setattr("segannot.store.write_labels", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            put(store, 0, square(20))
    assert (read_labels(tmp_path / "000000.png") == square(1)).all()
    again = AnnotationStore(tmp_path, SIZE)
    assert (again.labels(0) == square(20)).all() and (read_labels(tmp_path / "000000.png") == square(20)).all()
    again.undo()
    assert (read_labels(tmp_path / "000000.png") == square(1)).all()


def test_what_a_full_disk_refused_is_written_once_there_is_room(tmp_path, monkeypatch):
    store = AnnotationStore(tmp_path, SIZE)
    put(store, 0, square(1))
    with monkeypatch.context() as full:
        full.setattr("segannot.store.write_labels", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        for _ in range(2):
            with pytest.raises(OSError, match="full"):
                put(store, 0, square(20))
    assert (read_labels(tmp_path / "000000.png") == square(1)).all()
    store.finish()
    assert (read_labels(tmp_path / "000000.png") == square(20)).all() and store.version == 2
    store.undo()
    assert (read_labels(tmp_path / "000000.png") == square(1)).all()


def test_a_stale_version_is_refused(tmp_path):
    store = AnnotationStore(tmp_path, SIZE)
    before = store.version
    put(store, 0, square(1))
    with pytest.raises(Conflict):
        store.check_version(before)
    store.check_version(store.version)


def test_masks_from_elsewhere_are_taken_over_as_drawn_by_hand(tmp_path):
    write_labels(tmp_path / "000004.png", square(2))
    store = AnnotationStore(tmp_path, SIZE)
    assert store.origins == {4: MaskOrigin.HAND_MADE} and (store.labels(4) == square(2)).all()


def test_a_mask_of_another_size_is_refused_with_its_path(tmp_path):
    write_labels(tmp_path / "000004.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(InputError, match=r"000004.png is 5x5 px, the video 40x30"):
        AnnotationStore(tmp_path, SIZE).labels(4)


def test_a_log_that_names_no_object_ids_is_refused_not_guessed(tmp_path):
    (tmp_path / "objects.json").write_text('[{"id": 0, "name": "x", "class": "y"}]')
    with pytest.raises(InputError, match="objects.json"):
        AnnotationStore(tmp_path, SIZE)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["put", "undo", "redo", "open"]), st.integers(0, 30)), max_size=30))
def test_any_order_of_acts_undo_redo_and_restarts_gives_what_a_list_in_memory_gives(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("any")
    store = AnnotationStore(folder, SIZE)
    past, future, now = [], [], {}
    for what, value in steps:
        if what == "put":
            past, future, now = [*past, now], [], {**now, value % 4: value}
            put(store, value % 4, square(value))
        elif what == "undo" and past:
            past, future, now = past[:-1], [now, *future], past[-1]
            store.undo()
        elif what == "redo" and future:
            past, future, now = [*past, now], future[1:], future[0]
            store.redo()
        elif what == "open":
            store.close()
            store = AnnotationStore(folder, SIZE)
        expected = {f"{frame:06d}.png": square(value).tobytes() for frame, value in now.items()}
        assert on_disk(folder)["masks"] == expected
        assert (bool(store.undo_kind), bool(store.redo_kind)) == (bool(past), bool(future))
    store.close()


def test_lines_of_the_log_are_json_that_anybody_can_read(tmp_path):
    store = AnnotationStore(tmp_path, SIZE)
    put(store, 0, square(1))
    (line,) = (tmp_path / ACTS).read_text().splitlines()
    record = json.loads(line)
    assert record["kind"] == "brush" and record["box"] == [1, 5, 8, 10] and record["origin"] == [None, "hand-made"]
