"""What the page may send, checked field by field; what is not allowed becomes one line for the annotator."""

from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.project.errors import InputError
from backend.project.settings import first_problem
from segannot.engines.base import Interaction, Kind

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
    """What every change carries: the version it was made on, and a key, so that sending it twice does it once."""

    version: int = Field(ge=0)
    key: str = Field(default="", max_length=80)


class Draw(Request):
    """Something drawn on a frame for an object."""

    frame: FrameNumber
    object: Number
    kind: Literal["scribble", "click", "box", "brush", "eraser", "polygon"]
    points: Points
    positive: bool = True
    radius: float = Field(default=3.0, gt=0, le=2000, allow_inf_nan=False)


class FrameAct(Request):
    """Something done to a frame as a whole, or to one object on it."""

    frame: FrameNumber
    kind: Literal["copy", "clear", "review", "unreview", "specks", "propose"]
    object: Number | None = None
    source: FrameNumber | None = None


class ObjectAct(Request):
    """Something done to the list of objects."""

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
    """Carry objects from ``frame`` to ``to``; without ``to``, put right the carried frames around a correction.

    ``objects`` are all that are on the frame, or in a correction those that were changed on it, where none are given.
    """

    frame: FrameNumber
    to: FrameNumber | None = None
    objects: list[Number] | None = Field(default=None, max_length=255)


class TaskAct(_Strict):
    """Pause, resume or stop what runs."""

    act: Literal["pause", "resume", "stop"]


class Choose(_Strict):
    """Choose an engine."""

    engine: str = Field(max_length=20)


def checked(model: type[Body], given: Any) -> Body:
    """Return ``given`` as ``model``; InputError names the first field that is not allowed."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InputError(first_problem(error)) from error


def interaction(stored: dict[str, Any]) -> Interaction:
    """Return what was drawn from how the log keeps it."""
    return Interaction(
        Kind(stored["kind"]), np.array(stored["points"], float), bool(stored["positive"]), float(stored["radius"])
    )
