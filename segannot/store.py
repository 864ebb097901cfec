"""An annotation project on the disk: masks, objects, the origin of each frame's mask, and the log of every act.

Order of a change: a line in ``acts.jsonl`` (flushed to the disk), then the mask files. So a kill leaves at most the
files of the last line out of date, and opening the project applies that line again: lines hold absolute labels, so
applying one twice changes nothing. Undo and redo are lines, too, so they are unlimited and survive a restart.

All lines but the last of an act that is atomic have ``"more": true``. The act is valid only with its last line; what a
kill or a full disk left of it is reverted, and its lines are cut off the log.

Lines::

    {"act": 7, "kind": "scribble", "key": "...", "who": "", "when": 1790000000.0, "frame": 40, "object": 2,
     "input": {...}, "box": [x, y, w, h], "before": "...", "after": "...", "origin": [null, "hand-made"],
     "confidence": [{}, {}], "objects": [[...], [...]]}
    {"act": 8, "kind": "propagate", "frame": 41, ...}     one line per frame, all with the same number
    {"act": 9, "kind": "delete", "more": true, ...}       the last line of the act has no "more"
    {"undo": 8, "key": "..."}  {"redo": 8, "key": "..."}
"""

import os
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backend.masks.indexed import read_labels, write_labels
from backend.masks.objects import MaskOrigin, read_frames, write_frames
from backend.project.atomic import remove_temporary
from backend.project.errors import InputError
from backend.web.http_errors import Conflict
from segannot.annotated_objects import AnnotatedObject, dump_objects, parse_objects, read_annotated, write_annotated
from segannot.journal import Journal
from segannot.patches import apply, difference

ACTS = "acts.jsonl"
CACHED_LABELS = 6  # label maps kept in memory: the current frame and its neighbours
FRAMES_EVERY_S = 2.0  # between two writes of frames.json during an act
Confidence = dict[int, float]  # objects that propagation is uncertain of: id -> 0 (lost) to 1


@dataclass
class Act:
    """An act in memory; ``offsets`` are those of its lines in the log, bytes."""

    number: int
    kind: str
    object: int | None
    frame: int | None
    input: dict[str, Any] | None
    key: str
    offsets: list[int] = field(default_factory=list)
    doubts: dict[int, Confidence] = field(default_factory=dict)  # of every frame that it changed


