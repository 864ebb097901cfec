"""The annotation projects of a project folder and how far each is, from their small files alone."""

from dataclasses import dataclass
from pathlib import Path

from backend.masks.objects import read_frames, read_objects
from backend.project.errors import InputError
from backend.project.paths import SLUG, Project


@dataclass(frozen=True)
class AnnotationProgress:
    """What is labelled of one video. ``problem`` says in words why its files cannot be read; empty where they can."""

    video: str
    frames: tuple[int, ...]
    seen: tuple[int, ...]  # drawn or accepted by a person
    objects: int
    classes: tuple[str, ...]
    problem: str = ""


def list_progress(project: Project) -> list[AnnotationProgress]:
    """Return how far every annotation project is, by video; those without a mask are left out."""
    root = project.root / "segannot"
    folders = sorted(root.iterdir()) if root.is_dir() else []
    found = [read_progress(folder) for folder in folders if folder.is_dir() and SLUG.match(folder.name)]
    return [each for each in found if each.frames or each.problem]


def read_progress(folder: Path) -> AnnotationProgress:
    """Return how far the project in ``folder`` is."""
    try:
        origins, objects = read_frames(folder) or {}, read_objects(folder) or []
    except InputError as error:
        return AnnotationProgress(folder.name, (), (), 0, (), str(error))
    frames = tuple(sorted(frame for frame in origins if (folder / f"{frame:06d}.png").is_file()))
    seen = tuple(frame for frame in frames if origins[frame].seen_by_a_person)
    classes = tuple(sorted({each.class_name for each in objects}))
    return AnnotationProgress(folder.name, frames, seen, len(objects), classes)
