"""Files beside the masks of a video: ``objects.json`` (objects), ``frames.json`` (origin of each mask).

``objects.json``::

    [{"id": 1, "name": "bird 01", "class": "ruff", "colour": "#e69f00"}, ...]

``frames.json``, frame numbers as text::

    {"format": 1, "frames": {"12": "hand-made", "13": "propagated", "14": "reviewed"}}
"""

from codecs import BOM_UTF8
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, field_validator, model_validator

from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.project.settings import first_problem

OBJECTS, FRAMES = "objects.json", "frames.json"
Content = TypeVar("Content", bound=BaseModel)
Text = Annotated[str, Field(min_length=1, max_length=200)]


class LabelledObject(BaseModel):
    """One object of a video. ``id`` is its pixel value, ``colour`` is for drawing only."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True)

    id: int = Field(ge=1, le=255)
    name: Text
    class_name: Text = Field(alias="class")
    colour: str = Field(default="", pattern=r"^(#[0-9a-fA-F]{6})?$")

    @field_validator("class_name")
    @classmethod
    def _trimmed(cls, value: str) -> str:
        if value != value.strip():
            raise ValueError(f"{value!r} begins or ends with a blank")
        return value


class ObjectList(RootModel[list[LabelledObject]]):
    """The content of ``objects.json``: at most 255 objects, each id once."""

    @model_validator(mode="after")
    def _each_once(self) -> "ObjectList":
        ids = [entry.id for entry in self.root]
        twice = sorted({number for number in ids if ids.count(number) > 1})
        if twice:
            raise ValueError(f"object id {twice[0]} is there more than once")
        return self


class MaskOrigin(StrEnum):
    """How the mask of a frame came about. A reviewed one was propagated, then seen and accepted by a person."""

    HAND_MADE = "hand-made"
    PROPAGATED = "propagated"
    REVIEWED = "reviewed"

    @property
    def seen_by_a_person(self) -> bool:
        """Whether a person vouches for the mask."""
        return self is not MaskOrigin.PROPAGATED


class FrameList(BaseModel):
    """The content of ``frames.json``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = Field(default=1, ge=1, le=1)
    frames: dict[Annotated[int, Field(ge=0)], MaskOrigin] = {}


def read_objects(folder: Path) -> list[LabelledObject] | None:
    """Return the objects of a mask folder, ordered by id; None where it has no ``objects.json``.

    Raises
    ------
    InputError
        If the file is there and cannot be used.
    """
    found = _read(folder / OBJECTS, ObjectList)
    return None if found is None else sorted(found.root, key=lambda entry: entry.id)


def write_objects(folder: Path, objects: list[LabelledObject]) -> None:
    """Replace ``objects.json`` in one step."""
    text = ObjectList(objects).model_dump_json(indent=1, by_alias=True)
    atomic_write(folder / OBJECTS, text + "\n")


def read_frames(folder: Path) -> dict[int, MaskOrigin] | None:
    """Return how each frame's mask came about; None where there is no ``frames.json``. InputError if it is unusable."""
    found = _read(folder / FRAMES, FrameList)
    return None if found is None else found.frames


def write_frames(folder: Path, frames: dict[int, MaskOrigin]) -> None:
    """Replace ``frames.json`` in one step."""
    atomic_write(folder / FRAMES, FrameList(frames=dict(sorted(frames.items()))).model_dump_json(indent=1) + "\n")


def _read(path: Path, model: type[Content]) -> Content | None:
    try:
        return model.model_validate_json(path.read_bytes().removeprefix(BOM_UTF8))  # Windows' Notepad writes one
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(f"{path} cannot be used: {first_problem(error)}") from error
