"""Existing COCO JSON files as a source: exports of CVAT and Label Studio, our own sets, and the first version's.

The first version wrote boxes as corners, the area of the box, and ids from 0. Whatever a file says, box and area are
measured on the mask; a file whose boxes are corners is named in the report. Categories are matched by name, images by
their real path.
"""

import filecmp
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from backend.dataset.convert_mask import POLYGONS, Conversion, Refused, annotation_body, image_facts, rle_json, select
from backend.dataset.image_records import Dropped, Record
from backend.dataset.label_checks import flag_masks
from backend.dataset.problems import Problem, Problems
from backend.dataset.sources import NUMBERED, match_name, video_names
from backend.masks.indexed import MAX_PIXELS
from backend.masks.polygons import count_parts, outline, to_counts
from backend.masks.rle import area, box, paint
from backend.project.errors import InputError
from backend.project.paths import spellings

NEAR_PX = 2.0
SAMPLE = 200


@dataclass(frozen=True)
class CocoFile:
    """A COCO JSON file, read and checked.

    ``corners``: its boxes are x1, y1, x2, y2, not x, y, width, height. ``crowds``: number of annotations with a mask
    that are crowds (``iscrowd`` 1).
    """

    path: Path
    images: list[dict[str, Any]]
    annotations: dict[Any, list[dict[str, Any]]]
    classes: dict[Any, str]
    corners: bool
    crowds: int


@dataclass
class MergedImage:
    """One image with all its annotations from all files; categories are ours already."""

    video: int
    number: int
    image: str
    width: int
    height: int
    annotations: list[dict[str, Any]] = field(default_factory=list)


def read_coco(path: Path) -> CocoFile:
    """Read a COCO JSON file.

    Raises
    ------
    InputError
        If it is no COCO JSON of instances.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}") from error
    try:
        images = [_checked_image(image) for image in content["images"]]
        classes = {category["id"]: str(category["name"]).strip() for category in content["categories"]}
        annotations: dict[Any, list[dict[str, Any]]] = {}
        for annotation in content["annotations"]:
            hash(annotation["category_id"])  # TypeError for what cannot be an id; so below
            annotations.setdefault(annotation["image_id"], []).append(annotation)
    except KeyError as error:
        raise InputError(f"{path} is no COCO JSON of instances: it lacks {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no COCO JSON of instances: {error}") from error
    if not images:
        raise InputError(f"{path} holds no images")
    twice = [key for key, count in Counter(image["id"] for image in images).items() if count > 1]
    if twice:
        raise InputError(f"{path}: {len(twice)} image ids are used twice, such as {twice[0]}")
    crowds = sum(_is_crowd(annotation) for annotation in _with_masks(annotations))
    return CocoFile(path, images, annotations, classes, boxes_are_corners(images, annotations), crowds)


def check_crowds(file: CocoFile) -> None:
    """Raise InputError where most annotations are crowds, as tools write for masks that are animals each."""
    n = sum(1 for _ in _with_masks(file.annotations))
    if file.crowds > n / 2:
        raise InputError(
            f"{file.path}: {file.crowds} of {n} masks are crowds (iscrowd 1), of which training learns nothing; some "
            "tools mark every brush mask so. --crowds-are-animals takes each as an animal"
        )


def crowds_as_animals(file: CocoFile) -> CocoFile:
    """Return the same file with ``iscrowd`` 0 in all annotations."""
    annotations = {
        key: [{**annotation, "iscrowd": 0} for annotation in those] for key, those in file.annotations.items()
    }
    return replace(file, annotations=annotations, crowds=0)


def _with_masks(annotations: dict[Any, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    return (annotation for those in annotations.values() for annotation in those if annotation.get("segmentation"))


def _checked_image(image: dict[str, Any]) -> dict[str, Any]:
    width, height = int(image["width"]), int(image["height"])
    hash(image["id"])
    if not 0 < width * height <= MAX_PIXELS or min(width, height) <= 0:
        raise ValueError(f"image {image['file_name']!r} is {width} x {height}")
    return {**image, "file_name": str(image["file_name"]), "width": width, "height": height}


def boxes_are_corners(images: list[dict[str, Any]], annotations: dict[Any, list[dict[str, Any]]]) -> bool:
    """Tell whether boxes are ``x1 y1 x2 y2`` instead of COCO's ``x y w h``, by comparing them with their masks."""
    votes, compared = 0, 0
    for image in images:
        for annotation in annotations.get(image["id"], ()):
            given = annotation.get("bbox")
            if compared == SAMPLE or not isinstance(given, list) or len(given) != 4:
                continue
            try:
                counts = to_counts(annotation.get("segmentation"), image["height"], image["width"])
                x1, y1, x2, y2 = box(counts, image["height"]).tolist()
                votes += _near(given, (x1, y1, x2, y2)) and not _near(given, (x1, y1, x2 - x1, y2 - y1))
            except (ValueError, TypeError):
                continue
            compared += 1
    return votes > compared / 2


