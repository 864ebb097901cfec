"""Reviewers' edits applied to tracks: a pure function of the automatic tracks and the edits.

Without active edits the result is the very same tracks. An edit that cannot be applied (its detection is in no track,
or a bird would be in one frame twice) is skipped and reported, so that the board can list it.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from backend.tracking.tracks.edits import (
    Anchor,
    Audit,
    Draw,
    Edit,
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
    active_edits,
)
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.tracks import NONE, ROW_ARRAYS, Tracks, lost_rows, sorted_tracks

END_OF_VIDEO = 2**31 - 1  # frame behind the last one of any video


@dataclass(frozen=True)
class Outcome:
    """Result of one active edit: the number of rows that it concerns, or why it does not apply."""

    id: int
    rows: int
    problem: str = ""  # "" where it was applied


@dataclass(frozen=True)
class CorrectedTracks:
    """Corrected tracks, the outcome of each active edit, and the reviewed ranges of frames (end not included)."""

    tracks: Tracks
    outcomes: tuple[Outcome, ...]
    reviewed: tuple[tuple[int, int], ...]


class EditDoesNotApplyError(Exception):
    """An edit cannot be applied to these tracks; the text says why."""


def replay(tracks: Tracks, edits: Sequence[Edit]) -> CorrectedTracks:
    """Apply the active ones of ``edits`` to the automatic ``tracks``, oldest first."""
    state = Replay(tracks)
    for edit in active_edits(edits):
        state.apply(edit)
    return state.result()


class Replay:
    """`replay` one edit at a time, so that a new edit need not replay a long log. For active edits only."""

    def __init__(self, tracks: Tracks):
        self._tracks = tracks
        self._table = _EditableTracks(tracks)
        self._outcomes: list[Outcome] = []
        self._reviewed: list[tuple[int, int]] = []

    def copy(self) -> "Replay":
        """Return an independent copy."""
        other = Replay.__new__(Replay)
        other._tracks, other._table = self._tracks, self._table.copy()
        other._outcomes, other._reviewed = [*self._outcomes], [*self._reviewed]
        return other

    def apply(self, edit: Edit) -> Outcome:
        """Apply one more edit and return its outcome."""
        if isinstance(edit, Reviewed | Keep):
            self._reviewed.append((edit.from_frame, _end(edit)))
        try:
            outcome = Outcome(edit.id, _APPLY[type(edit)](self._table, edit))
        except EditDoesNotApplyError as problem:
            outcome = Outcome(edit.id, 0, str(problem))
        self._outcomes.append(outcome)
        return outcome

    def result(self) -> CorrectedTracks:
        """Return the tracks as they are now; the very same object where nothing was changed."""
        tracks = self._table.finished() if self._table.changed else self._tracks
        return CorrectedTracks(tracks, tuple(self._outcomes), tuple(self._reviewed))

    def anchor(self, track: int, from_frame: int, to_frame: int = END_OF_VIDEO) -> Anchor:
        """Return the anchor for an edit of ``track`` in a range: its first detection there, else its last one before.

        Raises
        ------
        EditDoesNotApplyError
            If the track has no detection before ``to_frame``; interpolated boxes are none.
        """
        columns = self._table.columns
        rows = np.flatnonzero(columns["track_id"] == track)
        rows = rows[(columns["detection"][rows] != NONE) | (self._table.drawn_by[rows] > 0)]
        index = int(np.searchsorted(columns["frame"][rows], from_frame))
        if index == len(rows) or columns["frame"][rows[index]] >= to_frame:
            index -= 1
        if index < 0:
            raise EditDoesNotApplyError(f"frame {from_frame}: track {track} is not seen here")
        frame, row = int(columns["frame"][rows[index]]), int(rows[index])
        if columns["detection"][row] != NONE:
            return Anchor(frame=frame, detection=int(columns["detection"][row]))
        return Anchor(frame=frame, drawn=int(self._table.drawn_by[row]))


@dataclass(frozen=True)
class _Reassignment:
    """Rows (n,) int64 that go to ``track``; ``code`` is its identity by index, -1 for none."""

    rows: np.ndarray
    track: int
    code: int


class _EditableTracks:
    """Tracks while they are being edited: rows with a box only, sorted by frame; `finished` adds the lost ones."""

    def __init__(self, tracks: Tracks):
        seen = tracks.state != State.LOST
        self.original = tracks
        self.changed = False
        self.columns = {name: getattr(tracks, name)[seen] for name in ROW_ARRAYS}
        self.drawn_by = np.zeros(int(seen.sum()), np.int32)
        self.drawings: dict[int, bytes | None] = {}  # drawn masks by the id of the edit; None: only a box
        self.names = list(tracks.names)
        self.track_of = dict(enumerate(tracks.track_of_name))
        self.spans = tracks.spans
        self.next_track = max(int(tracks.track_id.max(initial=0)), *self.track_of.values(), 0) + 1

    def copy(self) -> "_EditableTracks":
        """Return an independent copy."""
        other = copy(self)
        other.columns = {name: column.copy() for name, column in self.columns.items()}
        other.drawn_by, other.drawings = self.drawn_by.copy(), dict(self.drawings)
        other.names, other.track_of = [*self.names], dict(self.track_of)
        return other

    def row_at(self, anchor: Anchor) -> int:
        """Return the row of an anchor.

        Raises
        ------
        EditDoesNotApplyError
            If no track holds it.
        """
        if anchor.drawn is not None:
            rows, what = np.flatnonzero(self.drawn_by == anchor.drawn), f"what correction {anchor.drawn} drew"
        else:
            first, last = np.searchsorted(self.columns["frame"], [anchor.frame, anchor.frame + 1])
            rows = first + np.flatnonzero(self.columns["detection"][first:last] == anchor.detection)
            what = f"detection {anchor.detection}"
        if not len(rows):
            raise EditDoesNotApplyError(f"frame {anchor.frame}: {what} is in no track")
        return int(rows[0])

    def track_at(self, anchor: Anchor) -> int:
        """Return the track that holds an anchor."""
        return int(self.columns["track_id"][self.row_at(anchor)])

    def rows_in(self, track: int, from_frame: int, to_frame: int) -> np.ndarray:
        """Return the rows (n,) of a track in a range of frames, sorted by frame."""
        first, last = np.searchsorted(self.columns["frame"], [from_frame, to_frame])
        return first + np.flatnonzero(self.columns["track_id"][first:last] == track)

    def code_of(self, name: str) -> int:
        """Return the index of an identity; a new one gets a track of its own."""
        if name not in self.names:
            self.names.append(name)
            self.track_of[len(self.names) - 1] = self.new_track()
        return self.names.index(name)

    def new_track(self) -> int:
        """Return an unused track number."""
        self.next_track += 1
        return self.next_track - 1

    def reassign(self, *moves: _Reassignment, p: float = 1.0) -> int:
        """Move rows to tracks, all at once; interpolated rows of these tracks in the same frames are removed.

        Raises
        ------
        EditDoesNotApplyError
            If a track has a detection elsewhere in one of the frames.
        """
        moving = np.concatenate([move.rows for move in moves])
        replaced = np.concatenate([self._conflicting(move, moving) for move in moves])
        for move in moves:
            self.columns["track_id"][move.rows] = move.track
            self.columns["identity"][move.rows] = move.code
            self.columns["p_identity"][move.rows] = np.nan if move.code == NONE else p
        self.changed |= len(moving) > 0
        self.remove(replaced)
        return len(moving)

    def _conflicting(self, move: _Reassignment, moving: np.ndarray) -> np.ndarray:
        """Return the interpolated rows of the track in the frames of ``move``; ``moving`` are all rows that move."""
        if not len(move.rows):
            return move.rows
        frames = self.columns["frame"][move.rows]
        own = np.setdiff1d(self.rows_in(move.track, int(frames[0]), int(frames[-1]) + 1), moving)
        own = own[np.isin(self.columns["frame"][own], frames)]
        seen = own[self.columns["state"][own] == State.DETECTED]
        if len(seen):
            name = self.names[move.code] if move.code != NONE else f"track {move.track}"
            raise EditDoesNotApplyError(
                f"frame {self.columns['frame'][seen[0]]}: {name} is seen elsewhere in this frame"
            )
        return own

    def remove(self, rows: np.ndarray) -> int:
        """Remove rows and return their number."""
        if len(rows):
            self.columns = {name: np.delete(column, rows, axis=0) for name, column in self.columns.items()}
            self.drawn_by = np.delete(self.drawn_by, rows)
            self.changed = True
        return len(rows)

    def insert(self, frame: np.ndarray, boxes: np.ndarray, move: _Reassignment, state: State, drawn_by: int = 0) -> int:
        """Add rows without a detection and return their number."""
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
        """Return the tracks, with a lost row in each frame of an identity's span without a box."""
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
        common = {"frames": original.frames, "times": original.times, "rate": original.rate}
        return sorted_tracks(**rows, names=names, drawn=drawn, **common)


