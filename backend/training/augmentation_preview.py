"""What the network will see: one picture under each transform, with its masks."""

import numpy as np
import torch

from backend.detectors.exposure import gamma_for
from backend.masks.draw_overlay import overlay
from backend.training.augmentation import CHANGES_OF_LIGHT, LIGHT, AugmentSettings, augment, with_gamma

GEOMETRY = {"Mirrored": ("flip",), "Turned and zoomed": ("rotate", "scale")}
TOGETHER = 3  # pictures as training gets them


def preview(
    image: np.ndarray, labels: np.ndarray, settings: AugmentSettings = LIGHT, seed: int = 0
) -> list[tuple[str, np.ndarray]]:
    """Return titles and pictures with masks drawn: as it is, under each transform at full strength, and all together.

    Parameters
    ----------
    image, labels
        (H, W, 3) uint8 RGB and (H, W) uint8, pixel value = object.
    settings
        Strengths; transforms that are off are left out.
    seed
        Of what is drawn.
    """
    shown = [("As it is", overlay(image, labels))]
    for title, (_, strength) in CHANGES_OF_LIGHT.items():
        if getattr(settings, strength):
            shown.append((title, _seen(image, labels, _only(settings, strength), _FullStrength(seed))))
    for title, fields in GEOMETRY.items():
        if any(getattr(settings, field) for field in fields):
            shown.append((title, _seen(image, labels, _only(settings, *fields), _FullStrength(seed))))
    gamma = gamma_for(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))))
    if gamma != 1:
        shown.append((f"Automatic gamma, {gamma:.2f}", overlay(with_gamma(image, gamma), labels)))
    for number in range(1, TOGETHER + 1):
        drawn = _seen(image, labels, settings, np.random.default_rng([seed, number]))
        shown.append((f"In training, example {number}", drawn))
    return shown


class _FullStrength(np.random.Generator):
    """Draws the strongest of what may happen, and lets everything happen."""

    def __init__(self, seed: int):
        super().__init__(np.random.PCG64(seed))

    def random(self) -> float:
        return 0.0

    def uniform(self, low: float, high: float, size: int | None = None) -> float | np.ndarray:
        return high if size is None else np.full(size, high)


def _only(settings: AugmentSettings, *fields: str) -> AugmentSettings:
    """Return settings in which only ``fields`` act, each with the strength it has."""
    names = (*(name for _, name in CHANGES_OF_LIGHT.values()), "flip", "rotate", "scale")
    off = {name: 0.0 for name in names if name not in fields}
    return settings.model_copy(update={**off, "chance": 1.0})


def _seen(image: np.ndarray, labels: np.ndarray, settings: AugmentSettings, rng: np.random.Generator) -> np.ndarray:
    values = np.unique(labels[labels > 0])
    masks = (labels[None] == values[:, None, None]).astype(np.uint8)
    seen = augment(image, masks, np.zeros((len(values), 4), np.float32), rng, settings)
    changed = np.zeros(labels.shape, np.uint8)
    for value, mask in zip(values[seen.kept], seen.masks, strict=True):
        changed[mask > 0] = value
    return overlay(seen.image, changed)
