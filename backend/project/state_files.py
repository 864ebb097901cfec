"""Small state files: read with a version check; a broken one is set aside, never overwritten."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from backend.project.atomic import move_aside
from backend.project.errors import InputError

State = TypeVar("State")
log = logging.getLogger(__name__)


def read_state(path: Path, parse: Callable[[bytes], State], default: Callable[[], State]) -> State:
    """Parse ``path``; a missing file gives ``default()``; a broken one is set aside and gives ``default()``.

    ``parse`` says "broken" by raising ValueError (pydantic, json and tomllib all do). The broken file keeps its
    content under ``NAME.corrupt-YYYYMMDD-HHMMSS``, a warning is logged, and `set_aside` lists it for the pages.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return default()
    try:
        return parse(data)
    except InputError:
        raise  # the file is sound, one of its values is not: say so rather than hide it
    except ValueError as error:
        aside = move_aside(path, "corrupt")
        log.warning("%s could not be read (%s); it was moved to %s", path, " ".join(str(error).split()), aside.name)
        return default()


def set_aside(folder: Path) -> list[Path]:
    """Return the broken state files in ``folder`` that wait for a person to look at them, oldest first."""
    return sorted(folder.glob("*.corrupt-*")) if folder.is_dir() else []