def _end(edit: Edit) -> int:
    return END_OF_VIDEO if edit.to_frame is None else edit.to_frame


def _name(tracks: _EditableTracks, edit: Name) -> int:
    rows = tracks.rows_in(tracks.track_at(edit.anchor), edit.from_frame, _end(edit))
    code = tracks.code_of(edit.identity)
    return tracks.reassign(_Reassignment(rows, tracks.track_of[code], code))


def _swap(tracks: _EditableTracks, edit: Swap) -> int:
    pairs = ((edit.first, edit.first_identity), (edit.second, edit.second_identity))
    track_ids = [tracks.track_at(anchor) for anchor, _ in pairs]
    if track_ids[0] == track_ids[1]:
        raise EditDoesNotApplyError(f"frame {edit.first.frame}: both birds are in one track")
    codes = [tracks.code_of(name) for _, name in pairs]
    parts = [tracks.rows_in(track, edit.from_frame, _end(edit)) for track in track_ids]
    return tracks.reassign(
        *(_Reassignment(part, tracks.track_of[code], code) for part, code in zip(parts, codes, strict=True))
    )


def _unlink(tracks: _EditableTracks, edit: Unlink | Lost) -> int:
    rows = tracks.rows_in(tracks.track_at(edit.anchor), edit.from_frame, _end(edit))
    interpolated = tracks.columns["state"][rows] == State.INTERPOLATED
    moved = tracks.reassign(_Reassignment(rows[~interpolated], tracks.new_track(), NONE))
    return moved + tracks.remove(rows[interpolated])


