"""Label maps for tests: random ones, shapes with holes and parts, and real ones where they are at hand."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

REAL = Path(os.environ.get("LEKTRACK_TEST_DATA", "no-such-folder")) / "masks" / "davis"


def bird_map(birds: int = 20, size: tuple[int, int] = (1344, 760), seed: int = 0) -> np.ndarray:
    """Return (H, W) uint8: birds of body, head and leg, later ones in front; some have holes and cut-off parts."""
    rng = np.random.default_rng(seed)
    width, height = size
    labels = np.zeros((height, width), np.uint8)
    for number in range(1, birds + 1):
        x, y = (int(rng.integers(0, side)) for side in size)
        angle = float(rng.integers(0, 360))
        cv2.ellipse(labels, (x, y), (34, 19), angle, 0, 360, number, -1)
        cv2.circle(labels, (x + int(40 * np.cos(angle)), y + int(40 * np.sin(angle))), 9, number, -1)
        cv2.line(labels, (x, y), (x + 5, y + 40), number, 2)
        if number % 3 == 0:
            cv2.circle(labels, (x, y), 6, 0, -1)
    return labels


@pytest.fixture(params=range(3), ids=["a lek", "another lek", "a third lek"])
def birds(request) -> np.ndarray:
    """Return a label map of twenty birds."""
    return bird_map(seed=request.param)


@pytest.fixture
def real_masks() -> list[Path]:
    """Return real masks of three animals, every tenth frame."""
    found = sorted(REAL.glob("*/masks/*.png"))[::10]
    if not found:
        pytest.skip(f"no real masks in {REAL}")
    return found
