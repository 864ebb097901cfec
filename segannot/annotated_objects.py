"""The annotated objects of a video: ``objects.json`` with fields for overlap, visibility and locks."""

from codecs import BOM_UTF8
from pathlib import Path

from pydantic import Field, RootModel, ValidationError, model_validator

from backend.masks.colours import as_hex, colour_of
from backend.masks.objects import OBJECTS, LabelledObject
from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.project.settings import first_problem

MAX_OBJECTS = 255


class AnnotatedObject(LabelledObject):
    """One bird. Where two overlap, the one with the higher ``order`` is in front; a locked one is not changed."""

    order: int = Field(default=0, ge=0, le=100_000)
    hidden: bool = False
    locked: bool = False


class _Objects(RootModel[list[AnnotatedObject]]):
    @model_validator(mode="after")
    def _unique_ids(self) -> "_Objects":
        ids = [entry.id for entry in self.root]
        if len(set(ids)) != len(ids):
            raise ValueError(f"object ids {sorted(ids)} are not unique")
        return self


def parse_objects(given: list[dict]) -> list[AnnotatedObject]:
    """Return objects, sorted by id, from JSON of a log or a file; InputError if it is invalid."""
    try:
        return sorted(_Objects.model_validate(given).root, key=lambda entry: entry.id)
    except ValidationError as error:
        raise InputError(f"the list of objects is invalid: {first_problem(error)}") from error


def dump_objects(objects: list[AnnotatedObject]) -> list[dict]:
    """Return objects as JSON of files."""
    return [entry.model_dump(by_alias=True) for entry in objects]


def read_annotated(folder: Path) -> list[AnnotatedObject]:
    """Return the objects of a mask folder, sorted by id; [] without ``objects.json``; InputError if it is invalid."""
    path = folder / OBJECTS
    try:
        return sorted(
            _Objects.model_validate_json(path.read_bytes().removeprefix(BOM_UTF8)).root, key=lambda entry: entry.id
        )
    except FileNotFoundError:
        return []
    except ValidationError as error:
        raise InputError(f"{path} cannot be used: {first_problem(error)}") from error


def write_annotated(folder: Path, objects: list[AnnotatedObject]) -> None:
    """Write ``objects.json`` atomically."""
    atomic_write(folder / OBJECTS, _Objects(objects).model_dump_json(indent=1, by_alias=True) + "\n")


def new_object(objects: list[AnnotatedObject], name: str = "", class_name: str = "bird") -> AnnotatedObject:
    """Return an object with the lowest free id, in front of all others; InputError if all 255 are taken."""
    taken = {entry.id for entry in objects}
    number = next((number for number in range(1, MAX_OBJECTS + 1) if number not in taken), None)
    if number is None:
        raise InputError(f"a video has at most {MAX_OBJECTS} objects; delete or merge some")
    order = max((entry.order for entry in objects), default=0) + 1
    colour = as_hex(colour_of(number))
    return AnnotatedObject(id=number, name=name or f"bird {number}", class_name=class_name, colour=colour, order=order)
