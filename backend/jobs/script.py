"""What every backend script shares: one-line refusals, exit codes, and an orderly end on SIGTERM.

Exit codes: 0 done, 1 failed (the last line of stderr says why), 2 bad input, 130 stopped on request.
"""

import argparse
import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from backend.project.errors import InputError
from backend.project.settings import first_problem

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 130


class ScriptSettings(BaseModel):
    """Base of the one frozen settings object a script has; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnySettings = TypeVar("AnySettings", bound=ScriptSettings)


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

    def error(self, message: str) -> NoReturn:
        """Raise InputError with ``message``, which `run_script` prints."""
        raise InputError(f"{message} (--help lists what is allowed)")

    def also_called(self, **options: str) -> None:
        """Give options of whole numbers a second name, ``frame_start="from_frame"``: refusals name what was given."""
        for name, known in options.items():
            option = f"--{name.replace('_', '-')}"
            same = f"the same as --{known.replace('_', '-')}"
            self.add_argument(option, dest=known, type=int, default=argparse.SUPPRESS, help=same)

    def settings(self, model: type[AnySettings], argv: Sequence[str]) -> AnySettings:
        """Parse ``argv`` into ``model``, whose field names are the options' names with ``_`` for ``-``."""
        return checked(model, vars(self.parse_args(argv)))


class SubParser(ScriptParser):
    """A `ScriptParser` as argparse makes them for subcommands: ``add_subparsers(parser_class=SubParser)``."""

    def __init__(self, prog: str, **options: Any):
        super().__init__(prog.removeprefix("python -m "), None)


def checked(model: type[AnySettings], given: dict[str, Any]) -> AnySettings:
    """Return ``model(**given)``; what is not allowed becomes an InputError that names the option."""
    try:
        return model(**given)
    except ValidationError as error:
        problem = first_problem(error)
        field = problem.split(":", 1)[0]
        raise InputError(
            f"--{field.replace('_', '-')}{problem[len(field) :]}" if field in given else problem
        ) from error


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
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)  # once is enough; a second one must not cut the clean-up short
    raise StopRequested


def _leave(name: str, message: str, code: int, kind: str = "error: ") -> NoReturn:
    print(f"{name}: {kind}{' '.join(message.split())}", file=sys.stderr, flush=True)
    sys.exit(code)
