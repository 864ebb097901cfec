"""The model that is used when none was chosen: weights trained on COCO, restricted to the class bird."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from backend.project.errors import InputError

BIRD = "bird"


def general_model(project_folder: Path) -> Path:
    """Return the first weights file in the project's ``weights/`` whose network knows birds.

    Raises
    ------
    InputError
        If there is none, with how to get one.
    """
    folder = project_folder / "weights"
    for path, classes in detector_weights(folder).items():
        if BIRD in classes:
            return path
    raise InputError(
        f"no model was chosen, and {folder} holds no weights that know the class {BIRD}; choose --model-dir, "
        "or take over downloaded ones with: python -m backend.models convert"
    )


def detector_weights(folder: Path) -> dict[Path, list[str]]:
    """Return the weights files in ``folder`` that hold a whole network, each with its class names."""
    found = {path: _classes(path) for path in sorted(folder.glob("*.safetensors"))}
    return {path: classes for path, classes in found.items() if classes}


def _classes(path: Path) -> list[str]:
    """Return the class names in the header of a weights file; none for a backbone or a file of another kind."""
    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {}).get("lektrack_detector", "null"))
        return [] if header is None or header["backbone_only"] else header["settings"]["class_names"]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return []
