"""Requests of the page, validated field by field."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.project.errors import InputError
from backend.project.settings import first_problem
from backend.tracking.tracks.edits import Coordinate, Frame, Identity

Kind = Literal[
    "name", "swap", "split", "unlink", "merge", "link", "lost", "not_a_bird", "draw", "reviewed", "rename",
    "answer", "unsure", "audit",
]  # fmt: skip
Track = Annotated[int, Field(ge=1, le=2**31 - 1)]
Body = TypeVar("Body", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stroke(_Strict):
    """One stroke, points in px of the frame. Polygons and brushes add to the mask, or remove if not ``positive``."""

    kind: Literal["brush", "eraser", "polygon"]
    points: Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=1, max_length=5000)]
    radius: float = Field(default=1.0, ge=0.5, le=500, allow_inf_nan=False)
    positive: bool = True


class ActRequest(_Strict):
    """One decision of a reviewer. Which fields are used depends on ``kind``; see `board.decisions`."""

    kind: Kind
    version: int = Field(ge=0)  # of the log when the decision was made
    key: str = Field(default="", max_length=80)  # a request that is sent twice is applied once
    why: str = Field(default="", max_length=2000)
    frame: Frame | None = None
    # end of the change: next open doubt of these birds, their next crossing, end of the video, or a frame (excluded)
    to: Literal["doubt", "crossing", "end"] | Frame = "doubt"
    track: Track | None = None
    other: Track | None = None
    identity: Identity | None = None
    new: Identity | None = None
    exchange: bool = False  # the bird that has the name now gets the other one's
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    rle: str | None = Field(default=None, max_length=2**20)
    strokes: tuple[Stroke, ...] = Field(default=(), max_length=200)  # edit the bird's mask: `board.mask_brush`
    doubt: int | None = Field(default=None, ge=1)
    assignment: list[Annotated[int, Field(ge=-1, le=1000)]] | None = Field(default=None, max_length=100)
    verdict: Literal["right", "wrong", "unsure"] | None = None


class Turn(_Strict):
    """Undo or redo one decision."""

    way: Literal["undo", "redo"]
    version: int = Field(ge=0)
    key: str = Field(default="", max_length=80)


def checked(model: type[Body], given: Any) -> Body:
    """Return ``given`` as ``model``; InputError names the first field that is not allowed."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InputError(first_problem(error)) from error
