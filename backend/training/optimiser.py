"""The optimiser and its learning rate, which is a function of the step alone."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from backend.training.settings import TrainSettings

WARMUP_SHARE, WARMUP_MOST = 0.1, 1000  # of all steps, steps
STEPS_DOWN = (2 / 3, 8 / 9)  # where the step schedule divides by ten, as in the 1x and 3x schedules
LAST_SHARE = 0.01  # of the learning rate, where the cosine ends
FIRST_SHARE = 0.001  # of the learning rate, where the warm-up begins
MOMENTUM = 0.9


def learning_rate(settings: TrainSettings, step: int, n_steps: int) -> float:
    """Return the learning rate of step ``step`` (0-based) of ``n_steps``: linear warm-up, then the chosen schedule."""
    warmup = warmup_steps(settings, n_steps)
    if step < warmup:
        return settings.lr * (FIRST_SHARE + (1 - FIRST_SHARE) * step / warmup)
    share = (step - warmup) / max(1, n_steps - warmup)
    if settings.schedule == "cosine":
        return settings.lr * (LAST_SHARE + (1 - LAST_SHARE) * 0.5 * (1 + math.cos(math.pi * share)))
    if settings.schedule == "step":
        return settings.lr * 0.1 ** sum(share >= down for down in STEPS_DOWN)
    return settings.lr


def warmup_steps(settings: TrainSettings, n_steps: int) -> int:
    """Return how many steps the warm-up takes: a tenth of all, at most 1000, unless it was set."""
    return settings.warmup_steps if settings.warmup_steps >= 0 else min(WARMUP_MOST, int(WARMUP_SHARE * n_steps))


def build_optimiser(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return SGD with momentum or AdamW. Biases and normalisation layers are not decayed."""
    groups = [
        {"params": list(_parameters(network, decayed=True)), "weight_decay": settings.weight_decay},
        {"params": list(_parameters(network, decayed=False)), "weight_decay": 0.0},
    ]
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=settings.lr)
    return torch.optim.SGD(groups, lr=settings.lr, momentum=MOMENTUM)


def _parameters(network: nn.Module, decayed: bool) -> Iterable[nn.Parameter]:
    return (
        parameter for parameter in network.parameters() if parameter.requires_grad and (parameter.ndim > 1) == decayed
    )