def classes_of(files: Sequence[CocoFile]) -> list[str]:
    """Return the names of all categories that have annotations, each once, in order of appearance."""
    used = [
        file.classes[annotation["category_id"]]
        for file in files
        for annotations in file.annotations.values()
        for annotation in annotations
        if annotation["category_id"] in file.classes
    ]
    return list(dict.fromkeys(used))


def merge_images(
    files: Sequence[CocoFile],
    image_folders: Sequence[Path],
    names: Sequence[str],
    videos: list[str],
    problems: Problems,
) -> list[MergedImage]:
    """Return the images of all files, ordered by video and frame; new videos are appended to ``videos``.

    An image that several files annotate gets the annotations of all. An image is taken only where it is certain which
    file is meant (`find_image`), and no two names of one JSON may lead to the same.

    Raises
    ------
    InputError
        If a category with annotations is not among ``names``.
    """
    merged_images: dict[str, MergedImage] = {}
    for file in files:
        categories = _categories(file, names)
        paths = _find_images(file, image_folders, problems)
        for lost in file.annotations.keys() - {image["id"] for image in file.images}:
            count = len(file.annotations[lost])
            problems.add(Problem.BAD_ANNOTATION, f"annotations of image {lost!r}, which {file.path} lacks", count)
        for index, image in enumerate(file.images):
            path = paths.get(image["file_name"])
            if path is None:
                continue
            merged = merged_images.get(path)
            if merged is None:
                video = _video(image, path, videos)
                number = _number(image, path, index)
                merged = MergedImage(video, number, path, image["width"], image["height"])
                merged_images[path] = merged
            for annotation in file.annotations.get(image["id"], ()):
                category = categories.get(annotation["category_id"])
                if category is None:
                    problems.add(
                        Problem.BAD_ANNOTATION, f"annotation {annotation.get('id')} of {file.path}: no category"
                    )
                else:
                    merged.annotations.append({**annotation, "category_id": category})
    return sorted(merged_images.values(), key=lambda image: (image.video, image.number, image.image))


def find_image(json_path: Path, name: str, folders: Sequence[Path]) -> str | None:
    """Return the real path of an image, searched where exporting tools put it, in all its `spellings`; None if nowhere.

    The whole name counts before the file's name alone. ``folders`` and the JSON's own folder are as good as each other;
    what lies around that folder comes after them.

    Raises
    ------
    InputError
        If different files of that name lie in ``folders`` and beside the JSON: frames of two videos are called alike.
    """
    names = spellings(name)
    here = json_path.parent
    for tail in dict.fromkeys([*names, *map(os.path.basename, names)]):
        candidates = _different_files((*folders, here), tail)
        if len(candidates) > 1:
            raise InputError(f"{name} of {json_path}: {' or '.join(candidates)}")
        candidates = candidates or _different_files((here / "images", here.parent / "images", here.parent), tail)
        if candidates:
            return candidates[0]
    return None


def _different_files(folders: Sequence[Path], name: str) -> list[str]:
    """Return the real paths of the files ``name`` in ``folders``, copies of the same content once."""
    distinct: list[str] = []
    for path in dict.fromkeys(os.path.realpath(folder / name) for folder in folders):
        if os.path.isfile(path) and not any(filecmp.cmp(path, other, shallow=False) for other in distinct):
            distinct.append(path)
    return distinct


def _find_images(file: CocoFile, folders: Sequence[Path], problems: Problems) -> dict[str, str]:
    """Return the real path of each image name that leads to an image, and to one of its own."""
    names: dict[str, set[str]] = {}
    for name in {image["file_name"]: None for image in file.images}:
        try:
            path = find_image(file.path, name, folders)
        except InputError as error:
            problems.add(Problem.WHICH_IMAGE, str(error))
            continue
        if path is None:
            problems.add(Problem.NO_IMAGE, f"{name} of {file.path}")
        else:
            names.setdefault(path, set()).add(name)
    for path, several in names.items():
        if len(several) > 1:
            problems.add(
                Problem.WHICH_IMAGE,
                f"{' and '.join(sorted(several))} of {file.path}, both found as {path}",
                len(several),
            )
    return {several.pop(): path for path, several in names.items() if len(several) == 1}


