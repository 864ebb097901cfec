"""The file of zones, ``zones/CAMERA.json``: what it may hold, how it is checked, and its kept versions.

Coordinates are px of the original frame, x right, y down, from 0 to width and height.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import now
from backend.project.paths import Project, slug
from backend.project.settings import first_problem
from backend.zones.scale import Scale
from backend.zones.shapes import overlap_px2, refuse_bad_shape, repaired

FORMAT = 1
MAX_ZONES, MAX_VERTICES = 64, 500
LEAST_OVERLAP = 0.005  # share of the smaller zone
OUTSIDE, LOST, ANY = "outside", "lost", "any zone"
RESERVED = (OUTSIDE, LOST, ANY)
Coordinate = Annotated[float, Field(ge=-(2**20), le=2**20, allow_inf_nan=False)]
Word = Annotated[str, Field(max_length=80)]


class ZoneKind(StrEnum):
    """What a zone is; see docs/user-guide.md."""

    OPEN = "open"
    HIDDEN = "hidden"  # birds in it are not seen, such as a nest box
    ENTRY = "entry"  # in front of the hidden zone of the same group
    BORDER = "border"  # where birds come and go


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Zone(_Plain):
    """One zone. With membership by share of the mask a bird is in from ``in_share`` on and out below ``out_share``."""

    id: int = Field(ge=1)
    name: Word = Field(min_length=1)
    kind: ZoneKind = ZoneKind.OPEN
    group: Word = ""
    colour: str = Field(default="", pattern=r"^(#[0-9a-f]{6})?$")
    shape: tuple[tuple[Coordinate, Coordinate], ...] = Field(min_length=3, max_length=MAX_VERTICES)
    in_share: float = Field(default=0.7, gt=0, le=1)
    out_share: float = Field(default=0.5, gt=0, le=1)
    min_stay_s: float = Field(default=0.5, ge=0, le=3600)

    @model_validator(mode="after")
    def _allowed(self) -> "Zone":
        if self.out_share > self.in_share:
            raise ValueError(f"out_share {self.out_share} is above in_share {self.in_share}")
        if self.name.lower() in RESERVED:
            raise ValueError(f"{self.name!r} has a meaning of its own; choose another name")
        return self

    @property
    def polygon(self) -> np.ndarray:
        """(V, 2) float64, px."""
        return np.array(self.shape, float)


class Zones(_Plain):
    """The content of ``zones/CAMERA.json``. ``version`` grows by one with each change that is saved."""

    format: Literal[1] = FORMAT
    version: int = Field(default=0, ge=0)
    image_size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]  # width, height
    scale: Scale | None = Field(default=None, discriminator="kind")
    zones: tuple[Zone, ...] = Field(default=(), max_length=MAX_ZONES)
    saved: datetime | None = None

    @model_validator(mode="after")
    def _names_differ(self) -> "Zones":
        for what in ("id", "name"):
            values = [getattr(zone, what) for zone in self.zones]
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"two zones have the {what} {twice!r}")
        return self

    @property
    def unit(self) -> str:
        """``m`` where there is a scale, else ``px``."""
        return "m" if self.scale else "px"

    @property
    def groups(self) -> dict[str, list[int]]:
        """Places in ``zones`` by group, for groups of two and more. A group named like a zone is ``NAME (group)``."""
        found: dict[str, list[int]] = {}
        for place, zone in enumerate(self.zones):
            if zone.group:
                found.setdefault(zone.group, []).append(place)
        taken = {zone.name for zone in self.zones} | set(RESERVED)
        several = {name: places for name, places in found.items() if len(places) > 1}
        return {f"{name} (group)" if name in taken else name: places for name, places in several.items()}

    def entries_of(self, place: int) -> list[int]:
        """Return the places of the entry zones of a hidden zone: those of its group."""
        group = self.zones[place].group
        return [k for k, zone in enumerate(self.zones) if zone.kind is ZoneKind.ENTRY and group and zone.group == group]


def parse_zones(data: bytes | str | dict, where: str = "zones") -> Zones:
    """Check a file's content; InputError with the key and the value if it is not allowed."""
    try:
        return Zones.model_validate(data) if isinstance(data, dict) else Zones.model_validate_json(data)
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error)}") from error


def check_zones(zones: Zones, repair: bool = False) -> Zones:
    """Return zones that can be counted in.

    A polygon that crosses itself is refused, or with ``repair`` made into the outline of what it encloses.

    Raises
    ------
    InputError
        With the name of the zone that crosses itself, has no area or lies outside the frame, or of a hidden zone
        without an entry zone in its group.
    """
    checked = []
    for zone in zones.zones:
        shape = repaired(zone.shape) if repair else zone.shape
        refuse_bad_shape(zone.name, shape, zones.image_size)
        checked.append(zone if shape == zone.shape else zone.model_copy(update={"shape": shape}))
    for place, zone in enumerate(zones.zones):
        if zone.kind is ZoneKind.HIDDEN and not zones.entries_of(place):
            raise InputError(
                f"hidden zone {zone.name!r} needs an entry zone in front of it: draw one and give both the same group"
            )
    return zones.model_copy(update={"zones": tuple(checked)})


