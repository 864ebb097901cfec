"""Acts of many frames are done whole or not at all, whatever the disk refuses and wherever a kill comes."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.masks.indexed import read_labels, write_labels
from backend.masks.objects import MaskOrigin, read_frames, read_objects
from segannot import store as storing
from segannot.journal import Journal
from segannot.requests import ObjectAct
from segannot.session import Session
from segannot.store import ACTS, AnnotationStore
from tests.segannot.conftest import SIZE

FRAMES = 4


def say(session: Session, kind: str, key: str = "", **rest) -> None:
    """Send an act on objects, or an undo or redo, on the present version."""
    version = session.store.version
    if kind in ("undo", "redo"):
        session.turn(kind, version, key)
    else:
        session.object_act(ObjectAct(version=version, kind=kind, key=key, **rest))


@pytest.fixture
def labelled(session: Session) -> Session:
    """Two birds on some frames, of which the second can be deleted; an act that was undone can be redone."""
    for _ in range(2):
        say(session, "add")
    for frame in range(FRAMES):
        labels = np.zeros(SIZE[::-1], np.uint8)
        labels[5:15, 5:15], labels[10 : 30 + frame, 25:35] = 1, 2
        act = session.store.begin("propagate", frame=frame)
        act.set_frame(frame, labels, MaskOrigin.PROPAGATED, {2: 0.25})
        act.end()
    say(session, "add")
    say(session, "undo")
    return session


def on_disk(folder: Path) -> dict:
    masks = {path.name: read_labels(path).tobytes() for path in sorted(folder.glob("[0-9]*.png"))}
    return {"masks": masks, "frames": read_frames(folder), "objects": read_objects(folder)}


def facts(store: AnnotationStore) -> dict:
    """Return what is on the disk, and what the store knows."""
    return {
        **on_disk(store.folder), "version": store.version, "undo": store.undo_kind, "redo": store.redo_kind,
        "doubts": dict(store.confidence), "origins": dict(store.origins),
    }  # fmt: skip


def failing(function: Callable, at: int, times: int) -> Callable:
    """Return ``function`` with a disk that is full from call ``at`` on, ``times`` calls long."""
    calls = 0

    def called(*given):
        nonlocal calls
        calls += 1
        if at <= calls < at + times:
            raise OSError(errno.ENOSPC, "No space left on device")
        return function(*given)

    return called


ACT = {"delete": {"object": 2}, "merge": {"object": 2, "into": 1}}


@pytest.mark.parametrize("kind", ACT)
@pytest.mark.parametrize(
    ("what", "at", "times"),
    [("log", 1, 1), ("log", 3, 1), ("log", FRAMES + 1, 1), ("masks", 1, 1), ("masks", 3, 1), ("masks", FRAMES, 3)],
)
def test_what_was_done_half_is_taken_back_and_done_whole_when_sent_again(
    labelled: Session, monkeypatch: pytest.MonkeyPatch, what: str, at: int, times: int, kind: str
) -> None:
    before, objects = facts(labelled.store), read_objects(labelled.store.folder)
    with monkeypatch.context() as full:
        if what == "log":
            full.setattr(Journal, "append", failing(Journal.append, at, times))
        else:
            full.setattr(storing, "write_labels", failing(write_labels, at, times))
        with pytest.raises(OSError, match="No space left"):
            say(labelled, kind, key="k", **ACT[kind])
    labelled.store.finish()
    assert facts(labelled.store) == before and not labelled.store.knows("k")
    for _ in range(2):  # the second time it is known
        say(labelled, kind, key="k", **ACT[kind])
    after = facts(labelled.store)
    assert after["version"] == before["version"] + 1 and after["redo"] == "" and after["undo"] == kind
    assert after["objects"] == objects[:1] and not after["doubts"]
    masks = [np.frombuffer(after["masks"][f"{frame:06d}.png"], np.uint8) for frame in range(FRAMES)]
    assert [set(np.unique(each)) for each in masks] == [{0, 1}] * FRAMES
    say(labelled, "undo")
    assert on_disk(labelled.store.folder) == {name: before[name] for name in ("masks", "frames", "objects")}


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("way", ["undo", "redo"])
def test_an_undo_that_the_disk_refused_half_way_is_done_whole_before_anything_else(
    labelled: Session, monkeypatch: pytest.MonkeyPatch, way: str, at: int
) -> None:
    say(labelled, "delete", object=2)
    states = {"redo": facts(labelled.store)}
    say(labelled, "undo")
    states["undo"] = facts(labelled.store)
    if way == "undo":
        say(labelled, "redo")
    version = labelled.store.version
    with monkeypatch.context() as full:
        full.setattr(storing, "write_labels", failing(write_labels, at, 2))
        with pytest.raises(OSError, match="No space left"):
            say(labelled, way, key="u")
    for _ in range(2):
        say(labelled, way, key="u")
    assert facts(labelled.store) == {**states[way], "version": version + 1}


@pytest.mark.parametrize("kind", [*ACT, "undo", "redo"])
def test_a_kill_at_any_moment_leaves_all_of_it_or_nothing(
    labelled: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    if kind in ("undo", "redo"):
        say(labelled, "delete", object=2)
    if kind == "redo":
        say(labelled, "undo")
    store, copies = labelled.store, []
    before = facts(store)

    def copied(function: Callable) -> Callable:
        def called(*given):
            result = function(*given)
            copies.append(shutil.copytree(store.folder, tmp_path / f"copy {len(copies)}"))
            return result

        return called

    with monkeypatch.context() as killed:
        killed.setattr(Journal, "append", copied(Journal.append))
        killed.setattr(storing, "write_labels", copied(write_labels))
        killed.setattr(storing, "write_annotated", copied(storing.write_annotated))
        say(labelled, kind, key="k", **ACT.get(kind, {}))
    after, ends = facts(store), []
    for copy in copies:
        again = AnnotationStore(copy, SIZE)
        whole = again.knows("k")
        assert facts(again) == (after if whole else before)
        ends.append(whole)
        again.close()
        assert facts(AnnotationStore(copy, SIZE)) == (after if whole else before)
    assert ends == sorted(ends) and ends[-1] and len(ends) >= FRAMES + 2
    assert ends[0] == (kind in ("undo", "redo"))


def test_logs_whose_lines_do_not_say_what_follows_are_read_as_before(labelled: Session) -> None:
    say(labelled, "delete", object=2)
    say(labelled, "undo")
    say(labelled, "redo")
    expected, folder = facts(labelled.store), labelled.store.folder
    labelled.store.close()
    lines = [json.loads(line) for line in (folder / ACTS).read_text().splitlines()]
    assert sum(line.pop("more", False) for line in lines) == FRAMES
    (folder / ACTS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    labelled.store = AnnotationStore(folder, SIZE)
    assert facts(labelled.store) == expected
    say(labelled, "undo")
    assert [each.id for each in labelled.store.objects] == [1, 2]
