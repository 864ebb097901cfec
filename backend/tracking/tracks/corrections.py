"""Corrections of people applied to tracks: a pure function of the automatic tracks and the acts.

No active act: the very same tracks. An act that cannot be applied (its detection is in no track, or a bird would be
seen twice in a frame) is left out and reported, so that the board can list it.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from backend.tracking.tracks.edits import (
    Act,
    Anchor,
    Audit,
    Draw,
    Keep,
    Link,
    Lost,
    Merge,
    Name,
    NotABird,
    Rename,
    Reviewed,
    Swap,
    Unlink,
    Unsure,
    active,
)
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.tracks import NONE, ROW_ARRAYS, Tracks, lost_rows, sorted_tracks

END = 2**31 - 1  # of every video


@dataclass(frozen=True)
class Outcome:
    """What became of one active act: how many rows it speaks of, or why it does not apply."""

    id: int
    rows: int
    problem: str = ""  # "" where it was applied


@dataclass(frozen=True)
class Replayed:
    """Corrected tracks, what became of each active act, and the ranges of frames that a person answers for."""

    tracks: Tracks
    outcomes: tuple[Outcome, ...]
    reviewed: tuple[tuple[int, int], ...]


class DoesNotApplyError(Exception):
    """An act and these tracks do not go together; its text says why."""


def replay(tracks: Tracks, acts: Sequence[Act]) -> Replayed:
    """Apply ``acts`` (those that are not undone) to the automatic ``tracks``, oldest first."""
    replaying = Replaying(tracks)
    for act in active(acts):
        replaying.apply(act)
    return replaying.result()


class Replaying:
    """`replay` one act at a time, for whoever adds acts to a long log. Undone acts are never given to it."""

    def __init__(self, tracks: Tracks):
        self._tracks = tracks
        self._table = _Table(tracks)
        self._outcomes: list[Outcome] = []
        self._reviewed: list[tuple[int, int]] = []

    def copy(self) -> "Replaying":
        """Return one that can go another way."""
        other = Replaying.__new__(Replaying)
        other._tracks, other._table = self._tracks, self._table.copy()
        other._outcomes, other._reviewed = [*self._outcomes], [*self._reviewed]
        return other

    def apply(self, act: Act) -> Outcome:
        """Apply one more act and return what became of it."""
        if isinstance(act, Reviewed | Keep):
            self._reviewed.append((act.from_frame, _end(act)))
        try:
            outcome = Outcome(act.id, _APPLY[type(act)](self._table, act))
        except DoesNotApplyError as problem:
            outcome = Outcome(act.id, 0, str(problem))
        self._outcomes.append(outcome)
        return outcome

    def result(self) -> Replayed:
        """Return the tracks as they are now; the very same ones where nothing was changed."""
        tracks = self._table.finished() if self._table.changed else self._tracks
        return Replayed(tracks, tuple(self._outcomes), tuple(self._reviewed))

    def anchor(self, track: int, from_frame: int, to_frame: int = END) -> Anchor:
        """Return what an act on ``track`` in a range is anchored to: its first sighting there, else its last before.

        Raises
        ------
        DoesNotApplyError
            If the track is nowhere seen up to ``to_frame``; guessed boxes are no sightings.
        """
        columns = self._table.columns
        rows = np.flatnonzero(columns["track_id"] == track)
        rows = rows[(columns["detection"][rows] != NONE) | (self._table.drawn_by[rows] > 0)]
        place = int(np.searchsorted(columns["frame"][rows], from_frame))
        if place == len(rows) or columns["frame"][rows[place]] >= to_frame:
            place -= 1
        if place < 0:
            raise DoesNotApplyError(f"frame {from_frame}: track {track} is not seen here")
        frame, row = int(columns["frame"][rows[place]]), int(rows[place])
        if columns["detection"][row] != NONE:
            return Anchor(frame=frame, detection=int(columns["detection"][row]))
        return Anchor(frame=frame, drawn=int(self._table.drawn_by[row]))


@dataclass(frozen=True)
class _Move:
    """Rows that go to a track; ``code`` is the track's identity, -1 for none."""

    rows: np.ndarray
    track: int
    code: int