def overlaps(zones: Zones) -> list[tuple[str, str, float]]:
    """Return the pairs of zones that overlap, with the share of the smaller one, largest first."""
    found = []
    for a, b in combinations(zones.zones, 2):
        share = overlap_px2(a.shape, b.shape)
        if share >= LEAST_OVERLAP:
            found.append((a.name, b.name, share))
    return sorted(found, key=lambda each: -each[2])


def zones_folder(project: Project) -> Path:
    """Return where the zones of all cameras are."""
    return project.root / "zones"


def zones_path(project: Project, camera: str) -> Path:
    """Return the file of a camera; a camera's name may be any text.

    A name that a file cannot have keeps apart from similar ones by a hash. Zones that were saved under the plain name
    are found there until they are saved anew; see `path_to_save`.
    """
    plain, own = _plain_and_own(project, camera)
    return plain if plain.exists() and not own.exists() else own


def path_to_save(project: Project, camera: str) -> Path:
    """Return the camera's own file; what it has under the plain name is copied there first, with its versions."""
    plain, own = _plain_and_own(project, camera)
    if plain.exists() and not own.exists():
        for version in versions_of(plain):
            atomic_write(_kept(own, version), _kept(plain, version).read_bytes())
        atomic_write(own, plain.read_bytes())
    return own


def _plain_and_own(project: Project, camera: str) -> tuple[Path, Path]:
    name = slug(camera)
    own = name if name == camera else f"{name}-{hashlib.sha256(camera.encode()).hexdigest()[:8]}"
    return zones_folder(project) / f"{name}.json", zones_folder(project) / f"{own}.json"


def read_zones(path: Path) -> Zones:
    """Read and check a file of zones; InputError if it is not there or cannot be used."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; draw zones on the Zones page") from error
    return check_zones(parse_zones(data, str(path)))


def save_zones(path: Path, zones: Zones, based_on: int, repair: bool = False) -> Zones:
    """Save a new version, keep it under ``history/``, and return it. What did not change is not saved again.

    Raises
    ------
    InputError
        If the zones are not sound, or somebody saved a newer version than ``based_on`` meanwhile.
    """
    checked = check_zones(zones, repair)
    with output_lock(path.parent / "history"):
        present = read_zones(path) if path.exists() else None
        if (present.version if present else 0) != based_on:
            raise InputError(
                f"{path.name} was changed by somebody else (version {present.version if present else 0}, yours came "
                f"from {based_on}); load it again"
            )
        if present and not (present.version and _kept(path, present.version).exists()):
            atomic_write(_kept(path, present.version), path.read_bytes())
        if present and _content(present) == _content(checked):
            return present
        saved = checked.model_copy(update={"version": based_on + 1, "saved": now(), "format": FORMAT})
        text = saved.model_dump_json(indent=1, exclude_none=True) + "\n"
        atomic_write(_kept(path, saved.version), text)
        atomic_write(path, text)
    return saved


def versions_of(path: Path) -> list[int]:
    """Return the kept versions of a camera's zones, newest first."""
    pattern = re.compile(rf"{re.escape(path.stem)}\.(\d+)\.json\Z")
    found = (pattern.match(each.name) for each in (path.parent / "history").glob(f"{path.stem}.*.json"))
    return sorted((int(match[1]) for match in found if match), reverse=True)


def read_version(path: Path, version: int) -> Zones:
    """Return a kept version."""
    return read_zones(_kept(path, version))


def next_id(zones: Iterable[Zone]) -> int:
    """Return an id that no zone has."""
    return max((zone.id for zone in zones), default=0) + 1


def merged(zones: Zones, others: Sequence[Zone]) -> Zones:
    """Return the zones with others added: new ids, and a number after names that are taken."""
    found = list(zones.zones)
    for other in others:
        names = {zone.name for zone in found}
        name = other.name
        for number in range(2, MAX_ZONES + 2):
            if name not in names:
                break
            name = f"{other.name} {number}"
        found.append(other.model_copy(update={"id": next_id(found), "name": name}))
    return parse_zones(zones.model_copy(update={"zones": tuple(found)}).model_dump(mode="json"))


def _kept(path: Path, version: int) -> Path:
    return path.parent / "history" / f"{path.stem}.{version}.json"


def _content(zones: Zones) -> dict:
    return zones.model_dump(mode="json", exclude={"version", "saved", "format"})