class AnnotationStore:
    """The project in ``folder`` for a video of ``size`` (width, height) px. Safe for use from several threads.

    The caller holds the folder's lock (`backend.project.locks.output_lock`).

    Raises
    ------
    InputError
        If a file of the folder is invalid; the text names it.
    """

    def __init__(self, folder: Path, size: tuple[int, int]):
        self.folder, self.size = folder, size
        self.lock = threading.RLock()
        remove_temporary(folder)
        self.objects: list[AnnotatedObject] = read_annotated(folder)
        self.origins: dict[int, MaskOrigin] = self._read_origins()
        self.confidence: dict[int, Confidence] = {}
        self.version = 0  # number of acts, undos and redos so far
        self._acts: dict[int, Act] = {}
        self._done: list[int] = []
        self._undone: list[int] = []
        self._keys: set[str] = set()
        self._labels: OrderedDict[int, np.ndarray] = OrderedDict()
        self._frames_written = 0.0
        self._open: Act | None = None  # an act whose last line is not in the log yet
        self._unfinished: deque[tuple[int, bool]] = deque()  # offsets of lines whose files must be written; True: undo
        self._journal = Journal(folder / ACTS)
        self._recover()

    def close(self) -> None:
        """Write what is still to be written and close the log."""
        with self.lock:
            write_frames(self.folder, self.origins)
            self._journal.close()

    # reading

    def labels(self, frame: int) -> np.ndarray:
        """Return the label map of a frame, (H, W) uint8, all 0 if it has none. Do not modify it."""
        with self.lock:
            if frame in self._labels:
                self._labels.move_to_end(frame)
                return self._labels[frame]
            labels = self._read(frame)
            self._keep(frame, labels)
            return labels

    def mask_path(self, frame: int) -> Path:
        """Return the path of a frame's mask; the file need not exist."""
        return self.folder / f"{frame:06d}.png"

    def object(self, number: int) -> AnnotatedObject:
        """Return the object with this id; InputError if there is none."""
        entry = next((entry for entry in self.objects if entry.id == number), None)
        if entry is None:
            raise InputError(f"there is no object {number}")
        return entry

    def inputs(self, frame: int, number: int) -> list[dict[str, Any]]:
        """Return the current strokes for an object on a frame, as logged, oldest first.

        Acts that replace the mask as a whole (a polygon, a copy, a propagation) discard the strokes before them.
        """
        strokes: list[dict[str, Any]] = []
        with self.lock:
            for act in map(self._acts.__getitem__, self._done):
                if frame not in act.doubts or act.object not in (number, None):
                    continue
                strokes = [*strokes, act.input] if act.input is not None else []
        return strokes

    def seen_by_a_person(self) -> list[int]:
        """Return the frames whose mask a person drew or accepted, ascending."""
        with self.lock:
            return sorted(frame for frame, origin in self.origins.items() if origin.seen_by_a_person)

    def changed_by_hand(self, frame: int) -> set[int] | None:
        """Return the objects edited on a frame since its last propagation; None stands for all of them."""
        edited: set[int] = set()
        with self.lock:
            for act in map(self._acts.__getitem__, reversed(self._done)):
                if act.kind == "propagate" and frame in act.doubts:
                    break
                if frame in act.doubts:
                    if act.object is None:
                        return None
                    edited.add(act.object)
        return edited or None

    @property
    def undo_kind(self) -> str:
        """Kind of the act that undo would revert; empty if there is none."""
        return self._acts[self._done[-1]].kind if self._done else ""

    @property
    def redo_kind(self) -> str:
        """Kind of the act that redo would apply again; empty if there is none."""
        return self._acts[self._undone[-1]].kind if self._undone else ""

    def check_version(self, version: int) -> None:
        """Raise Conflict unless ``version`` is the current one."""
        if version != self.version:
            raise Conflict(
                f"this was drawn on version {version}, the current one is {self.version}; check the frame and try again"
            )

    def knows(self, key: str) -> bool:
        """Return whether an act with this key is in the log already: the request was sent twice."""
        return bool(key) and key in self._keys

    # changing

    def begin(self, kind: str, object: int | None = None, key: str = "", frame: int | None = None,
              input: dict[str, Any] | None = None) -> "OpenAct":  # fmt: skip
        """Return a new act; its first line starts it in the log. Undone acts can then no longer be redone."""
        self.finish()
        return OpenAct(self, kind, object, key, frame, input)

    def finish(self) -> None:
        """Write the files that could not be written, and revert an unfinished atomic act.

        Raises OSError as long as they cannot be written.
        """
        with self.lock:
            if self._open is not None:
                self._unfinished = deque((offset, True) for offset in reversed(self._open.offsets))
            elif not self._unfinished:
                return
            self._write_files()
            self._write_lists()
            if self._open is not None:
                self._journal.cut(self._open.offsets[0])
                self._open = None

    def undo(self, key: str = "") -> list[int]:
        """Revert the last act and return the frames that it changed; InputError if there is none."""
        with self.lock:
            if not self._done:
                raise InputError("there is nothing to undo")
            return self._turn("undo", self._done[-1], key)

    def redo(self, key: str = "") -> list[int]:
        """Apply the act that was undone last again and return its frames; InputError if there is none."""
        with self.lock:
            if not self._undone:
                raise InputError("there is nothing to redo")
            return self._turn("redo", self._undone[-1], key)

    def _turn(self, way: str, number: int, key: str) -> list[int]:
        self.finish()
        record = {way: number, "key": key}
        self._note(record, self._journal.append(record))
        act = self._acts[number]
        self._replay(act, back=way == "undo")
        return list(reversed(act.doubts) if way == "undo" else act.doubts)

    def _replay(self, act: Act, back: bool) -> None:
        self._unfinished = deque((offset, back) for offset in (reversed(act.offsets) if back else act.offsets))
        self.finish()

    def _line(self, record: dict[str, Any]) -> None:
        """Log a line and apply it."""
        self._write_files()
        offset = self._journal.append(record)
        self._note(record, offset)
        self._unfinished.append((offset, False))
        self._apply(record, back=False)
        self._unfinished.pop()

    def _write_files(self) -> None:
        while self._unfinished:
            offset, back = self._unfinished[0]
            self._apply(self._journal.read(offset), back)
            self._unfinished.popleft()

    def _note(self, record: dict[str, Any], offset: int) -> None:
        """Update the acts in memory from a line, without its pixels."""
        if "act" not in record:
            (number,) = (record[way] for way in ("undo", "redo") if way in record)
            source, target = (self._done, self._undone) if "undo" in record else (self._undone, self._done)
            source.remove(number)
            target.append(number)
            self._keys.add(record.get("key", ""))
            self.version += 1
            return
        number = record["act"]
        act = self._open or self._acts.get(number) or Act(
            number, record["kind"], record.get("object"), record.get("frame"), record.get("input"),
            record.get("key", ""),
        )  # fmt: skip
        act.offsets.append(offset)
        if "origin" in record:
            act.doubts[record["frame"]] = _confidence(record, 1)
        self._open = act if record.get("more") else None
        if self._open is None and number not in self._acts:
            self._acts[number] = act
            self._done.append(number)
            self._undone.clear()
            self._keys.add(act.key)
            self.version += 1

    def _apply(self, record: dict[str, Any], back: bool) -> None:
        """Bring files and memory to the state after a line, or, with ``back``, before it."""
        side = 0 if back else 1
        if "objects" in record:
            self.objects = parse_objects(record["objects"][side])
            write_annotated(self.folder, self.objects)
        frame = record.get("frame")
        if frame is None or "origin" not in record:
            return
        origin = record["origin"][side]
        if record["box"][2]:
            labels = self.labels(frame).copy()
            apply(labels, tuple(record["box"]), record["before" if back else "after"])
        else:
            labels = self.labels(frame)
        self._note_frame(record, side)
        if origin is None:
            self.mask_path(frame).unlink(missing_ok=True)
        elif record["box"][2] or not self.mask_path(frame).exists():
            write_labels(self.mask_path(frame), labels)
        self._keep(frame, labels)

    def _note_frame(self, record: dict[str, Any], side: int) -> None:
        frame, origin = record["frame"], record["origin"][side]
        if origin is None:
            self.origins.pop(frame, None)
        else:
            self.origins[frame] = MaskOrigin(origin)
        self._note_doubts(frame, _confidence(record, side))

    def _note_doubts(self, frame: int, doubts: Confidence) -> None:
        if doubts:
            self.confidence[frame] = doubts
        else:
            self.confidence.pop(frame, None)

    def _recover(self) -> None:
        """Read the log; apply its last line again, because a kill may have come between log and files."""
        last: dict[str, Any] = {}
        for offset, record in self._journal.scan():
            self._note(record, offset)
            if self._open is None:
                last = record
        self.finish()
        for number in self._done:
            for frame, doubts in self._acts[number].doubts.items():
                self._note_doubts(frame, doubts)
        if "act" in last:
            for offset in self._acts[last["act"]].offsets:  # frames.json may be out of date
                record = self._journal.read(offset)
                if "origin" in record:
                    self._note_frame(record, 1)
            self._apply(last, back=False)
        elif last:
            way = "undo" if "undo" in last else "redo"
            self._replay(self._acts[last[way]], back=way == "undo")
        self._write_lists()

    def _write_lists(self) -> None:
        write_frames(self.folder, self.origins)
        self._frames_written = time.monotonic()

    def _read_origins(self) -> dict[int, MaskOrigin]:
        """Return the origins in ``frames.json``; masks that it does not list count as drawn by hand."""
        known = read_frames(self.folder) or {}
        numbers = {int(entry.name[:-4]) for entry in os.scandir(self.folder) if _is_mask(entry.name)}
        return {frame: known.get(frame, MaskOrigin.HAND_MADE) for frame in sorted(numbers)}

    def _read(self, frame: int) -> np.ndarray:
        path = self.mask_path(frame)
        if not path.exists():
            return np.zeros(self.size[::-1], np.uint8)
        labels = read_labels(path)
        if labels.shape != self.size[::-1]:
            raise InputError(
                f"{path} is {labels.shape[1]}x{labels.shape[0]} px, the video {self.size[0]}x{self.size[1]}"
            )
        return labels

    def _keep(self, frame: int, labels: np.ndarray) -> None:
        self._labels[frame] = labels
        self._labels.move_to_end(frame)
        while len(self._labels) > CACHED_LABELS:
            self._labels.popitem(last=False)


