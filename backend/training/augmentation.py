"""Augmentation of training images: random changes of light and small changes of view.

To add one: write a function like `_blur`, give it a strength in `AugmentSettings` and a line in `CHANGES_OF_LIGHT`.
A strength of 0 turns a change off. What is drawn depends on the random generator alone, which the caller seeds by
seed, epoch and index of the image, so that neither the number of workers nor a resumption changes anything. Images
keep their size. Boxes are measured on the masks after a rotation, because rotated boxes are too large.

Colour casts follow the Planckian locus (`white_balance`): the colours of daylight, lamps and dusk. The work is done by
OpenCV: on the CPU it is three to fifty times faster than the same transforms of torchvision.
"""

from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.project.errors import InputError
from backend.project.settings import first_problem
from backend.training.white_balance import NEUTRAL_MIRED, cast_tables

NONE, DEFAULT = "none", "light"  # names of ``--augment``
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32)
GREY = np.arange(256) / 255
MIN_SIDE_PX = 2  # a box thinner than this teaches nothing


class AugmentSettings(BaseModel):
    """How strongly and how often images are changed. Frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chance: float = Field(default=0.3, ge=0, le=1, description="of each change of light, and of a turn with zoom")
    gamma: float = Field(default=0.5, ge=0, le=3, description="exponent up to 1 + gamma and down to its inverse")
    brightness: float = Field(default=0.25, ge=0, lt=1, description="factor 1 - b to 1 + b")
    contrast: float = Field(default=0.25, ge=0, lt=1, description="factor 1 - c to 1 + c")
    white_balance: float = Field(default=70, ge=0, le=110, description="mired from daylight (154), bluer or redder")
    sepia: float = Field(default=0.6, ge=0, le=1, description="share of sepia")
    equalise: float = Field(default=0.6, ge=0, le=1, description="share of the equalised histogram")
    clahe: float = Field(default=2.0, ge=0, le=10, description="clip limit of local equalisation")
    blur: float = Field(default=1.2, ge=0, le=10, description="standard deviation, px")
    noise: float = Field(default=6.0, ge=0, le=60, description="standard deviation, grey levels of 255")
    flip: float = Field(default=0.5, ge=0, le=1, description="chance of mirroring left and right")
    rotate: float = Field(default=4.0, ge=0, le=45, description="degrees to either side")
    scale: float = Field(default=0.2, ge=0, le=0.9, description="zoom down to 1 / (1 + s) and up to 1 + s, a crop")
    min_visible: float = Field(default=0.1, ge=0, le=1, description="share of a mask that must stay in the image")


LIGHT = AugmentSettings()


def augment_settings(name: str) -> AugmentSettings | None:
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
        return AugmentSettings.model_validate_json(Path(name).read_bytes().removeprefix(BOM_UTF8))
    except OSError as error:
        raise InputError(f"--augment {name}: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(f"--augment {name}: {first_problem(error)}") from error


class Augmented(NamedTuple):
    """An augmented image with the K objects that are still in it.

    ``image`` (H, W, 3) uint8 RGB; ``masks`` (K, H, W) uint8, 0 or 1; ``boxes`` (K, 4) float32 ``x1 y1 x2 y2`` px;
    ``kept`` (K,) int64, the objects' indices before.
    """

    image: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray
    kept: np.ndarray


def augment(
    image: np.ndarray,
    masks: np.ndarray,
    boxes: np.ndarray,
    rng: np.random.Generator,
    settings: AugmentSettings = LIGHT,
) -> Augmented:
    """Change view and light of an image with its objects; the arguments stay as they are.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    masks, boxes
        (N, H, W) uint8, 0 or 1, and (N, 4) float32 ``x1 y1 x2 y2`` px, of N objects.
    rng
        The random generator.
    settings
        Strengths and chances.
    """
    current = Augmented(np.ascontiguousarray(image), masks, boxes, np.arange(len(masks)))
    if rng.random() < settings.flip:
        current = _mirror(current)
    if (settings.rotate or settings.scale) and rng.random() < settings.chance:
        current = _rotate_and_zoom(current, settings, rng)
    for change, strength in CHANGES_OF_LIGHT.values():
        if getattr(settings, strength) and rng.random() < settings.chance:
            current = current._replace(image=change(current.image, getattr(settings, strength), rng))
    return current


def _mirror(current: Augmented) -> Augmented:
    width = current.image.shape[1]
    boxes = current.boxes.copy()
    boxes[:, [0, 2]] = width - current.boxes[:, [2, 0]]
    image = np.ascontiguousarray(current.image[:, ::-1])
    return current._replace(image=image, masks=np.ascontiguousarray(current.masks[:, :, ::-1]), boxes=boxes)


def _rotate_and_zoom(current: Augmented, settings: AugmentSettings, rng: np.random.Generator) -> Augmented:
    """Rotate by some degrees and zoom; the crop that a zoom shows lies anywhere in the image."""
    height, width = current.image.shape[:2]
    zoom = (1 + settings.scale) ** rng.uniform(-1, 1)
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), settings.rotate * rng.uniform(-1, 1), zoom)
    matrix[:, 2] += rng.uniform(-1, 1, 2) * abs(zoom - 1) / 2 * (width, height)
    fill = current.image.mean((0, 1)).tolist()
    image = cv2.warpAffine(current.image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=fill)
    rotated = [cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_NEAREST) for mask in current.masks]
    masks = np.stack(rotated) if rotated else current.masks
    boxes = np.array([box_of(mask) for mask in masks], np.float32).reshape(-1, 4)
    visible, whole = masks.sum((1, 2)), current.masks.sum((1, 2)) * zoom**2
    stays = (visible >= settings.min_visible * whole) & ((boxes[:, 2:] - boxes[:, :2]) >= MIN_SIDE_PX).all(1)
    return Augmented(image, masks[stays], boxes[stays], current.kept[stays])


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return ``x1 y1 x2 y2`` px of a mask, (H, W) uint8, x2 and y2 behind its last pixel; zeros if it is empty."""
    x, y, width, height = cv2.boundingRect(mask)
    return x, y, x + width, y + height


