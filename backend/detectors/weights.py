"""Weights as files that cannot run code (safetensors), and start weights for other classes than they were trained on.

A weights file carries its `DetectorSettings` in its header, so that the one file is enough to build the detector again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file, save
from torch import Tensor

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.header import WeightsHeader, read_header
from backend.detectors.interface import ClassRows, Detector
from backend.project.atomic import atomic_write
from backend.project.errors import InputError

Weights = dict[str, Tensor]


class WeightsFile(NamedTuple):
    """The content of a weights file. ``backbone_only`` tells weights of a classifier from those of a whole detector."""

    weights: Weights
    settings: DetectorSettings
    backbone_only: bool


class Started(NamedTuple):
    """What became of start weights: how many parameters were taken, which classes, and which parameters stay random."""

    taken: int
    classes: tuple[str, ...]
    random: tuple[str, ...]


def write_weights(
    path: Path, weights: Mapping[str, Tensor], settings: DetectorSettings, backbone_only: bool = False
) -> None:
    """Write ``weights`` with ``settings`` in the header, in one step."""
    plain = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    atomic_write(path, save(plain, WeightsHeader(settings, backbone_only).text()))


def read_weights(path: Path) -> WeightsFile:
    """Read a file of `write_weights`; InputError where it is none."""
    header = read_header(path)
    return WeightsFile(load_file(path), *header)


def start_from(detector: Detector, file: WeightsFile) -> Started:
    """Put start weights into a freshly built ``detector``.

    Everything that does not depend on classes is taken over. Classes that both sides know by the same name keep their
    rows, so that weights of many classes can be cut down to one ("bird"); other classes stay random.

    Raises
    ------
    InputError
        If the weights belong to another engine or backbone.
    """
    own = detector.settings
    if (file.settings.engine, file.settings.backbone) != (own.engine, own.backbone):
        raise InputError(
            f"start weights are of {file.settings.engine} {file.settings.backbone}, "
            f"the model to train is {own.engine} {own.backbone}; choose the same"
        )
    shared = tuple(name for name in own.class_names if name in file.settings.class_names and not file.backbone_only)
    fresh = detector.network.state_dict()
    weights = dict(file.weights)
    try:
        for name in [name for name in weights if name in fresh]:
            rows = next((rows for start, rows in detector.class_rows.items() if name.startswith(start)), None)
            if rows is not None:
                names = (own.class_names, file.settings.class_names)
                weights[name] = _class_rows(fresh[name], weights[name], rows, *names)
        result = detector.network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise InputError(f"start weights do not fit {own.engine} {own.backbone}: {error}") from error
    random = tuple(name for name in result.missing_keys if not name.endswith("num_batches_tracked"))
    backbone = sum(name in weights for name in fresh if name.startswith("backbone."))
    if not backbone:
        raise InputError(f"start weights hold no backbone of {own.engine} {own.backbone}")
    return Started(len(fresh) - len(random), shared, random)


def load_exactly(detector: Detector, weights: Weights, origin: str) -> None:
    """Put all weights of a saved model into ``detector``; InputError if a single one is missing, odd or too many."""
    try:
        detector.network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{origin} does not hold the weights of this detector: {error}") from error


def _class_rows(
    fresh: Tensor, given: Tensor, rows: ClassRows, names: tuple[str, ...], given_names: tuple[str, ...]
) -> Tensor:
    """Return ``fresh`` with the rows of the background and of the classes both sides know taken from ``given``."""
    result = fresh.clone()
    if rows.background != "none":
        to, of = (0, 0) if rows.background == "first" else (len(names), len(given_names))
        result[to * rows.per_class : (to + 1) * rows.per_class] = given[of * rows.per_class : (of + 1) * rows.per_class]
    shift = int(rows.background == "first")
    for index, name in enumerate(names):
        if name in given_names:
            to, of = index + shift, given_names.index(name) + shift
            result[to * rows.per_class : (to + 1) * rows.per_class] = given[
                of * rows.per_class : (of + 1) * rows.per_class
            ]
    return result