def convert_merged(image: MergedImage, settings: Conversion) -> Record | Refused:
    """Turn the annotations of one image into a record; box and area are measured on the masks."""
    try:
        width, height, file_bytes = image_facts(image.image)
    except InputError as error:
        return Refused(Problem.BAD_IMAGE, str(error))
    if (width, height) != (image.width, image.height):
        return Refused(
            Problem.SIZE, f"{image.image} is {width} x {height}, its JSON says {image.width} x {image.height}"
        )
    dropped: dict[Dropped, int] = {}
    annotations, masks = [], []
    for annotation in image.annotations:
        if not annotation.get("segmentation"):
            dropped[Dropped.BOX_ONLY] = dropped.get(Dropped.BOX_ONLY, 0) + 1
            continue
        try:
            masks.append(to_counts(annotation["segmentation"], height, width))
        except (ValueError, TypeError) as error:
            return Refused(Problem.BAD_ANNOTATION, f"annotation {annotation.get('id')} of {image.image}: {error}")
        annotations.append(annotation)
    areas = np.array([area(mask) for mask in masks], np.int64)
    boxes = np.array([box(mask, height) for mask in masks], float).reshape(-1, 4)
    kept, too_small = select(areas, boxes, settings.min_area)
    chosen = [annotations[k] for k in kept.tolist()]
    shapes = [_shape(annotations[k], masks[k], boxes[k], height, width, settings.segmentation) for k in kept.tolist()]
    objects = np.array([_object(annotation) for annotation in chosen], np.int64)
    bodies = [
        annotation_body(
            annotation["category_id"], shape, int(areas[k]), boxes[k], _object(annotation), _is_crowd(annotation)
        )
        for annotation, (shape, _), k in zip(chosen, shapes, kept.tolist(), strict=True)
    ]
    flags = flag_masks(boxes[kept], [parts for _, parts in shapes], width, height)
    categories = np.array([annotation["category_id"] for annotation in chosen], np.int64)
    return Record(
        image.video, image.number, image.image, width, height, file_bytes,
        objects, categories, areas[kept], boxes[kept], flags, bodies, dropped={**dropped, **too_small},
    )  # fmt: skip


def _shape(
    annotation: dict[str, Any], counts: bytes, bounds: np.ndarray, height: int, width: int, form: str
) -> tuple[bytes, int]:
    """Return the segmentation as JSON and its number of parts. Polygons drawn by a person are kept as they are."""
    given = annotation["segmentation"]
    polygons = form == POLYGONS and not _is_crowd(annotation)  # COCO's crowds are always runs
    if polygons and isinstance(given, list):
        return json.dumps(given, separators=(",", ":")).encode(), len(given)
    labels = paint([counts], height, width)
    if polygons:
        shape = outline(labels, 1, bounds, counts)
        return shape.json(), len(shape.polygons)
    return rle_json(counts, height, width), count_parts(labels, 1, bounds)


def _categories(file: CocoFile, names: Sequence[str]) -> dict[Any, int | None]:
    """Return our category id for each of the file's; None for those that no annotation has."""
    used = classes_of([file])
    category_ids = {number: match_name(name, names) for number, name in file.classes.items()}
    for number, category in category_ids.items():
        if category is None and file.classes[number] in used:
            raise InputError(
                f"{file.path} has the class {file.classes[number]!r}, "
                f"which is not among --annot-names ({', '.join(names)})"
            )
    return category_ids


def _video(image: dict[str, Any], path: str, videos: list[str]) -> int:
    given = image.get("video")
    name = given if isinstance(given, str) and given else video_names([Path(path).parent])[0]
    if name not in videos:
        videos.append(name)
    return videos.index(name)


def _number(image: dict[str, Any], path: str, index: int) -> int:
    given = image.get("frame")
    if isinstance(given, int) and given >= 0:
        return given
    match = NUMBERED.fullmatch(os.path.splitext(os.path.basename(path))[0])
    return int(match[2]) if match else index


def _object(annotation: dict[str, Any]) -> int:
    given = annotation.get("object")
    return given if isinstance(given, int) and given > 0 else 0


def _is_crowd(annotation: dict[str, Any]) -> bool:
    return annotation.get("iscrowd") in (1, "1")


def _near(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(abs(float(a) - float(b)) <= NEAR_PX for a, b in zip(first, second, strict=True))
