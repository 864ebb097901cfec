"""Over-exposed pictures: night and infrared cameras often bleach a part of the frame."""

import math

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

OVER_EXPOSED, SHARE_OVER_EXPOSED = 250, 0.2  # brightness, and the share of the picture at it or above
WANTED_BRIGHTNESS, LARGEST_GAMMA = 0.45, 3.0
LUMA = (0.299, 0.587, 0.114)


def auto_gamma(pictures: Tensor) -> Tensor:
    """Darken over-exposed pictures, (3, H, W) or (N, 3, H, W) uint8 RGB on any device; the others stay as they are.

    Each picture is judged alone, so the result does not depend on the batch. See `gamma_for`.
    """
    if pictures.ndim == 4:
        return torch.stack([auto_gamma(picture) for picture in pictures]) if len(pictures) else pictures
    gamma = gamma_for(pictures)
    return pictures if gamma == 1 else tv.adjust_gamma(pictures, gamma)


def gamma_for(picture: Tensor) -> float:
    """Return the exponent a picture, (3, H, W) uint8 RGB, needs: 1 unless more than 20 % of it is at 250 or above.

    Then it is the exponent that brings the mean brightness of the rest to 0.45, from 1 to 3.
    """
    luma = sum(weight * channel.float() for weight, channel in zip(LUMA, picture, strict=True))
    over = luma >= OVER_EXPOSED
    bleached = int(over.sum())
    if bleached <= SHARE_OVER_EXPOSED * over.numel() or bleached == over.numel():
        return 1.0
    mean = float(luma[~over].mean()) / 255
    if mean <= WANTED_BRIGHTNESS:
        return 1.0
    return min(math.log(WANTED_BRIGHTNESS) / math.log(mean), LARGEST_GAMMA)
