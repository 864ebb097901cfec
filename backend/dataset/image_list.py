"""The images of a run in order, from folders and COCO files, with their class names."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.dataset.convert_mask import Conversion, Refused, convert_mask
from backend.dataset.image_records import Record
from backend.dataset.merge import (
    CocoFile,
    MergedImage,
    check_crowds,
    classes_of,
    convert_merged,
    crowds_as_animals,
    merge_images,
    read_coco,
)
from backend.dataset.problems import Problems
from backend.dataset.sources import MaskFrame, distinct_names, list_frames, object_classes, pair_folders
from backend.project.errors import InputError
from backend.project.manifest import sha256


@dataclass(frozen=True)
class Plan:
    """Everything that is known before an image is looked at.

    ``videos`` and ``classes`` are names (a category id is the 1-based index); ``inputs`` identifies the
    sources for the manifest; ``notes`` are lines for the report.
    """

    videos: list[str]
    classes: list[str]
    categories: tuple[dict[int, int], ...]
    frames: list[MaskFrame]
    merged: list[MergedImage]
    inputs: dict[str, Any]
    notes: list[str]

    def __len__(self) -> int:
        return len(self.frames) + len(self.merged)

    def tasks(self) -> Iterator[MaskFrame | MergedImage]:
        """Yield what is to be converted: by source, video and frame."""
        yield from self.frames
        yield from self.merged


def convert(settings: Conversion, task: MaskFrame | MergedImage) -> Record | Refused:
    """Convert one task. Runs in worker processes."""
    return convert_mask(task, settings) if isinstance(task, MaskFrame) else convert_merged(task, settings)


def make_plan(
    images: Sequence[Path],
    masks: Sequence[Path],
    merge: Sequence[Path],
    merge_images_in: Sequence[Path],
    annot_names: Sequence[str],
    reviewed_only: bool,
    problems: Problems,
    crowds_are_animals: bool = False,
) -> Plan:
    """Look at the folders and JSON files; what does not fit together is added to ``problems``.

    Raises
    ------
    InputError
        If the sources cannot be used at all, or nothing is in them.
    """
    pairs = pair_folders(images, masks)
    files = [read_coco(path) for path in merge]
    notes = [note for file in files for note in _notes(file, crowds_are_animals)]
    for file in () if crowds_are_animals else files:
        check_crowds(file)
    files = [crowds_as_animals(file) if crowds_are_animals else file for file in files]
    known, meanings = object_classes(pairs, annot_names)
    classes = known if annot_names else distinct_names([*known, *classes_of(files)])
    if not classes:
        raise InputError("no classes: no object of any source has one; give names with --annot-names")
    videos = [pair.video for pair in pairs]
    frames = [
        frame
        for number, pair in enumerate(pairs)
        for frame in list_frames(number, pair, problems, reviewed_only=reviewed_only)
    ]
    merged = merge_images(files, merge_images_in, classes, videos, problems)
    inputs = {
        "folders": [
            {"images": str(pair.images), "masks": str(pair.masks), "files": _digest(frames, number)}
            for number, pair in enumerate(pairs)
        ],
        "merged": [{"json": str(file.path), "sha256": sha256(file.path)} for file in files],
    }
    return Plan(videos, classes, tuple(meanings), frames, merged, inputs, notes)


def _notes(file: CocoFile, crowds_are_animals: bool) -> Iterator[str]:
    """Yield lines for the report about a merged file."""
    if file.corners:
        yield f"{file.path}: boxes are corners and areas those of boxes, as the first version wrote them; converted"
    if file.crowds and crowds_are_animals:
        yield f"{file.path}: {file.crowds} crowds (iscrowd 1) are taken as animals"
    elif file.crowds:
        yield (
            f"{file.path}: {file.crowds} masks are crowds (iscrowd 1), no single animals: training leaves their "
            "images out; --crowds-are-animals takes each as an animal"
        )


def _digest(frames: Sequence[MaskFrame], video: int) -> str:
    """Return a SHA-256 over names and sizes of a pair's files: what shows that a folder has changed since."""
    digest = hashlib.sha256()
    for frame in frames:
        if frame.video == video:
            for path in (frame.image, frame.mask):
                digest.update(f"{os.path.basename(path)} {os.stat(path).st_size}\n".encode())
    return digest.hexdigest()
