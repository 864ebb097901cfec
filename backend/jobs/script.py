"""What every script shares: options built from the settings class, one-line refusals, exit codes, an orderly stop.

A script declares its options once, as the fields of a settings class, and `ScriptParser` builds the command line:

    class ExportSettings(ScriptSettings):
        tracks: Path = Field(description="folder of a track run")                            # --tracks DIR, required
        to: tuple[Literal["csv", "mot"], ...] = Field(default=(), description="formats")     # --to csv mot
        start: Annotated[int, Option(also_called="--begin")] = Field(default=0, ge=0, description="first frame")

    settings = ScriptParser("backend.export_tracks", __doc__).settings(ExportSettings, argv)

Exit codes: 0 done, 1 failed (the last line of stderr says why), 2 bad input, 130 stopped on request.
"""

import argparse
import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import FrameType
from typing import Any, Literal, NoReturn, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from backend.project.errors import InputError
from backend.project.settings import first_problem

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 130


class ScriptSettings(BaseModel):
    """Base of a script's settings: each field is an option. Frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnySettings = TypeVar("AnySettings", bound=BaseModel)


@dataclass(frozen=True)
class Option:
    """How a settings field is written on the command line, where that is not just ``--field-name FIELD_NAME``.

    ``name`` replaces the option's name (without dashes it is a positional argument), ``also_called`` is a second name,
    ``metavar`` stands for the value in the help text. Used as ``Annotated[int, Option(also_called="--frame-start")]``.
    """

    name: str = ""
    also_called: str = ""
    metavar: str | None = None


class StopRequested(BaseException):  # noqa: N818 - like KeyboardInterrupt, not an error
    """SIGTERM or Ctrl-C arrived. Raised once, in the main thread; let it pass after dropping what is open."""


class ScriptParser(argparse.ArgumentParser):
    """An argument parser whose refusals are one line; options are never abbreviated."""

    def __init__(self, module: str, description: str | None):
        super().__init__(
            prog=f"python -m {module}",
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._field_of: dict[str, str] = {}

    def error(self, message: str) -> NoReturn:
        """Raise InputError with ``message``, which `run_script` prints."""
        raise InputError(f"{message} (--help lists what is allowed)")

    def add_options(self, model: type[BaseModel], exclude: Collection[str] = ()) -> None:
        """Add an option for each field of ``model`` that is not in ``exclude``.

        The field's description is the help text. A bool becomes a flag (``--no-NAME`` where True is the default), a
        tuple or a dict takes several values. Defaults and checks stay with the model: `parse_args` returns only what
        was given.
        """
        for field_name, field in model.model_fields.items():
            if field_name in exclude:
                continue
            option = next((note for note in field.metadata if isinstance(note, Option)), Option())
            name = option.name or _option_name(field_name, negated=field.default is True)
            how: dict[str, Any] = {"default": argparse.SUPPRESS}
            if field.annotation is bool:
                how["action"] = "store_false" if field.default is True else "store_true"
            else:
                how["metavar"] = option.metavar
                how["nargs"] = "+" if get_origin(field.annotation) in (tuple, dict) else None
                how["type"] = _converter(field.annotation)
            if not name.startswith("-"):
                self.add_argument(field_name, help=_help_text(field), metavar=name)
                continue
            self.add_argument(name, dest=field_name, required=field.is_required(), help=_help_text(field), **how)
            self._field_of[name] = field_name
            if option.also_called:
                self.add_argument(option.also_called, dest=field_name, help=f"the same as {name}", **how)
                self._field_of[option.also_called] = field_name

    def settings(self, model: type[AnySettings], argv: Sequence[str]) -> AnySettings:
        """Parse ``argv`` with the options of ``model`` and return the checked model; InputError where it is refused."""
        self.add_options(model)
        return checked(model, vars(self.parse_args(argv)), self.names_in(argv))

    def names_in(self, argv: Sequence[str]) -> dict[str, str]:
        """Return the name that ``argv`` uses for each settings field, such as ``{"from_frame": "--frame-start"}``."""
        words = (word.partition("=")[0] for word in argv)
        return {self._field_of[word]: word for word in words if word in self._field_of}


class SubParser(ScriptParser):
    """A `ScriptParser` as argparse makes them for subcommands: ``add_subparsers(parser_class=SubParser)``."""

    def __init__(self, prog: str, **options: Any):
        super().__init__(prog.removeprefix("python -m "), None)


def checked(model: type[AnySettings], given: Mapping[str, Any], names: Mapping[str, str] | None = None) -> AnySettings:
    """Return ``model(**given)``; InputError names the option of a refused value (``names``: field to option)."""
    try:
        return model(**given)
    except ValidationError as error:
        problem, where = first_problem(error), error.errors()[0]["loc"]
        field = str(where[0]) if where else ""
        if field not in given:
            raise InputError(problem) from error
        option = (names or {}).get(field) or _option_name(field)
        raise InputError(f"{option}{problem[len('.'.join(map(str, where))) :]}") from error


def _option_name(field_name: str, negated: bool = False) -> str:
    return f"--{'no-' if negated else ''}{field_name.replace('_', '-')}"


def _converter(annotation: Any) -> Callable[[str], Any]:
    """Return what turns an argument into a number where one is wanted; the model refuses what is none."""
    kinds = {annotation, *get_args(annotation)}
    number = next((kind for kind in (int, float) if kind in kinds), None)

    def convert(text: str) -> Any:
        try:
            return text if number is None else number(text)
        except ValueError:
            return text

    return convert


def _help_text(field: FieldInfo) -> str:
    """Return the description with the allowed values and the default behind it."""
    text, default = field.description or "", field.default
    choices = _choices(field.annotation)
    if choices:
        text += f": {', '.join(choices)}"
    if not (field.is_required() or isinstance(default, bool) or default in (None, "", (), {})):
        text += f" (default: {default.value if isinstance(default, Enum) else default})"
    return text.replace("%", "%%")  # argparse formats help texts


def _choices(annotation: Any) -> list[str]:
    """Return the values of a Literal or an Enum, also inside ``tuple[...]`` and ``... | None``; [] for other types."""
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    return [value for argument in get_args(annotation) for value in _choices(argument)]


def run_script(name: str, main: Callable[[list[str]], None]) -> NoReturn:
    """Run ``main(sys.argv[1:])`` and leave with the right exit code; see the module's text."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        main(sys.argv[1:])
    except InputError as error:
        _leave(name, str(error), BAD_INPUT)
    except StopRequested:
        _leave(name, "stopped on request", STOPPED, kind="")
    except MemoryError:
        _leave(name, "out of memory", FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES):
            traceback.print_exc()
        _leave(name, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", FAILED)
    except Exception as error:  # the traceback is for the log, the last line for the page
        traceback.print_exc()
        _leave(name, f"{type(error).__name__}: {error}", FAILED)
    sys.exit(DONE)


def _stop(number: int, frame: FrameType | None) -> None:
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop_signal, signal.SIG_IGN)  # once is enough; a second one must not cut the clean-up short
    raise StopRequested


def _leave(name: str, message: str, code: int, kind: str = "error: ") -> NoReturn:
    print(f"{name}: {kind}{' '.join(message.split())}", file=sys.stderr, flush=True)
    sys.exit(code)
