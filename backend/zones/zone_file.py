"""The zone file, ``zones/CAMERA.json``: its format, its checks, and its kept versions.

Coordinates are px of the original frame, x right, y down, from 0 to width and height.
"""

import hashlib
import re
from codecs import BOM_UTF8
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
from backend.zones.shapes import check_shape, overlap_share, repair_shape

FORMAT = 1
MAX_ZONES, MAX_VERTICES = 64, 500
MIN_OVERLAP = 0.005  # share of the smaller zone
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
    """One zone. For reference point mask, a bird is in from ``in_share`` of its mask on and out below ``out_share``."""

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
            raise ValueError(f"{self.name!r} is reserved ({', '.join(RESERVED)}); choose another name")
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
        """Indices into ``zones`` by group of two or more. A group with the name of a zone is ``NAME (group)``."""
        by_group: dict[str, list[int]] = {}
        for index, zone in enumerate(self.zones):
            if zone.group:
                by_group.setdefault(zone.group, []).append(index)
        taken = {zone.name for zone in self.zones} | set(RESERVED)
        several = {name: members for name, members in by_group.items() if len(members) > 1}
        return {f"{name} (group)" if name in taken else name: members for name, members in several.items()}

    def entries_of(self, index: int) -> list[int]:
        """Return the indices of the entry zones of a hidden zone: those of its group."""
        group = self.zones[index].group
        return [k for k, zone in enumerate(self.zones) if zone.kind is ZoneKind.ENTRY and group and zone.group == group]


def _plain(data: str | bytes) -> str | bytes:
    """Return JSON without the byte order mark that Windows' Notepad writes."""
    return data.removeprefix("\ufeff") if isinstance(data, str) else data.removeprefix(BOM_UTF8)


def parse_zones(data: bytes | str | dict, where: str = "zones") -> Zones:
    """Check a file's content; InputError with the key and the value if it is not allowed."""
    try:
        return Zones.model_validate(data) if isinstance(data, dict) else Zones.model_validate_json(_plain(data))
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error)}") from error


def check_zones(zones: Zones, repair: bool = False) -> Zones:
    """Return the zones, checked. A polygon that crosses itself is refused, or repaired with ``repair``.

    Raises
    ------
    InputError
        With the name of the zone that crosses itself, has no area or lies outside the frame, or of a hidden zone
        without an entry zone in its group.
    """
    checked = []
    for zone in zones.zones:
        shape = repair_shape(zone.shape) if repair else zone.shape
        check_shape(zone.name, shape, zones.image_size)
        checked.append(zone if shape == zone.shape else zone.model_copy(update={"shape": shape}))
    for index, zone in enumerate(zones.zones):
        if zone.kind is ZoneKind.HIDDEN and not zones.entries_of(index):
            raise InputError(
                f"hidden zone {zone.name!r} needs an entry zone in front of it: draw one and give both the same group"
            )
    return zones.model_copy(update={"zones": tuple(checked)})


def overlapping_pairs(zones: Zones) -> list[tuple[str, str, float]]:
    """Return pairs of zone names that overlap, with the shared part of the smaller zone (0 to 1), largest first."""
    pairs = []
    for a, b in combinations(zones.zones, 2):
        share = overlap_share(a.shape, b.shape)
        if share >= MIN_OVERLAP:
            pairs.append((a.name, b.name, share))
    return sorted(pairs, key=lambda pair: -pair[2])


def zones_folder(project: Project) -> Path:
    """Return the folder of the zone files."""
    return project.root / "zones"


def zones_path(project: Project, camera: str) -> Path:
    """Return the zone file of a camera, whose name may be any text.

    A name that is not allowed in a file name is told from similar ones by a hash. Zones that were saved under the
    plain name stay there until they are saved again; see `path_to_save`.
    """
    plain, own = _plain_and_own(project, camera)
    return plain if plain.exists() and not own.exists() else own


def own_zones_path(project: Project, camera: str) -> Path:
    """Return the file that belongs to a camera alone, also where it reads one under the plain name still."""
    return _plain_and_own(project, camera)[1]


def path_to_save(project: Project, camera: str) -> Path:
    """Return the camera's own file; a file under the plain name is copied there first, with its versions."""
    plain, own = _plain_and_own(project, camera)
    if plain.exists() and not own.exists():
        copy_zones(plain, own)
    return own


def copy_zones(path: Path, target: Path) -> None:
    """Copy a zone file with its kept versions. ``target`` must not exist."""
    for version in list_versions(path):
        atomic_write(_kept(target, version), _kept(path, version).read_bytes())
    atomic_write(target, path.read_bytes())


def _plain_and_own(project: Project, camera: str) -> tuple[Path, Path]:
    name = slug(camera)
    own = name if name == camera else f"{name}-{hashlib.sha256(camera.encode()).hexdigest()[:8]}"
    return zones_folder(project) / f"{name}.json", zones_folder(project) / f"{own}.json"


def read_zones(path: Path) -> Zones:
    """Read and check a zone file; InputError if it is missing or not valid."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; draw zones on the Zones page") from error
    return check_zones(parse_zones(data, str(path)))


def save_zones(path: Path, zones: Zones, based_on: int, repair: bool = False) -> Zones:
    """Save a new version, also under ``history/``, and return it. Unchanged zones are not saved again.

    Raises
    ------
    InputError
        If the zones are not valid, or the saved version is not ``based_on`` (somebody else saved meanwhile).
    """
    checked = check_zones(zones, repair)
    with output_lock(path.parent / "history"):
        present = read_zones(path) if path.exists() else None
        if (present.version if present else 0) != based_on:
            raise InputError(
                f"{path.name} was changed by somebody else (version {present.version if present else 0}, yours "
                f"is based on {based_on}); load it again"
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


def list_versions(path: Path) -> list[int]:
    """Return the kept versions of a camera's zones, newest first."""
    pattern = re.compile(rf"{re.escape(path.stem)}\.(\d+)\.json\Z")
    matches = (pattern.match(file.name) for file in (path.parent / "history").glob(f"{path.stem}.*.json"))
    return sorted((int(match[1]) for match in matches if match), reverse=True)


def read_version(path: Path, version: int) -> Zones:
    """Return a kept version."""
    return read_zones(_kept(path, version))


def next_id(zones: Iterable[Zone]) -> int:
    """Return an id that no zone has."""
    return max((zone.id for zone in zones), default=0) + 1


def merge_zones(zones: Zones, others: Sequence[Zone]) -> Zones:
    """Return the zones with others added: new ids, and a number after names that are taken."""
    result = list(zones.zones)
    for other in others:
        names = {zone.name for zone in result}
        name = other.name
        for number in range(2, MAX_ZONES + 2):
            if name not in names:
                break
            name = f"{other.name} {number}"
        result.append(other.model_copy(update={"id": next_id(result), "name": name}))
    return parse_zones(zones.model_copy(update={"zones": tuple(result)}).model_dump(mode="json"))


def _kept(path: Path, version: int) -> Path:
    return path.parent / "history" / f"{path.stem}.{version}.json"


def _content(zones: Zones) -> dict:
    return zones.model_dump(mode="json", exclude={"version", "saved", "format"})
