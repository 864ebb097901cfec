"""Augmentation by name."""

from backend.training.batches import Augment


def augmentation(name: str) -> Augment | None:
    """Return what ``--augment NAME`` stands for; None where pictures stay as they are."""
    return None
