"""Random seeds as a function of epoch, step and image, so that a resumed training repeats them exactly."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

ORDER, AUGMENT, STEP, EVALUATE = range(4)  # what the numbers are for, so that no two uses share a sequence


def seed_of(*parts: int) -> int:
    """Return a 63-bit seed that depends on every one of ``parts`` (not negative)."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


@contextlib.contextmanager
def torch_seeded(*parts: int, device: torch.device | None = None) -> Iterator[None]:
    """Let torch's global generators (the CPU's and ``device``'s) follow `seed_of` inside, and go on as before after."""
    gpus = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(gpus):
        torch.manual_seed(seed_of(*parts))
        yield