class _Table:
    """Tracks while they are being changed: seen rows only, sorted by frame. Lost ones are filled in at the end."""

    def __init__(self, tracks: Tracks):
        seen = tracks.state != State.LOST
        self.original = tracks
        self.changed = False
        self.columns = {name: getattr(tracks, name)[seen] for name in ROW_ARRAYS}
        self.drawn_by = np.zeros(int(seen.sum()), np.int32)
        self.drawings: dict[int, bytes | None] = {}  # masks by act
        self.names = list(tracks.names)
        self.track_of = dict(enumerate(tracks.track_of_name))
        self.spans = tracks.spans
        self.next_track = max(int(tracks.track_id.max(initial=0)), *self.track_of.values(), 0) + 1

    def copy(self) -> "_Table":
        """Return one that can be changed by itself."""
        other = copy(self)
        other.columns = {name: column.copy() for name, column in self.columns.items()}
        other.drawn_by, other.drawings = self.drawn_by.copy(), dict(self.drawings)
        other.names, other.track_of = [*self.names], dict(self.track_of)
        return other

    def row_at(self, anchor: Anchor) -> int:
        """Return the row of an anchor."""
        if anchor.drawn is not None:
            found, what = np.flatnonzero(self.drawn_by == anchor.drawn), f"what act {anchor.drawn} drew"
        else:
            first, last = np.searchsorted(self.columns["frame"], [anchor.frame, anchor.frame + 1])
            found = first + np.flatnonzero(self.columns["detection"][first:last] == anchor.detection)
            what = f"detection {anchor.detection}"
        if not len(found):
            raise DoesNotApplyError(f"frame {anchor.frame}: {what} is in no track")
        return int(found[0])

    def track_at(self, anchor: Anchor) -> int:
        """Return the track that holds an anchor."""
        return int(self.columns["track_id"][self.row_at(anchor)])

    def part(self, track: int, from_frame: int, to_frame: int) -> np.ndarray:
        """Return the rows of a track in a range, by frame."""
        first, last = np.searchsorted(self.columns["frame"], [from_frame, to_frame])
        return first + np.flatnonzero(self.columns["track_id"][first:last] == track)

    def code_of(self, name: str) -> int:
        """Return the index of an identity; a new one gets a track of its own."""
        if name not in self.names:
            self.names.append(name)
            self.track_of[len(self.names) - 1] = self.new_track()
        return self.names.index(name)

    def new_track(self) -> int:
        """Return a track number that nobody has."""
        self.next_track += 1
        return self.next_track - 1

    def give(self, *moves: _Move, p: float = 1.0) -> int:
        """Move rows to tracks, all at once. What a track only guessed in these frames makes room.

        Raises
        ------
        DoesNotApplyError
            If a track is seen elsewhere in one of the frames.
        """
        moving = np.concatenate([move.rows for move in moves])
        room = np.concatenate([self._in_the_way(move, moving) for move in moves])
        for move in moves:
            self.columns["track_id"][move.rows] = move.track
            self.columns["identity"][move.rows] = move.code
            self.columns["p_identity"][move.rows] = np.nan if move.code == NONE else p
        self.changed |= len(moving) > 0
        self.remove(room)
        return len(moving)

    def _in_the_way(self, move: _Move, moving: np.ndarray) -> np.ndarray:
        if not len(move.rows):
            return move.rows
        frames = self.columns["frame"][move.rows]
        own = np.setdiff1d(self.part(move.track, int(frames[0]), int(frames[-1]) + 1), moving)
        own = own[np.isin(self.columns["frame"][own], frames)]
        seen = own[self.columns["state"][own] == State.DETECTED]
        if len(seen):
            who = self.names[move.code] if move.code != NONE else f"track {move.track}"
            raise DoesNotApplyError(f"frame {self.columns['frame'][seen[0]]}: {who} is seen elsewhere in this frame")
        return own

    def remove(self, rows: np.ndarray) -> int:
        """Let rows vanish."""
        if len(rows):
            self.columns = {name: np.delete(column, rows, axis=0) for name, column in self.columns.items()}
            self.drawn_by = np.delete(self.drawn_by, rows)
            self.changed = True
        return len(rows)

    def insert(self, frame: np.ndarray, boxes: np.ndarray, move: _Move, state: State, drawn_by: int = 0) -> int:
        """Add rows without a detection."""
        at = np.searchsorted(self.columns["frame"], frame, side="right")
        new = {
            "frame": frame,
            "detection": NONE,
            "track_id": move.track,
            "identity": move.code,
            "state": state,
            "p_identity": np.nan if move.code == NONE else 1.0,
            "boxes": boxes,
        }
        self.columns = {name: np.insert(column, at, new[name], axis=0) for name, column in self.columns.items()}
        self.drawn_by = np.insert(self.drawn_by, at, drawn_by)
        self.changed = True
        return len(frame)

    def target(self, row: int) -> tuple[int, int]:
        """Return track and identity of a row."""
        return int(self.columns["track_id"][row]), int(self.columns["identity"][row])

    def finished(self) -> Tracks:
        """Return the tracks, with a lost row wherever an identity is not seen in its span."""
        original = self.original
        lost = lost_rows(self.columns, original.frames, self.track_of, self.spans)
        rows = {
            name: np.concatenate([column, lost[name].astype(column.dtype)]) for name, column in self.columns.items()
        }
        drawn = {
            (int(self.columns["frame"][row]), int(self.columns["track_id"][row])): self.drawings[
                int(self.drawn_by[row])
            ]
            for row in np.flatnonzero(self.drawn_by)
        }
        names = tuple(self.names)
        about = {"frames": original.frames, "times": original.times, "rate": original.rate}
        return sorted_tracks(**rows, names=names, drawn=drawn, **about)