def _symmetric(rng: np.random.Generator) -> float:
    return float(rng.uniform(-1, 1))


def _strong_share(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.2, 1))  # what happens should be seen


def _gamma(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return with_gamma(image, (1 + strength) ** _symmetric(rng))


def with_gamma(image: np.ndarray, gamma: float) -> np.ndarray:
    """Return (H, W, 3) uint8 with every value, 0 to 1, raised to ``gamma``: above 1 is darker."""
    return cv2.LUT(image, _as_bytes(255 * GREY**gamma))


def _brightness(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return cv2.LUT(image, _as_bytes(255 * GREY * (1 + strength * _symmetric(rng))))


def _contrast(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    mean = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean()
    return cv2.LUT(image, _as_bytes(mean + (255 * GREY - mean) * (1 + strength * _symmetric(rng))))


def _white_balance(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return cv2.LUT(image, cast_tables(NEUTRAL_MIRED + strength * _symmetric(rng)))


def _sepia(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    share = strength * _strong_share(rng)
    return cv2.transform(image, (1 - share) * np.eye(3, dtype=np.float32) + share * SEPIA)


def _equalise(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    share = strength * _strong_share(rng)
    equal = cv2.merge([cv2.equalizeHist(channel) for channel in cv2.split(image)])
    return cv2.addWeighted(image, 1 - share, equal, share, 0)


def _clahe(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    light, first, second = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2LAB))
    light = cv2.createCLAHE(strength * _strong_share(rng), (8, 8)).apply(light)
    return cv2.cvtColor(cv2.merge([light, first, second]), cv2.COLOR_LAB2RGB)


def _blur(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), strength * _strong_share(rng))


def _noise(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(image.shape, np.float32)
    noise *= strength * _strong_share(rng)
    return cv2.add(image, noise, dtype=cv2.CV_8U)


def _as_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
CHANGES_OF_LIGHT: dict[str, tuple[Change, str]] = {  # title: the change, its strength in the settings; in this order
    "White balance": (_white_balance, "white_balance"),
    "Gamma": (_gamma, "gamma"),
    "Brightness": (_brightness, "brightness"),
    "Contrast": (_contrast, "contrast"),
    "Equalised histogram": (_equalise, "equalise"),
    "Local equalisation (CLAHE)": (_clahe, "clahe"),
    "Sepia": (_sepia, "sepia"),
    "Blur": (_blur, "blur"),
    "Noise": (_noise, "noise"),
}