class OpenAct:
    """An act that is being written, one line per frame; see `AnnotationStore.begin`."""

    def __init__(self, store: AnnotationStore, kind: str, object: int | None, key: str, frame: int | None,
                 input: dict[str, Any] | None):  # fmt: skip
        self._store = store
        self._head = {"kind": kind, "key": key, "object": object, "input": input}
        self._number: int | None = None
        self.frame = frame

    def set_frame(
        self, frame: int, labels: np.ndarray, origin: MaskOrigin | None, confidence: Confidence | None = None,
        objects: list[AnnotatedObject] | None = None, more: bool = False,
    ) -> None:  # fmt: skip
        """Set a frame's label map, (H, W) uint8; ``origin`` None removes its mask.

        With ``more`` the act is atomic: it is reverted unless another line follows.
        """
        store = self._store
        with store.lock:
            before = store.labels(frame)
            patch = difference(before, labels if origin is not None else np.zeros_like(before))
            was = store.origins.get(frame)
            confidences = [store.confidence.get(frame, {}), confidence or {}]
            self._write(
                {
                    "frame": frame, "box": patch.box, "before": patch.before, "after": patch.after,
                    "origin": [was and was.value, origin and origin.value], "confidence": confidences,
                },
                objects,
                more,
            )  # fmt: skip

    def set_objects(self, objects: list[AnnotatedObject]) -> None:
        """Replace the list of objects."""
        with self._store.lock:
            self._write({"frame": self.frame}, objects)

    def end(self) -> None:
        """Write ``frames.json``."""
        with self._store.lock:
            self._store._write_lists()

    def _write(self, content: dict[str, Any], objects: list[AnnotatedObject] | None, more: bool = False) -> None:
        store = self._store
        if self._number is None:
            self._number = max(store._acts, default=0) + 1
            head = {"act": self._number, "when": round(time.time(), 3), **self._head}
        else:
            head = {"act": self._number, "kind": self._head["kind"]}
        if objects is not None:
            content = {**content, "objects": [dump_objects(store.objects), dump_objects(objects)]}
        if more:
            head["more"] = True
        store._line({**head, **content})
        if time.monotonic() - store._frames_written > FRAMES_EVERY_S:
            store._write_lists()


def _confidence(record: dict[str, Any], side: int) -> Confidence:
    return {int(number): value for number, value in record.get("confidence", [{}, {}])[side].items()}


def _is_mask(name: str) -> bool:
    return name.endswith(".png") and name[:-4].isdecimal()