def _end(act: Act) -> int:
    return END if act.to_frame is None else act.to_frame


def _name(table: _Table, act: Name) -> int:
    rows = table.part(table.track_at(act.anchor), act.from_frame, _end(act))
    code = table.code_of(act.identity)
    return table.give(_Move(rows, table.track_of[code], code))


def _swap(table: _Table, act: Swap) -> int:
    pairs = ((act.first, act.first_identity), (act.second, act.second_identity))
    tracks = [table.track_at(anchor) for anchor, _ in pairs]
    if tracks[0] == tracks[1]:
        raise DoesNotApplyError(f"frame {act.first.frame}: both birds are in one track")
    codes = [table.code_of(name) for _, name in pairs]
    parts = [table.part(track, act.from_frame, _end(act)) for track in tracks]
    return table.give(*(_Move(part, table.track_of[code], code) for part, code in zip(parts, codes, strict=True)))


def _unlink(table: _Table, act: Unlink | Lost) -> int:
    rows = table.part(table.track_at(act.anchor), act.from_frame, _end(act))
    guessed = table.columns["state"][rows] == State.INTERPOLATED
    moved = table.give(_Move(rows[~guessed], table.new_track(), NONE))
    return moved + table.remove(rows[guessed])


def _merge(table: _Table, act: Merge) -> int:
    target = table.target(table.row_at(act.anchor))
    rows = table.part(table.track_at(act.other), act.from_frame, _end(act))
    return table.give(_Move(rows, *target))


def _link(table: _Table, act: Link) -> int:
    before, after = table.row_at(act.before), table.row_at(act.after)
    target = table.target(before)
    first, last = act.before.frame, act.after.frame
    if first >= last:
        raise DoesNotApplyError(f"frame {last}: the bird would come back before it went (frame {first})")
    boxes = table.columns["boxes"][[before, after]]
    rows = table.part(int(table.columns["track_id"][after]), max(last, act.from_frame), _end(act))
    moved = table.give(_Move(rows, *target))
    frames = table.original.frames
    own = table.columns["frame"][table.part(target[0], first, last)]
    gap = np.setdiff1d(frames[(frames > first) & (frames < last)], own)
    share = ((gap - first) / (last - first))[:, None]
    between = ((1 - share) * boxes[0] + share * boxes[1]).astype(np.float32)
    return moved + table.insert(gap, between, _Move(gap, *target), State.INTERPOLATED)


def _not_a_bird(table: _Table, act: NotABird) -> int:
    return table.remove(table.part(table.track_at(act.anchor), act.from_frame, _end(act)))


def _draw(table: _Table, act: Draw) -> int:
    box = np.array([act.box], np.float32)
    code = table.code_of(act.identity)
    track = table.track_of[code]
    table.drawings[act.id] = None if act.rle is None else act.rle.encode()
    if act.anchor is not None:
        row = np.array([table.row_at(act.anchor)])
        table.columns["boxes"][row] = box
        table.drawn_by[row] = act.id
        return table.give(_Move(row, track, code))
    if act.frame not in table.original.frames:
        raise DoesNotApplyError(f"frame {act.frame} was not tracked")
    move = _Move(np.zeros(0, np.int64), track, code)
    own = table.part(track, act.frame, act.frame + 1)
    if np.any(table.columns["state"][own] == State.DETECTED):
        raise DoesNotApplyError(f"frame {act.frame}: {act.identity} is seen elsewhere in this frame")
    table.remove(own)
    return table.insert(np.array([act.frame], np.int32), box, move, State.DETECTED, act.id)


def _keep(table: _Table, act: Keep) -> int:
    for before, after in act.pairs:
        if table.track_at(before) != table.track_at(after):
            raise DoesNotApplyError(f"frame {after.frame}: this is no longer the bird of frame {before.frame}")
    return 0


def _nothing(table: _Table, act: Reviewed | Unsure | Audit) -> int:
    return 0


def _rename(table: _Table, act: Rename) -> int:
    code = NONE if act.anchor is None else int(table.columns["identity"][table.row_at(act.anchor)])
    if code == NONE:
        if act.identity not in table.names:
            raise DoesNotApplyError(f"no bird is called {act.identity}")
        code = table.names.index(act.identity)
    if act.new in table.names and table.names[code] != act.new:
        raise DoesNotApplyError(f"another bird is called {act.new} already")
    table.changed |= table.names[code] != act.new
    table.names[code] = act.new
    return int(np.sum(table.columns["identity"] == code))


_APPLY = {
    Name: _name,
    Swap: _swap,
    Unlink: _unlink,
    Lost: _unlink,
    Merge: _merge,
    Link: _link,
    NotABird: _not_a_bird,
    Draw: _draw,
    Keep: _keep,
    Reviewed: _nothing,
    Unsure: _nothing,
    Audit: _nothing,
    Rename: _rename,
}
