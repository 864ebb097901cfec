"""Which engines there are, which can be used here, and why the others cannot. Imports neither torch nor an engine."""

import importlib
import importlib.util
import warnings
from dataclasses import dataclass
from functools import cache

from backend.project.errors import InputError


@dataclass(frozen=True)
class Backbone:
    """A network an engine can build; ``channels`` is the width of its pyramid and mask head where weights are new."""

    name: str
    title: str
    channels: int = 256


@dataclass(frozen=True)
class EngineInfo:
    """An engine as pages show it. ``reason`` says why it cannot be used; it is empty where it can.

    ``module`` holds ``build(settings) -> Detector``.
    """

    name: str
    title: str
    module: str
    backbones: tuple[Backbone, ...]
    reason: str = ""

    @property
    def available(self) -> bool:
        """Whether models of this engine can be trained and run here."""
        return not self.reason


TORCHVISION = EngineInfo(
    "torchvision",
    "torchvision",
    "backend.detectors.torchvision_engine",
    (
        Backbone("resnet50", "Mask R-CNN ResNet-50 FPN"),
        Backbone("resnet50_v2", "Mask R-CNN ResNet-50 FPN version 2 (better, slower)"),
        Backbone("resnet34", "Mask R-CNN ResNet-34 FPN"),
        Backbone("resnet18", "Mask R-CNN ResNet-18 FPN (small machines)", 128),
        Backbone("mobilenet_v3_large", "Mask R-CNN MobileNet v3 FPN (smallest)", 64),
    ),
)
DETECTRON2 = EngineInfo(
    "detectron2",
    "Detectron2",
    "backend.detectors.detectron2_engine",
    (
        Backbone("mask_rcnn_R_50_FPN_3x", "Mask R-CNN ResNet-50 FPN, model zoo"),
        Backbone("mask_rcnn_R_101_FPN_3x", "Mask R-CNN ResNet-101 FPN, model zoo"),
    ),
)


SETUP = "bash setup.sh install --detectron2 WHEEL_OR_FOLDER"


@cache
def engines() -> tuple[EngineInfo, ...]:
    """Return every engine, the default one first, with the reason where one cannot be used."""
    return TORCHVISION, _with_reason(DETECTRON2, "detectron2", "detectron2.model_zoo", SETUP)


def engine(name: str) -> EngineInfo:
    """Return the engine ``name``, which must be usable here.

    Raises
    ------
    InputError
        If there is no such engine, or with the reason why it cannot be used.
    """
    known = next((info for info in engines() if info.name == name), None)
    if known is None:
        raise InputError(f"engine {name!r} is not known; there are {', '.join(info.name for info in engines())}")
    if not known.available:
        raise InputError(f"engine {name} cannot be used: {known.reason}")
    return known


def check_backbone(info: EngineInfo, name: str) -> Backbone:
    """Return the engine's backbone ``name``; InputError if it has none of that name."""
    backbone = next((candidate for candidate in info.backbones if candidate.name == name), None)
    if backbone is None:
        names = ", ".join(candidate.name for candidate in info.backbones)
        raise InputError(f"backbone {name!r} is not one of engine {info.name}: {names}")
    return backbone


def _with_reason(info: EngineInfo, package: str, needed: str, remedy: str) -> EngineInfo:
    if importlib.util.find_spec(package) is None:
        reason = f"{package} is not installed ({remedy} installs it)"
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # old packages warn of what is old in them; nobody here can change it
                importlib.import_module(needed)
        except (ImportError, OSError, AttributeError, RuntimeError) as error:  # built for another torch, for instance
            reason = f"{package} is installed but does not import: {error}"
        else:
            return info
    return EngineInfo(info.name, info.title, info.module, info.backbones, " ".join(reason.split()))
