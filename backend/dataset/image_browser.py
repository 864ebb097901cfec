"""Browse a finished data set: list its images, filter them, draw one with its boxes and masks.

A set can be larger than the memory of a web server should be. Our files have one image or annotation on a line, so only
the offsets of the lines are kept, and an annotation is parsed when it is shown.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.dataset.image_records import Flag
from backend.dataset.outputs import TRAIN_SUFFIX
from backend.masks import rle
from backend.masks.draw_overlay import overlay
from backend.masks.polygons import to_counts
from backend.project.errors import InputError
from backend.project.manifest import MANIFEST, read_manifest
from backend.project.paths import resolve_under

ANNOTATION = re.compile(rb'\{"id":\d+,"image_id":(\d+),"category_id":(\d+),')
FLAGS = re.compile(rb'"flags":(\[[^\]]*\])\}')
MOST_SHOWN = 255


@dataclass(frozen=True)
class FinishedSet:
    """A set that `mask2coco` finished. ``val`` is None where there is no validation file."""

    name: str
    train: Path
    val: Path | None
    report: dict[str, Any]


@dataclass
class SetImage:
    """One image of a set and where its annotations stand in the file."""

    id: int
    file_name: str
    width: int
    height: int
    video: str
    frame: int
    lines: list[tuple[int, int]] = field(default_factory=list)
    categories: set[int] = field(default_factory=set)
    flags: set[Flag] = field(default_factory=set)


class SetFile:
    """One COCO file of ours, ready to be looked through."""

    def __init__(self, path: Path):
        self.path = path
        self.images: list[SetImage] = []
        self.classes: dict[int, str] = {}
        with open(path, "rb") as file:
            self._scan(file)

    def _scan(self, lines: Iterable[bytes]) -> None:
        by_id: dict[int, SetImage] = {}
        start = 0
        for line in lines:
            if match := ANNOTATION.match(line):
                image = by_id[int(match[1])]
                image.lines.append((start, len(line)))
                image.categories.add(int(match[2]))
                if flags := FLAGS.search(line[-200:]):
                    image.flags.update(Flag(flag) for flag in json.loads(flags[1]))
            elif line.startswith(b'{"id": '):
                entry = json.loads(line.rstrip(b",\n"))
                image = SetImage(
                    **{name: entry[name] for name in ("id", "file_name", "width", "height", "video", "frame")}
                )
                by_id[image.id] = image
                self.images.append(image)
            elif line.startswith(b'{"info": '):
                head = json.loads(line.rstrip(b",\n") + b"}")
                self.classes = {entry["id"]: entry["name"] for entry in head["categories"]}
            start += len(line)

    def select(self, video: str | None = None, category: int | None = None, flag: Flag | None = None) -> list[SetImage]:
        """Return the images of a video, with a class, with a flag; None means any."""
        return [
            image
            for image in self.images
            if (video is None or image.video == video)
            and (category is None or category in image.categories)
            and (flag is None or flag in image.flags)
        ]

    def annotations(self, image: SetImage) -> list[dict[str, Any]]:
        """Return the annotations of an image."""
        with open(self.path, "rb") as file:
            annotations = []
            for start, length in image.lines:
                file.seek(start)
                annotations.append(json.loads(file.read(length).rstrip(b",\n")))
        return annotations

    def draw(self, image: SetImage, roots: Sequence[Path]) -> np.ndarray:
        """Return the image with masks, boxes and names, (H, W, 3) uint8 RGB.

        Raises
        ------
        InputError
            If the image lies outside ``roots`` or cannot be read.
        """
        path = resolve_under(self.path.parent / image.file_name, roots)
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None or picture.shape[:2] != (image.height, image.width):
            raise InputError(f"{path} cannot be read, or has another size than the set says")
        shown = self.annotations(image)[:MOST_SHOWN]
        masks = [to_counts(annotation["segmentation"], image.height, image.width) for annotation in shown]
        boxes = np.array([annotation["bbox"] for annotation in shown], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        texts = [self._text(annotation) for annotation in shown]
        labels = rle.paint(masks, image.height, image.width)
        return overlay(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), labels, boxes, texts)

    def _text(self, annotation: dict[str, Any]) -> str:
        words = [self.classes[annotation["category_id"]]]
        if "object" in annotation:
            words.append(str(annotation["object"]))
        return " ".join(words + [f"({flag})" for flag in annotation.get("flags", ())])


def finished_sets(folder: Path) -> list[FinishedSet]:
    """Return the finished sets in ``COCO_jsons``, newest first. What is not finished or broken is left out."""
    sets = []
    for path in folder.glob(f"*.{MANIFEST}"):
        name = path.name.removesuffix(f".{MANIFEST}")
        try:
            manifest = read_manifest(path)
            report = json.loads((folder / f"{name}_report.json").read_bytes())
        except (InputError, OSError, ValueError):
            continue
        if manifest is None or not manifest.complete or manifest.script != "mask2coco":
            continue
        files = [folder / file for file in manifest.files if not file.startswith(f"{name}_report.")]
        train = next((file for file in files if file.stem in (name, name + TRAIN_SUFFIX)), None)
        if train is not None:
            val = next((file for file in files if file != train), None)
            sets.append((manifest.started, FinishedSet(name, train, val, report)))
    return [finished for _, finished in sorted(sets, key=lambda pair: pair[0], reverse=True)]
