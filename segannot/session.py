"""Actions of annotators on a project: each method is one act, logged and saved when it returns."""

import threading
from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from backend.masks.objects import MaskOrigin
from backend.masks.strokes import polygon_mask, stroke_mask
from backend.project.errors import InputError
from backend.video.frame_cache import CachedFrames
from backend.web.http_errors import Conflict
from segannot.annotated_objects import AnnotatedObject, new_object
from segannot.engines.base import Engine, LabelledFrame, Stroke, StrokeKind
from segannot.engines.registry import Engines
from segannot.mask_edits import put_object, without_specks
from segannot.propagation import Propagation
from segannot.requests import Draw, FrameAct, ObjectAct, Propagate, as_stroke
from segannot.store import AnnotationStore

SURE_RADIUS = 1.5  # px: half the width of a scribble's core, which belongs to the object for certain
LEARN_FRAMES, LEARN_FOR_STROKE = (
    12,
    3,
)  # newest labelled frames to learn from, before a propagation and before an outline


class Session:
    """One open project: its store, video, engines, and the newest propagation, if any."""

    def __init__(self, store: AnnotationStore, source: CachedFrames, engines: Engines):
        self.store, self.source, self.engines = store, source, engines
        self.task: Propagation | None = None
        self._acting = threading.RLock()  # one act at a time
        self._engine_lock = threading.Lock()
        self._learnt: dict[str, set[int]] = {}

    def close(self) -> None:
        """Stop the propagation and close the files; everything acknowledged is already on the disk."""
        if self.task is not None:
            self.task.stop()
            self.task.join(5)
        self.store.close()
        self.source.close()

    # drawing

    def draw(self, request: Draw) -> None:
        """Apply a stroke, a box or a polygon."""
        with self._act(request.version, request.key) as fresh:
            if not fresh:
                return
            frame, entry = self.source.check(request.frame), self._editable(request.object)
            labels = self.store.labels(frame)
            drawn = {
                "kind": request.kind, "points": [[round(x, 2), round(y, 2)] for x, y in request.points],
                "positive": request.positive, "radius": request.radius,
            }  # fmt: skip
            kept = drawn | {"kind": "brush", "positive": request.kind == "brush"} if request.kind in (
                "brush", "eraser") else drawn  # fmt: skip
            mask, allowed = self._outline(frame, labels, entry, request, kept)
            changed = put_object(labels, mask, entry.id, self._protected(entry), allowed)
            self._save(request.kind, frame, changed, request, None if request.kind == "polygon" else kept)

    def _outline(self, frame: int, labels: np.ndarray, entry: AnnotatedObject, request: Draw, kept: dict):
        """Return the object's new (H, W) bool mask, and the pixels that a person drew exactly, or None."""
        size, points = self.source.size, np.array(request.points, float)
        before = labels == entry.id
        if request.kind == "polygon":
            if len(points) < 3:
                raise InputError("a polygon needs at least 3 corners")
            inside = polygon_mask(points, size)
            return (before | inside) if request.positive else (before & ~inside), inside
        if request.kind == "brush":
            inside = stroke_mask(points, request.radius, size)
            return before | inside, inside
        if request.kind == "eraser":
            return before & ~stroke_mask(points, request.radius, size), None
        if request.kind == "box" and len(points) != 2:
            raise InputError("a box has 2 corners")
        drawn = [as_stroke(stored) for stored in [*self.store.inputs(frame, entry.id), kept]]
        engine = self.engine_for_outlines()
        view = LabelledFrame(frame, self.source.frame(frame), labels)
        with self._engine_lock:
            self._learn(engine, [frame], LEARN_FOR_STROKE)
            mask = enforce_strokes(engine.segment(view, entry.id, drawn), drawn)
        touched = stroke_mask(points, SURE_RADIUS, size) if request.kind != "box" and request.positive else None
        return mask, touched

    def engine_for_outlines(self) -> Engine:
        """Return the chosen engine, or the classic one if the chosen one cannot segment from strokes."""
        return self.engines.chosen if self.engines.chosen.name != "detector" else self.engines.classic

    def _learn(self, engine: Engine, excluded: Iterable[int], most: int = LEARN_FRAMES) -> None:
        """Let the classic engine learn from labelled frames that are new or have changed."""
        if engine is not self.engines.classic:
            return
        learnt = self._learnt.setdefault(engine.name, set())
        for frame in self.store.seen_by_a_person()[-most:]:
            if frame not in learnt and frame not in excluded:
                labels = self.store.labels(frame)
                numbers = [int(each) for each in np.unique(labels) if each]
                engine.learn(LabelledFrame(frame, self.source.frame(frame), labels), numbers)
                learnt.add(frame)

    # frames

    def frame_act(self, request: FrameAct) -> None:
        """Copy from another frame, clear, accept, remove specks, or detect birds."""
        with self._act(request.version, request.key) as fresh:
            if not fresh:
                return
            frame = self.source.check(request.frame)
            acts = {"copy": self._copy, "clear": self._clear, "specks": self._specks, "propose": self._propose}
            act = acts.get(request.kind)
            if act is not None:
                act(frame, request)
                return
            if frame not in self.store.origins:
                raise InputError(f"frame {frame} has no outlines yet; there is nothing to accept")
            origin = MaskOrigin.REVIEWED if request.kind == "review" else MaskOrigin.PROPAGATED
            self._save(request.kind, frame, self.store.labels(frame), request, origin=origin)

    def _copy(self, frame: int, request: FrameAct) -> None:
        source = frame - 1 if request.source is None else self.source.check(request.source)
        if source == frame or source not in self.store.origins:
            raise InputError(f"frame {source} has no outlines to copy")
        labels, copied = self.store.labels(frame), self.store.labels(source)
        for entry in self._targets(request.object):
            if (copied == entry.id).any():
                labels = put_object(labels, copied == entry.id, entry.id, self._protected(entry))
        self._save("copy", frame, labels, request)

    def _clear(self, frame: int, request: FrameAct) -> None:
        labels = self.store.labels(frame).copy()
        if request.object is None and not any(entry.locked for entry in self.store.objects):
            self._save("clear", frame, labels, request, origin=None)
            return
        labels[np.isin(labels, [entry.id for entry in self._targets(request.object)])] = 0
        self._save(request.kind, frame, labels, request)

    def _specks(self, frame: int, request: FrameAct) -> None:
        labels = self.store.labels(frame)
        for entry in self._targets(request.object):
            mask = labels == entry.id
            if mask.any():
                labels = put_object(labels, without_specks(mask), entry.id, self._others(entry))
        self._save("specks", frame, labels, request)

    def _propose(self, frame: int, request: FrameAct) -> None:
        """Add the birds that the trained model detects and that have no outline yet."""
        proposals = self.engines.detector.propose(self.source.frame(frame))
        labels, objects = self.store.labels(frame).copy(), list(self.store.objects)
        for mask, class_name in proposals:
            free = mask & (labels == 0)
            if free.sum() < 0.5 * mask.sum() or not free.any():
                continue  # another object is there already
            entry = new_object(objects, class_name=class_name)
            objects.append(entry)
            labels[free] = entry.id
        if len(objects) == len(self.store.objects):
            raise InputError("the model detects no further birds in this frame")
        before = self.store.origins.get(frame)
        origin = before if before is not None and before.seen_by_a_person else MaskOrigin.PROPAGATED
        self._save("propose", frame, labels, request, origin=origin, objects=objects)

    # objects

    def object_act(self, request: ObjectAct) -> None:
        """Add, edit, delete or merge objects, or change their depth order."""
        with self._act(request.version, request.key) as fresh:
            if not fresh:
                return
            objects = list(self.store.objects)
            if request.kind == "add":
                last = objects[-1].class_name if objects else "bird"
                added = new_object(objects, request.name or "", request.class_name or last)
                self._save_objects(request, [*objects, added])
                return
            if request.object is None:
                raise InputError("select an object first")
            entry = self.store.object(request.object)
            if request.kind in ("delete", "merge"):
                self._remove(entry, request)
            else:
                self._save_objects(request, [_changed(each, entry, request, objects) for each in objects])

    def _remove(self, entry: AnnotatedObject, request: ObjectAct) -> None:
        """Delete an object, or give its pixels to another one, in all frames, as one act."""
        into = 0
        if request.kind == "merge":
            if request.into is None or request.into == entry.id:
                raise InputError("select another object to merge into")
            into = self.store.object(request.into).id
        left = [each for each in self.store.objects if each.id != entry.id]
        act = self.store.begin(request.kind, entry.id, request.key)
        for frame in sorted(self.store.origins):
            labels = self.store.labels(frame)
            if (labels == entry.id).any():
                doubts = {n: c for n, c in self.store.confidence.get(frame, {}).items() if n != entry.id}
                act.set_frame(frame, np.where(labels == entry.id, np.uint8(into), labels),
                              self.store.origins[frame], doubts, more=True)  # fmt: skip
        act.set_objects(left)
        act.end()
        self._forget(list(self.store.origins))

    def _save_objects(self, request: ObjectAct, objects: list[AnnotatedObject]) -> None:
        act = self.store.begin(request.kind, request.object, request.key)
        act.set_objects(objects)
        act.end()

    # undo, propagation

    def turn(self, way: str, version: int, key: str) -> list[int]:
        """Undo or redo; return the frames that changed."""
        with self._act(version, key) as fresh:
            if not fresh:
                return []
            frames = self.store.undo(key) if way == "undo" else self.store.redo(key)
            self._forget(frames)
            return frames

    def propagate(self, request: Propagate) -> None:
        """Start a propagation; `task` has its progress."""
        with self._act(request.version, request.key) as fresh:
            if not fresh:
                return
            start = self.source.check(request.frame)
            ends = self._around(start) if request.to is None else [self.source.check(request.to)]
            if start in ends:
                raise InputError("choose another frame to propagate to")
            present = {int(number) for number in np.unique(self.store.labels(start))} - {0}
            changed = self.store.changed_by_hand(start) if request.to is None else None
            requested = request.objects or changed or present
            unlocked = [entry.id for entry in self.store.objects if entry.id in requested and not entry.locked]
            numbers = [number for number in unlocked if number in present or request.to is None]
            if not numbers:
                raise InputError(f"frame {start} has no outline to propagate (locked objects are not changed)")
            engine = self.engine_for_outlines()
            with self._engine_lock:
                self._learn(engine, [])
            self.task = Propagation(self.store, self.source, engine, start, ends, numbers, request.key)
            self.task.start()

    def _around(self, frame: int) -> list[int]:
        """Return on each side of a correction the last propagated frame, or the labelled frame that follows it."""
        origins = self.store.origins
        ends = []
        for step in (1, -1):
            end = frame
            while (origin := origins.get(end + step)) is not None:
                end += step
                if origin.seen_by_a_person:
                    break
            if end != frame:
                ends.append(end)
        if not ends:
            raise InputError(
                f"there are no propagated frames next to frame {frame}; propagate forward or backward instead"
            )
        return ends

    # helpers

    def _act(self, version: int, key: str) -> "_ExclusiveAct":
        return _ExclusiveAct(self, version, key)

    def _editable(self, number: int) -> AnnotatedObject:
        entry = self.store.object(number)
        if entry.locked:
            raise InputError(f"{entry.name} is locked; unlock it to edit it")
        return entry

    def _targets(self, number: int | None) -> list[AnnotatedObject]:
        """Return one object, or all unlocked ones, from back to front."""
        if number is not None:
            return [self._editable(number)]
        return sorted((entry for entry in self.store.objects if not entry.locked), key=lambda entry: entry.order)

    def _others(self, entry: AnnotatedObject) -> set[int]:
        return {other.id for other in self.store.objects if other.id != entry.id}

    def _protected(self, entry: AnnotatedObject) -> set[int]:
        """Return the ids of objects in front of ``entry`` and of locked ones: they keep their pixels."""
        return {each.id for each in self.store.objects
                if each.id != entry.id and (each.locked or each.order > entry.order)}  # fmt: skip

    def _save(
        self, kind: str, frame: int, labels: np.ndarray, request: Draw | FrameAct, input: dict | None = None,
        origin: MaskOrigin | None = MaskOrigin.HAND_MADE, objects: list[AnnotatedObject] | None = None,
    ) -> None:  # fmt: skip
        if frame not in self.store.origins and not labels.any():
            raise InputError(f"frame {frame} has no outlines, and this would make none; nothing was changed")
        act = self.store.begin(kind, request.object, request.key, frame, input)
        act.set_frame(frame, labels, origin, objects=objects)
        act.end()
        self._forget([frame])

    def _forget(self, frames: Iterable[int]) -> None:
        """Let engines learn anew from frames that have changed."""
        for learnt in self._learnt.values():
            learnt.difference_update(frames)


