"""Leks for tests: one filmed with rendering, one without, and birds put where a test wants them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backend.lek.bird import BIRD, POSES, Behaviour, Pose
from backend.lek.camera import apply_homography, image_to_ground
from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.recording import TRUTH, record
from backend.lek.world import Lek

MASK_EVERY = 10


@pytest.fixture(scope="session")
def filmed_settings() -> LekSettings:
    """Return the settings of `filmed`: three seconds in which birds fight and one flies in."""
    return LekSettings(birds=7, seconds=3, seed=12, size=(640, 360), camera="test", difficulty=difficulty("hard"))


@pytest.fixture(scope="session")
def filmed(tmp_path_factory: pytest.TempPathFactory, filmed_settings: LekSettings) -> Path:
    """Return the folder of a rendered lek. Do not change it."""
    out = tmp_path_factory.mktemp("lek") / "filmed"
    assert record(out, filmed_settings, mask_every=MASK_EVERY)
    return out


@pytest.fixture(scope="session")
def outlined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of ten minutes of a hard lek without video. Do not change it."""
    out = tmp_path_factory.mktemp("lek") / "outlined"
    settings = LekSettings(birds=12, seconds=600, seed=9, difficulty=difficulty("hard"))
    assert record(out, settings, video=False)
    return out


@pytest.fixture(scope="session")
def truth() -> Callable[[Path], pd.DataFrame]:
    """Return what reads the truth of a folder."""
    return lambda folder: pd.read_parquet(folder / TRUTH)


@pytest.fixture
def still_lek() -> LekSettings:
    """Return a lek without shake, for birds put by hand."""
    return LekSettings(birds=2, seconds=1, seed=8, difficulty=replace(difficulty("normal"), shake_px=0.0, grass=0.0))


@pytest.fixture(scope="session")
def put() -> Callable[..., np.ndarray]:
    """Return ``put(lek, *(column px, row px, behaviour))``: birds standing at those pixels, looking to the right."""

    def put_birds(lek: Lek, *places: tuple[float, float, Behaviour]) -> np.ndarray:
        birds = np.zeros(len(places), BIRD)
        for bird, (column, row, behaviour) in zip(birds, places, strict=True):
            pixel = np.array([[column, row]], float)
            bird["x"], bird["y"] = apply_homography(image_to_ground(lek.camera), pixel)[0]
            bird["behaviour"], bird["partner"], bird["spin"] = behaviour, -1, 1.0
            for name, value in zip(Pose._fields, POSES[behaviour], strict=True):
                bird[name] = value
        return birds

    return put_birds
