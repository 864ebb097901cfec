"""The settings of an installation: one checked TOML file in the state folder."""

import ipaddress
import os
import re
import tomllib
import zoneinfo
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.project.ports import APP_PORT, SERVICE_PORTS, Port
from backend.project.state_files import read_state

REPOSITORY = Path(__file__).resolve().parents[2]
FORMAT = 1


def _address(value: str) -> str:
    ipaddress.ip_address(value)
    return value


def _time_zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is not a time zone; use a name such as Europe/Budapest") from error
    return value


Address = Annotated[str, AfterValidator(_address)]  # of IPv4 or IPv6
TimeZone = Annotated[str, AfterValidator(_time_zone)]  # such as Europe/Budapest
ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")


def state_folder() -> Path:
    """Return ``$LEKTRACK_STATE`` or ``.lektrack/`` beside setup.sh, made with mode 0700 when it is new."""
    folder = Path(os.environ.get("LEKTRACK_STATE") or REPOSITORY / ".lektrack").resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


class Notify(BaseModel):
    """Who is told when the night's work is over, and how. Nobody by default; passwords are kept elsewhere.

    ``after_min`` is how long jobs must have worked in all since the last report for another one to be worth it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)  # a default has its field's type

    after_min: float = Field(default=30, ge=0, le=100_000)
    email_to: tuple[str, ...] = ()
    email_from: str = "lektrack@localhost"
    smtp_host: str = "localhost"
    smtp_port: Port = 25
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    smtp_user: str = ""
    webhook_url: str = ""

    @field_validator("email_to")
    @classmethod
    def _addresses(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not ADDRESS.fullmatch(value):
                raise ValueError(f"{value!r} is not an e-mail address, such as anna@example.org")
        return values

    @field_validator("email_from")
    @classmethod
    def _from(cls, value: str) -> str:
        return cls._addresses((value,))[0]

    @field_validator("webhook_url")
    @classmethod
    def _url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError(f"{value!r} must be an address such as https://chat.example.org/hooks/abc")
        return value


class Settings(BaseModel):
    """What the admin can set. Frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)  # a default has its field's type

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    project_folder: Path = REPOSITORY / "data"
    allowed_roots: tuple[Path, ...] = ()
    bind_address: Address = "127.0.0.1"
    app_port: Port = APP_PORT
    port_range: tuple[Port, Port] = SERVICE_PORTS
    public_address: str = ""
    path_prefix: str = ""
    cpu_slots: int = Field(default=1, ge=1, le=1024)
    gpus: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    time_zone: TimeZone = "UTC"
    notify: Notify = Notify()

    @property
    def roots(self) -> tuple[Path, ...]:
        """Folders that pages may show and jobs may read: the project folder and the allowed roots."""
        return (self.project_folder, *self.allowed_roots)

    @field_validator("project_folder")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError(f"{path} must be an absolute path, such as /srv/lektrack")
        return path

    @field_validator("allowed_roots")
    @classmethod
    def _folders(cls, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        for path in paths:
            cls._absolute(path)
        return paths

    @field_validator("public_address")
    @classmethod
    def _public(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/")):
            raise ValueError(
                f"{value!r} must be scheme and host, such as https://lek.example.org (the path goes below)"
            )
        return value.rstrip("/")

    @field_validator("path_prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        value = value.strip("/")
        if value and not re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", value):
            raise ValueError(f"{value!r} must be plain path segments, such as lektrack or labs/lektrack")
        return f"/{value}" if value else ""

    @model_validator(mode="after")
    def _ports(self) -> "Settings":
        first, last = self.port_range
        if first > last:
            raise ValueError(f"port_range {first} to {last} is empty; the first port must not be above the last")
        if first <= self.app_port <= last:
            raise ValueError(f"app_port {self.app_port} lies inside port_range {first} to {last}; keep it outside")
        return self


def load_settings(state: Path | None = None) -> Settings:
    """Read ``settings.toml``; defaults where it is absent.

    A file that is no TOML is set aside with a warning (see `read_state`); a value that is not allowed raises
    InputError with the key, the value and what is allowed.
    """
    return read_state((state or state_folder()) / "settings.toml", _parse, Settings)


def save_settings(settings: Settings, state: Path | None = None) -> None:
    """Write ``settings.toml`` in one step. Defaults are written too: the file explains itself."""
    table = settings.model_dump(mode="json", exclude_none=True)
    atomic_write((state or state_folder()) / "settings.toml", tomli_w.dumps(table))


def check_beside(project: Path, state: Path) -> None:
    """Refuse a project folder and a state folder of which one holds the other: who may read the one would read both."""
    project, state = project.resolve(), state.resolve()
    if project == state or project in state.parents or state in project.parents:
        raise InputError(f"project folder {project} and state folder {state} must lie beside each other")


def first_problem(error: ValidationError) -> str:
    """Return one line for a pydantic error: key, what is wrong, and the value that was given."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    given = "" if problem["type"] in ("missing", "value_error") else f" (given: {problem['input']!r:.100})"
    return f"{key}: {message}{given}" if key else f"{message}{given}"


def _parse(data: bytes) -> Settings:
    table = tomllib.loads(data.decode())
    try:
        return Settings(**table)
    except ValidationError as error:
        raise InputError(f"settings.toml: {first_problem(error)}") from error
