"""What ``--augment`` stands for."""

from pathlib import Path

from pydantic import ValidationError

from backend.dataset.augment import LIGHT, AugmentSettings
from backend.project.errors import InputError
from backend.project.settings import first_problem

NONE, DEFAULT = "none", "light"


def augmentation(name: str) -> AugmentSettings | None:
    """Return the settings that ``--augment`` names: "none", "light" or a JSON file with `AugmentSettings`.

    Raises
    ------
    InputError
        If it is none of these, or the file's content is not allowed.
    """
    if name in (NONE, DEFAULT):
        return LIGHT if name == DEFAULT else None
    if not name.endswith(".json"):
        raise InputError(f"--augment {name!r}: allowed are {NONE}, {DEFAULT} or a .json file with strengths")
    try:
        return AugmentSettings.model_validate_json(Path(name).read_bytes())
    except OSError as error:
        raise InputError(f"--augment {name}: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(f"--augment {name}: {first_problem(error)}") from error
