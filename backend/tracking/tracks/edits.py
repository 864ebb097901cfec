"""What a reviewer can do to tracks: the acts of the corrections log, one JSON object a line.

Acts are absolute ("these detections are bird 03"), never relative ("exchange"), so that replaying them on tracks that
are right already changes nothing. They are anchored to detections, not to tracks, so that they hold for any re-tracking
of the same detections. `docs/rooms/board.md` shows a line.
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


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Anchor(_Plain):
    """A bird in a frame: a detection by its number in the frame, or what a person drew by the id of that act."""

    frame: Frame
    detection: Annotated[int, Field(ge=0)] | None = None
    drawn: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Anchor":
        if (self.detection is None) == (self.drawn is None):
            raise ValueError("an anchor names either a detection or a drawn one")
        return self


class _Act(_Plain):
    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    id: int = Field(ge=1)  # number of the line in the log
    when: datetime
    who: str = Field(min_length=1, max_length=80)
    why: str = Field(default="", max_length=2000)
    version: int = Field(ge=0)  # lines the log had when the reviewer decided
    key: str = Field(default="", max_length=80)  # acts with one key are one decision: undone, and sent again, as one
    more: Literal[True] | None = None  # the next line belongs to the same decision; without it this one does not count


class _RangeAct(_Act):
    from_frame: Frame
    to_frame: Frame | None = None  # not included; None: to the end of the video

    @model_validator(mode="after")
    def _not_empty(self) -> "_RangeAct":
        if self.to_frame is not None and self.to_frame <= self.from_frame:
            raise ValueError(f"frames {self.from_frame} to {self.to_frame} are no range")
        return self


class Name(_RangeAct):
    """The track that holds ``anchor`` is ``identity`` in the range."""

    act: Literal["name"] = "name"
    anchor: Anchor
    identity: Identity


class Swap(_RangeAct):
    """Two birds had each other's names: in the range they are ``first_identity`` and ``second_identity``."""

    act: Literal["swap"] = "swap"
    first: Anchor
    first_identity: Identity
    second: Anchor
    second_identity: Identity


class Unlink(_RangeAct):
    """In the range it is not known who the track that holds ``anchor`` is. To the end of the video, that splits it."""

    act: Literal["unlink"] = "unlink"
    anchor: Anchor


class Merge(_RangeAct):
    """The track that holds ``other`` is the same bird as the one that holds ``anchor``."""

    act: Literal["merge"] = "merge"
    anchor: Anchor
    other: Anchor


class Link(_RangeAct):
    """The bird seen at ``before`` came back as the one seen at ``after``; the gap between the two is interpolated."""

    act: Literal["link"] = "link"
    before: Anchor
    after: Anchor


class Lost(_RangeAct):
    """The bird that is seen at ``anchor`` is not seen in the range; what was taken for it there is not told apart."""

    act: Literal["lost"] = "lost"
    anchor: Anchor


class NotABird(_RangeAct):
    """What the track that holds ``anchor`` shows in the range is no bird."""

    act: Literal["not_a_bird"] = "not_a_bird"
    anchor: Anchor


class Draw(_Act):
    """A person drew ``identity`` in a frame, or put the box or mask of ``anchor`` right."""

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


class Keep(_RangeAct):
    """A doubt was looked at and the tracks are right: in each pair the same bird is seen before and after."""

    act: Literal["keep"] = "keep"
    pairs: tuple[tuple[Anchor, Anchor], ...]


class Unsure(_RangeAct):
    """A doubt was looked at and cannot be decided from the video. The pairs say which doubt; they need not be right."""

    act: Literal["unsure"] = "unsure"
    pairs: tuple[tuple[Anchor, Anchor], ...]


class Audit(_Act):
    """A moment drawn at random was looked at: whether the bird at ``anchor`` was rightly called ``identity``."""

    act: Literal["audit"] = "audit"
    anchor: Anchor
    identity: Identity
    verdict: Literal["right", "wrong", "unsure"]


class Reviewed(_RangeAct):
    """A person watched the range and found everything right in the end."""

    act: Literal["reviewed"] = "reviewed"


class Rename(_Act):
    """An identity gets another name everywhere; after re-tracking it is that of ``anchor``, whatever it is called."""

    act: Literal["rename"] = "rename"
    anchor: Anchor | None = None
    identity: Identity
    new: Identity


class Undo(_Act):
    """An act does not count. Undoing an undo is a redo."""

    act: Literal["undo"] = "undo"
    target: int = Field(ge=1)


Act = Annotated[
    Name | Swap | Unlink | Merge | Link | Lost | NotABird | Draw | Keep | Unsure | Audit | Reviewed | Rename | Undo,
    Field(discriminator="act"),
]
_ACT = TypeAdapter(Act)


def parse_act(value: dict | bytes | str) -> Act:
    """Check one act; InputError with key and value if it is not allowed."""
    try:
        return _ACT.validate_json(value) if isinstance(value, bytes | str) else _ACT.validate_python(value)
    except ValidationError as error:
        raise InputError(f"this correction is not allowed: {first_problem(error)}") from error


def act_line(act: Act) -> bytes:
    """Return an act as a line of the log."""
    return (json.dumps(act.model_dump(mode="json", exclude_none=True), ensure_ascii=False) + "\n").encode()


def read_log(path: Path) -> tuple[Act, ...]:
    """Return the acts of a log, oldest first; none where there is no file.

    A last line without an end, and a last decision without its last line, were never acknowledged and are left out.

    Raises
    ------
    InputError
        With path and line, if a line is damaged or its id is not its number.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return ()
    acts = []
    for number, line in enumerate(lines, 1):
        try:
            act = parse_act(line)
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        if act.id != number:
            raise InputError(f"{path}, line {number}: the act has the id {act.id}; acts are numbered by line")
        acts.append(act)
    while acts and acts[-1].more:
        acts.pop()
    return tuple(acts)


def active(acts: Sequence[Act]) -> list[Act]:
    """Return the acts that count, without undone ones and without the undos themselves."""
    undone: set[int] = set()
    for act in reversed(acts):
        if isinstance(act, Undo) and act.id not in undone:
            undone.add(act.target)
    return [act for act in acts if act.id not in undone and not isinstance(act, Undo)]
