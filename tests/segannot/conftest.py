"""A small video of two birds that walk over grass, with the truth, and a project that has it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.project.paths import Project
from backend.video.frame_cache import CachedFrames
from backend.video.library import add_video, open_video
from segannot.engines.registry import Engines
from segannot.session import Session
from segannot.store import AnnotationStore
from tests.videos import write_video

SIZE = (320, 192)
N_FRAMES = 60


def truth(frame: int) -> np.ndarray:
    """Return the true (H, W) uint8 label map of a frame: object 1 walks right, object 2 left and down."""
    labels = np.zeros(SIZE[::-1], np.uint8)
    cv2.ellipse(labels, (60 + 2 * frame, 70), (26, 14), 10, 0, 360, 1, -1)
    cv2.ellipse(labels, (250 - frame, 120 + frame // 3), (18, 22), 0, 0, 360, 2, -1)
    return labels


def picture(frame: int, size: tuple[int, int]) -> np.ndarray:
    """Return a frame: green grass with blades, a brown bird and a light one, both with markings."""
    rng = np.random.default_rng(0)
    grass = rng.integers(-18, 18, (size[1], size[0], 1)) + np.array([70, 110, 50])
    labels = truth(frame)
    drawn = cv2.GaussianBlur(np.clip(grass, 0, 255).astype(np.uint8), (0, 0), 0.8)
    marks = np.random.default_rng(1).integers(-12, 12, (2, 64, 64, 1))
    for number, colour in ((1, (120, 80, 45)), (2, (205, 195, 180))):
        ys, xs = np.nonzero(labels == number)
        texture = marks[number - 1][(ys - ys.min()) % 64, (xs - xs.min()) % 64]
        drawn[ys, xs] = np.clip(np.array(colour) + texture, 0, 255)
    return drawn


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Return the intersection over union of two bool masks."""
    return float((first & second).sum() / max(1, (first | second).sum()))


@pytest.fixture(scope="session")
def birds_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the video of two birds, `N_FRAMES` long."""
    path = tmp_path_factory.mktemp("birds") / "birds.mp4"
    return write_video(path, N_FRAMES, size=SIZE, picture=picture, options={"crf": "18"})


@pytest.fixture
def birds_project(tmp_path: Path, birds_video: Path) -> Project:
    """Return a project with the video "birds", not labelled."""
    project = Project(tmp_path / "project")
    project.root.mkdir(exist_ok=True)
    add_video(project, birds_video, [birds_video.parent])
    project.segannot("birds").mkdir(parents=True)
    return project


@contextmanager
def opened(project: Project) -> Iterator[Session]:
    """Open the project's annotation as the server does."""
    source = CachedFrames(lambda: open_video(project, "birds", threads=1), 200 * 1024**2)
    session = Session(AnnotationStore(project.segannot("birds"), source.size), source, Engines(project.root))
    try:
        yield session
    finally:
        session.close()


@pytest.fixture
def session(birds_project: Project) -> Iterator[Session]:
    """Return an open session on the video of two birds."""
    with opened(birds_project) as found:
        yield found


@pytest.fixture
def reopened(birds_project: Project) -> Callable:
    """Return a function that opens the same project again."""
    return lambda: opened(birds_project)
