"""Progress of the annotation of each video of a project, read from the small files alone."""

from dataclasses import dataclass
from pathlib import Path

from backend.masks.objects import read_frames, read_objects
from backend.project.errors import InputError
from backend.project.paths import SLUG, Project


@dataclass(frozen=True)
class AnnotationProgress:
    """Annotation of one video. ``problem``: why its files cannot be read, empty if they can."""

    video: str
    frames: tuple[int, ...]
    seen: tuple[int, ...]  # drawn or accepted by a person
    objects: int
    classes: tuple[str, ...]
    problem: str = ""


def list_progress(project: Project) -> list[AnnotationProgress]:
    """Return the progress of every annotated video, by name; those without a mask are left out."""
    root = project.root / "segannot"
    folders = sorted(root.iterdir()) if root.is_dir() else []
    progress = [read_progress(folder) for folder in folders if folder.is_dir() and SLUG.match(folder.name)]
    return [video for video in progress if video.frames or video.problem]


def read_progress(folder: Path) -> AnnotationProgress:
    """Return the progress of the annotation in ``folder``."""
    try:
        origins, objects = read_frames(folder) or {}, read_objects(folder) or []
    except InputError as error:
        return AnnotationProgress(folder.name, (), (), 0, (), str(error))
    frames = tuple(sorted(frame for frame in origins if (folder / f"{frame:06d}.png").is_file()))
    seen = tuple(frame for frame in frames if origins[frame].seen_by_a_person)
    classes = tuple(sorted({entry.class_name for entry in objects}))
    return AnnotationProgress(folder.name, frames, seen, len(objects), classes)
