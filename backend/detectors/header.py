"""What a weights file says of itself in its header. Reading it needs no torch and no weights."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from backend.detectors.detector_settings import DetectorSettings
from backend.project.errors import InputError
from backend.project.settings import first_problem

HEADER_KEY = "lektrack_detector"


class WeightsHeader(NamedTuple):
    """The detector the weights belong to; ``backbone_only`` tells those of a classifier from those of a detector."""

    settings: DetectorSettings
    backbone_only: bool

    def text(self) -> dict[str, str]:
        """Return it as safetensors stores it."""
        value = {"backbone_only": self.backbone_only, "settings": self.settings.model_dump(mode="json")}
        return {HEADER_KEY: json.dumps(value)}


def read_header(path: Path) -> WeightsHeader:
    """Return the header of a weights file; InputError where it is none of ours."""
    header = find_header(path)
    if header is None:
        raise InputError(
            f"weights {path} do not say what they are; convert them: .venv/bin/python -m backend.admin weights add"
        )
    try:
        return WeightsHeader(DetectorSettings.model_validate(header["settings"]), bool(header["backbone_only"]))
    except ValidationError as error:
        raise InputError(f"weights {path}: {first_problem(error)}") from error


def find_header(path: Path) -> dict[str, Any] | None:
    """Return our part of a safetensors file's header as it stands; None where others wrote the file."""
    try:
        with safe_open(path, framework="np") as file:
            return json.loads((file.metadata() or {}).get(HEADER_KEY, "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"weights {path} cannot be read: {error}") from error


def list_weights(folder: Path) -> dict[Path, WeightsHeader]:
    """Return the weights files of ours in ``folder``, by name; files of another kind are passed over."""
    headers: dict[Path, WeightsHeader] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            headers[path] = read_header(path)
        except InputError:
            continue
    return headers
