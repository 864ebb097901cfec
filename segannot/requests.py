"""Requests of the page, validated field by field; an invalid one becomes one line for the annotator."""

from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.project.errors import InputError
from backend.project.settings import first_problem
from segannot.engines.base import Stroke, StrokeKind

MAX_POINTS = 20_000  # a stroke of five minutes
Coordinate = Annotated[float, Field(ge=-1e5, le=1e5, allow_inf_nan=False)]
Points = Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=1, max_length=MAX_POINTS)]
Number = Annotated[int, Field(ge=1, le=255)]
FrameNumber = Annotated[int, Field(ge=0, le=2**31 - 1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Body = TypeVar("Body", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Request(_Strict):
    """Fields of every change: the version it was made on, and a key: a request that is sent twice is applied once."""

    version: int = Field(ge=0)
    key: str = Field(default="", max_length=80)


class Draw(Request):
    """A stroke on a frame for an object."""

    frame: FrameNumber
    object: Number
    kind: Literal["scribble", "click", "box", "brush", "eraser", "polygon"]
    points: Points
    positive: bool = True
    radius: float = Field(default=3.0, gt=0, le=2000, allow_inf_nan=False)


class FrameAct(Request):
    """An action on a frame, or on one object in it."""

    frame: FrameNumber
    kind: Literal["copy", "clear", "review", "unreview", "specks", "propose"]
    object: Number | None = None
    source: FrameNumber | None = None


class ObjectAct(Request):
    """An action on the list of objects."""

    kind: Literal["add", "edit", "delete", "merge", "front", "back"]
    object: Number | None = None
    into: Number | None = None
    name: Name | None = None
    class_name: Name | None = None
    colour: str | None = Field(default=None, pattern=r"^#[0-9a-fA-F]{6}$")
    hidden: bool | None = None
    locked: bool | None = None


class Turn(Request):
    """Undo or redo."""

    way: Literal["undo", "redo"]


class Propagate(Request):
    """Propagate objects from ``frame`` to ``to``; without ``to``, re-propagate around the correction on ``frame``.

    ``objects`` default to all on the frame, or, around a correction, to those that it changed.
    """

    frame: FrameNumber
    to: FrameNumber | None = None
    objects: list[Number] | None = Field(default=None, max_length=255)


class TaskAct(_Strict):
    """Pause, resume or stop the propagation."""

    act: Literal["pause", "resume", "stop"]


class Choose(_Strict):
    """Select an engine."""

    engine: str = Field(max_length=20)


def checked(model: type[Body], given: Any) -> Body:
    """Return ``given`` as ``model``; InputError names the first field that is not allowed."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InputError(first_problem(error)) from error


def as_stroke(stored: dict[str, Any]) -> Stroke:
    """Return a stroke from its JSON in the log."""
    return Stroke(
        StrokeKind(stored["kind"]), np.array(stored["points"], float), bool(stored["positive"]), float(stored["radius"])
    )
