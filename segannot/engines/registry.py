"""The engines of a project, and why some of them cannot be used."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from backend.project.errors import InputError
from segannot.engines.base import Engine
from segannot.engines.classic import ClassicEngine
from segannot.engines.trained_model import DetectorProposals, newest_model

NAMES = ("classic", "sam2")


@dataclass(frozen=True)
class EngineFacts:
    """An engine as the page lists it; ``reason``: why it cannot be used, empty if it can."""

    name: str
    title: str
    reason: str = ""


class Engines:
    """The engines of one project; large models are loaded on first use.

    Parameters
    ----------
    project_folder
        Contains ``weights/`` and ``training/``.
    device
        "cpu" or "cuda:0".
    half_precision
        Compute in 16 bits on a GPU.
    """

    def __init__(self, project_folder: Path, device: str = "cpu", half_precision: bool = False):
        self._project, self._device, self._half = project_folder, device, half_precision
        self.classic = ClassicEngine()
        self._loaded: dict[str, Engine] = {"classic": self.classic}
        self._detector: DetectorProposals | None = None
        self.chosen: Engine = self.classic

    def facts(self) -> list[EngineFacts]:
        """Return all engines, with the reason for each that cannot be used."""
        return [
            EngineFacts("classic", "Classic (any machine)"),
            EngineFacts("sam2", "SAM 2 / EdgeTAM (GPU)", why_no_sam2(self._project)),
            EngineFacts("detector", "Detection with my model", _why_no_detector(self._project)),
        ]

    def choose(self, name: str) -> None:
        """Make ``name`` the engine for outlines and propagation; InputError if it cannot be used."""
        if name not in NAMES:
            raise InputError(f"engine {name!r} is not one of {', '.join(NAMES)}")
        if name not in self._loaded:
            if reason := why_no_sam2(self._project):
                raise InputError(f"engine {name} cannot be used: {reason}")
            from segannot.engines.sam2 import Sam2Engine

            self._loaded[name] = Sam2Engine(sam2_folder(self._project), self._device, self._half)
        self.chosen = self._loaded[name]

    @property
    def detector(self) -> DetectorProposals:
        """The trained model; InputError if there is none."""
        if self._detector is None:
            self._detector = DetectorProposals(self._project, self._device.removeprefix("cuda:"), self._half)
        return self._detector


def why_no_sam2(project_folder: Path) -> str:
    """Return why SAM 2 cannot be used with this project, empty if it can."""
    if importlib.util.find_spec("transformers") is None:
        return "not installed; an administrator can add it with: bash setup.sh install --sam2"
    try:
        sam2_folder(project_folder)
    except InputError as error:
        return str(error)
    return ""


def _why_no_detector(project_folder: Path) -> str:
    try:
        newest_model(project_folder)
    except InputError as error:
        return str(error)
    return ""


def sam2_folder(project_folder: Path) -> Path:
    """Return the first folder in ``weights/`` that holds a SAM 2 or EdgeTAM video model; InputError if none does."""
    weights = project_folder / "weights"
    for path in sorted(weights.iterdir()) if weights.is_dir() else []:
        config = path / "config.json"
        if config.is_file() and any(
            name in config.read_text(errors="replace") for name in ("sam2_video", "edgetam_video")
        ):
            return path
    raise InputError(
        "there are no weights: put a folder with a SAM 2 or EdgeTAM model into the project's weights/ folder"
    )