def _merge(tracks: _EditableTracks, edit: Merge) -> int:
    target = tracks.target(tracks.row_at(edit.anchor))
    rows = tracks.rows_in(tracks.track_at(edit.other), edit.from_frame, _end(edit))
    return tracks.reassign(_Reassignment(rows, *target))


def _link(tracks: _EditableTracks, edit: Link) -> int:
    before, after = tracks.row_at(edit.before), tracks.row_at(edit.after)
    target = tracks.target(before)
    first, last = edit.before.frame, edit.after.frame
    if first >= last:
        raise EditDoesNotApplyError(f"frame {last}: the bird would come back before it went (frame {first})")
    boxes = tracks.columns["boxes"][[before, after]]
    rows = tracks.rows_in(int(tracks.columns["track_id"][after]), max(last, edit.from_frame), _end(edit))
    moved = tracks.reassign(_Reassignment(rows, *target))
    frames = tracks.original.frames
    own = tracks.columns["frame"][tracks.rows_in(target[0], first, last)]
    gap = np.setdiff1d(frames[(frames > first) & (frames < last)], own)
    share = ((gap - first) / (last - first))[:, None]
    between = ((1 - share) * boxes[0] + share * boxes[1]).astype(np.float32)
    return moved + tracks.insert(gap, between, _Reassignment(gap, *target), State.INTERPOLATED)


def _not_a_bird(tracks: _EditableTracks, edit: NotABird) -> int:
    return tracks.remove(tracks.rows_in(tracks.track_at(edit.anchor), edit.from_frame, _end(edit)))


def _draw(tracks: _EditableTracks, edit: Draw) -> int:
    box = np.array([edit.box], np.float32)
    code = tracks.code_of(edit.identity)
    track = tracks.track_of[code]
    tracks.drawings[edit.id] = None if edit.rle is None else edit.rle.encode()
    if edit.anchor is not None:
        row = np.array([tracks.row_at(edit.anchor)])
        tracks.columns["boxes"][row] = box
        tracks.drawn_by[row] = edit.id
        return tracks.reassign(_Reassignment(row, track, code))
    if edit.frame not in tracks.original.frames:
        raise EditDoesNotApplyError(f"frame {edit.frame} was not tracked")
    move = _Reassignment(np.zeros(0, np.int64), track, code)
    own = tracks.rows_in(track, edit.frame, edit.frame + 1)
    if np.any(tracks.columns["state"][own] == State.DETECTED):
        raise EditDoesNotApplyError(f"frame {edit.frame}: {edit.identity} is seen elsewhere in this frame")
    tracks.remove(own)
    return tracks.insert(np.array([edit.frame], np.int32), box, move, State.DETECTED, edit.id)


def _keep(tracks: _EditableTracks, edit: Keep) -> int:
    for before, after in edit.pairs:
        if tracks.track_at(before) != tracks.track_at(after):
            raise EditDoesNotApplyError(f"frame {after.frame}: this is no longer the bird of frame {before.frame}")
    return 0


def _nothing(tracks: _EditableTracks, edit: Reviewed | Unsure | Audit) -> int:
    return 0


def _rename(tracks: _EditableTracks, edit: Rename) -> int:
    code = NONE if edit.anchor is None else int(tracks.columns["identity"][tracks.row_at(edit.anchor)])
    if code == NONE:
        if edit.identity not in tracks.names:
            raise EditDoesNotApplyError(f"no bird is called {edit.identity}")
        code = tracks.names.index(edit.identity)
    if edit.new in tracks.names and tracks.names[code] != edit.new:
        raise EditDoesNotApplyError(f"another bird is called {edit.new} already")
    tracks.changed |= tracks.names[code] != edit.new
    tracks.names[code] = edit.new
    return int(np.sum(tracks.columns["identity"] == code))


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