def enforce_strokes(mask: np.ndarray, drawn: Iterable[Stroke]) -> np.ndarray:
    """Return an (H, W) bool mask that agrees with all strokes: brushes in full width, scribbles in their core."""
    size = mask.shape[1], mask.shape[0]
    for stroke in drawn:
        if stroke.kind is not StrokeKind.BOX:
            radius = stroke.radius if stroke.kind is StrokeKind.BRUSH else min(stroke.radius, SURE_RADIUS)
            mask[stroke_mask(stroke.points, radius, size)] = stroke.positive
    return mask


class _ExclusiveAct:
    """Context of one act: exclusive, on the current version; yields whether it is new (False: already applied)."""

    def __init__(self, session: Session, version: int, key: str):
        self._session, self._version, self._key = session, version, key

    def __enter__(self) -> bool:
        session = self._session
        session._acting.acquire()
        try:
            session.store.finish()
            if session.store.knows(self._key):
                return False
            if session.task is not None and session.task.is_alive():
                raise Conflict("propagation is running; stop it first, or wait until it finishes")
            session.store.check_version(self._version)
            return True
        except BaseException:
            session._acting.release()
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        session = self._session
        try:
            if kind is not None and not issubclass(kind, InputError):
                session._learnt.clear()  # frames may have changed
                with suppress(OSError):
                    session.store.finish()  # as far as the disk allows; the next act tries again
        finally:
            session._acting.release()


def _changed(
    each: AnnotatedObject, entry: AnnotatedObject, request: ObjectAct, objects: list[AnnotatedObject]
) -> AnnotatedObject:
    """Return ``each`` as it is after ``request`` about ``entry``."""
    if request.kind == "edit":
        if each.id != entry.id:
            return each
        given = request.model_dump(include={"name", "class_name", "colour", "hidden", "locked"}, exclude_none=True)
        if "class_name" in given:
            given["class_name"] = given["class_name"].strip()
            if not given["class_name"]:
                raise InputError("a class needs a name")
        return each.model_copy(update=given)
    back_to_front = sorted(objects, key=lambda other: other.order)
    back_to_front.remove(entry)
    back_to_front.insert(len(back_to_front) if request.kind == "front" else 0, entry)
    return each.model_copy(update={"order": back_to_front.index(each) + 1})
