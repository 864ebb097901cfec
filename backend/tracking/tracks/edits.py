"""The corrections log: reviewers' edits of tracks, one JSON object a line.

Edits are absolute ("these detections are bird 03"), never relative ("exchange"), so that replaying them on tracks that
are already right changes nothing. They are anchored to detections, not to tracks, so they hold for any re-tracking of
the same detections. In the log the kind of an edit is the value of ``act``. Frames count from 0; in ranges ``to_frame``
is not included, and null is the end of the video. `docs/rooms/board.md` shows a line.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from backend.project.errors import InputError
from backend.project.settings import first_problem

FORMAT = 1
Frame = Annotated[int, Field(ge=0, le=2**31 - 2)]
Identity = Annotated[str, Field(min_length=1, max_length=80)]
Coordinate = Annotated[float, Field(ge=-(2**20), le=2**20, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Anchor(_Frozen):
    """A bird in a frame: a detection by its number within the frame, or what a reviewer drew by the id of that edit."""

    frame: Frame
    detection: Annotated[int, Field(ge=0)] | None = None
    drawn: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Anchor":
        if (self.detection is None) == (self.drawn is None):
            raise ValueError("an anchor names either a detection or a drawn one")
        return self


class _Edit(_Frozen):
    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    id: int = Field(ge=1)  # line number in the log, from 1
    when: datetime
    who: str = Field(min_length=1, max_length=80)
    why: str = Field(default="", max_length=2000)
    version: int = Field(ge=0)  # lines of the log when the reviewer decided
    key: str = Field(default="", max_length=80)  # edits with one key are one decision: undone and sent again together
    more: Literal[True] | None = None  # the next line belongs to the same decision, and this one counts only with it


class _RangeEdit(_Edit):
    from_frame: Frame
    to_frame: Frame | None = None  # not included; None: to the end of the video

    @model_validator(mode="after")
    def _not_empty(self) -> "_RangeEdit":
        if self.to_frame is not None and self.to_frame <= self.from_frame:
            raise ValueError(f"frames {self.from_frame} to {self.to_frame} are no range")
        return self


class Name(_RangeEdit):
    """In the range, the track of ``anchor`` is ``identity``."""

    act: Literal["name"] = "name"
    anchor: Anchor
    identity: Identity


class Swap(_RangeEdit):
    """Two identities were swapped: in the range, the tracks are ``first_identity`` and ``second_identity``."""

    act: Literal["swap"] = "swap"
    first: Anchor
    first_identity: Identity
    second: Anchor
    second_identity: Identity


class Unlink(_RangeEdit):
    """In the range, the track of ``anchor`` has no identity. To the end of the video, this splits the track."""

    act: Literal["unlink"] = "unlink"
    anchor: Anchor


class Merge(_RangeEdit):
    """In the range, the tracks of ``other`` and ``anchor`` are the same bird."""

    act: Literal["merge"] = "merge"
    anchor: Anchor
    other: Anchor


class Link(_RangeEdit):
    """The bird at ``before`` reappears as the one at ``after``; boxes between the two are interpolated."""

    act: Literal["link"] = "link"
    before: Anchor
    after: Anchor


class Lost(_RangeEdit):
    """In the range, the bird of ``anchor`` is lost; the detections of its track there have no identity."""

    act: Literal["lost"] = "lost"
    anchor: Anchor


class NotABird(_RangeEdit):
    """In the range, the detections of the track of ``anchor`` are false positives."""

    act: Literal["not_a_bird"] = "not_a_bird"
    anchor: Anchor


class Draw(_Edit):
    """A reviewer drew ``identity`` in a frame, or corrected the box or mask of ``anchor``."""

    act: Literal["draw"] = "draw"
    frame: Frame
    identity: Identity
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]  # x1 y1 x2 y2, px of the original frame
    rle: str | None = Field(default=None, max_length=2**20)  # COCO counts at full frame size
    anchor: Anchor | None = None

    @model_validator(mode="after")
    def _has_area(self) -> "Draw":
        x1, y1, x2, y2 = self.box
        if not (x1 < x2 and y1 < y2):
            raise ValueError(f"box {self.box} must be x1 y1 x2 y2 with x1 < x2 and y1 < y2")
        return self


class Keep(_RangeEdit):
    """A doubt was reviewed and the tracks are right: in each pair, the two anchors are the same bird."""

    act: Literal["keep"] = "keep"
    pairs: tuple[tuple[Anchor, Anchor], ...]


class Unsure(_RangeEdit):
    """A doubt was reviewed and cannot be decided from the video. The pairs identify it; they need not be right."""

    act: Literal["unsure"] = "unsure"
    pairs: tuple[tuple[Anchor, Anchor], ...]


class Audit(_Edit):
    """A randomly sampled detection was reviewed: whether the bird at ``anchor`` is ``identity``."""

    act: Literal["audit"] = "audit"
    anchor: Anchor
    identity: Identity
    verdict: Literal["right", "wrong", "unsure"]


class Reviewed(_RangeEdit):
    """A reviewer watched the range; with the edits so far, all tracks in it are right."""

    act: Literal["reviewed"] = "reviewed"


class Rename(_Edit):
    """An identity gets another name in all frames; after re-tracking it is the identity of ``anchor``, if given."""

    act: Literal["rename"] = "rename"
    anchor: Anchor | None = None
    identity: Identity
    new: Identity


class Undo(_Edit):
    """The edit ``target`` does not count. Undoing an undo is a redo."""

    act: Literal["undo"] = "undo"
    target: int = Field(ge=1)


Edit = Annotated[
    Name | Swap | Unlink | Merge | Link | Lost | NotABird | Draw | Keep | Unsure | Audit | Reviewed | Rename | Undo,
    Field(discriminator="act"),
]
_EDIT = TypeAdapter(Edit)


def parse_edit(value: dict | bytes | str) -> Edit:
    """Validate one edit; InputError with key and value if it is not allowed."""
    try:
        return _EDIT.validate_json(value) if isinstance(value, bytes | str) else _EDIT.validate_python(value)
    except ValidationError as error:
        raise InputError(f"this correction is not allowed: {first_problem(error)}") from error


def edit_line(edit: Edit) -> bytes:
    """Return an edit as a line of the log, UTF-8 with its newline."""
    return (json.dumps(edit.model_dump(mode="json", exclude_none=True), ensure_ascii=False) + "\n").encode()


def read_log(path: Path) -> tuple[Edit, ...]:
    """Read the edits of a log, oldest first; none where there is no file.

    A last line without a newline, and a last decision without all its lines, were never acknowledged and are left out.

    Raises
    ------
    InputError
        If a line is damaged or its id is not its number; with path and line.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return ()
    edits = []
    for number, line in enumerate(lines, 1):
        try:
            edit = parse_edit(line)
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        if edit.id != number:
            raise InputError(f"{path}, line {number}: the edit has the id {edit.id}; edits are numbered by line")
        edits.append(edit)
    while edits and edits[-1].more:
        edits.pop()
    return tuple(edits)


def active_edits(edits: Sequence[Edit]) -> list[Edit]:
    """Return the edits that count, without undone ones and without the undos themselves."""
    undone: set[int] = set()
    for edit in reversed(edits):
        if isinstance(edit, Undo) and edit.id not in undone:
            undone.add(edit.target)
    return [edit for edit in edits if edit.id not in undone and not isinstance(edit, Undo)]
