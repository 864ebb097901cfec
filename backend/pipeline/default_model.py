"""The default model: weights trained on COCO, restricted to the class bird."""

from pathlib import Path

from backend.detectors.header import list_weights
from backend.project.errors import InputError

BIRD = "bird"


def default_model(project_folder: Path) -> Path:
    """Return the first weights file in the project's ``weights/`` whose network has the class bird.

    Raises
    ------
    InputError
        If there is none; the message says how to get one.
    """
    folder = project_folder / "weights"
    for path, classes in detector_weights(folder).items():
        if BIRD in classes:
            return path
    raise InputError(
        f"no model was chosen, and {folder} has no weights with the class {BIRD}; choose --model-dir, "
        "or get some: .venv/bin/python -m backend.admin weights fetch coco_resnet50 (needs a network), "
        "or .venv/bin/python -m backend.admin weights add FILE for a downloaded file"
    )


def detector_weights(folder: Path) -> dict[Path, tuple[str, ...]]:
    """Return the weights files in ``folder`` that hold a whole network, each with its class names."""
    found = list_weights(folder).items()
    return {path: header.settings.class_names for path, header in found if not header.backbone_only}
