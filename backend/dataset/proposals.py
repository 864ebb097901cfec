"""Suggestions for the page: image and mask folders that seem to belong together, and a preview of the data set."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from backend.dataset.problems import Problems
from backend.dataset.sources import Pair, list_frames, object_classes, video_names
from backend.dataset.split import Side, SplitSettings, split
from backend.masks.draw_overlay import overlay
from backend.masks.indexed import read_labels
from backend.masks.objects import read_frames
from backend.project.errors import InputError
from backend.project.paths import Project


@dataclass(frozen=True)
class PairFacts:
    """What is known of a pair without opening its pictures.

    ``numbers`` are the frames that have both; ``lines`` say what does not fit, a line each; ``classes`` are the names
    in objects.json; ``example`` is an image with its mask; ``reviewed``: how many masks a person vouches for, None
    where nobody wrote that down.
    """

    numbers: tuple[int, ...]
    lines: tuple[str, ...]
    classes: tuple[str, ...] = ()
    example: tuple[str, str] | None = None
    reviewed: int | None = None


def project_folders(project: Project) -> tuple[list[Path], list[Path]]:
    """Return the folders of exported frames and those of masks in a project, by name."""
    return _subfolders(project.root / "exported_frames"), _subfolders(project.root / "segannot")


def propose(images: Sequence[Path], masks: Sequence[Path]) -> dict[Path, Path]:
    """Return for image folders the mask folder that has the same telling name; folders without one are left out."""
    by_name = dict(zip(video_names(masks), masks, strict=True))
    return {folder: by_name[name] for name, folder in zip(video_names(images), images, strict=True) if name in by_name}


def look_at(images: Path, masks: Path) -> PairFacts:
    """Return what is known of a pair of folders; problems are in its ``lines``."""
    pair = Pair("video", images, masks)
    problems = Problems()
    try:
        frames = list_frames(0, pair, problems)
        origins = read_frames(masks)
    except (InputError, OSError) as error:
        return PairFacts((), (str(error),))
    lines = problems.lines()
    try:
        classes = tuple(object_classes([pair], [])[0])
    except InputError:
        classes = ()
    example = (frames[len(frames) // 2].image, frames[len(frames) // 2].mask) if frames else None
    reviewed = None if origins is None else sum(origin.seen_by_a_person for origin in origins.values())
    return PairFacts(tuple(frame.number for frame in frames), tuple(lines), classes, example, reviewed)


def resulting_counts(pairs: Sequence[PairFacts], settings: SplitSettings) -> dict[Side, int]:
    """Return how many images would go where. Numbers of birds are not known yet, so the true split can differ a little.

    Raises
    ------
    InputError
        If there is nothing to split, or no validation set can be made.
    """
    videos = np.repeat(np.arange(len(pairs)), [len(pair.numbers) for pair in pairs])
    if not len(videos):
        raise InputError("no image has a mask yet")
    numbers = np.array([number for pair in pairs for number in pair.numbers])
    sides = split(videos, numbers, np.ones(len(videos), np.int64), settings)
    return {side: int((sides == side).sum()) for side in Side}


def thumbnail(image: str, mask: str, width: int) -> np.ndarray:
    """Return an image with its mask drawn, (h, ``width``, 3) uint8 RGB.

    Raises
    ------
    InputError
        If one of them cannot be read.
    """
    picture = cv2.imread(image, cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"{image} cannot be read")
    labels = read_labels(mask)
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), (width, height), interpolation=cv2.INTER_AREA)
    return overlay(small, cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST))


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
    except OSError:
        return []
