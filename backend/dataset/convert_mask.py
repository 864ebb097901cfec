"""Convert one mask file to one record of annotations. Runs in worker processes."""

import json
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image

from backend.dataset.image_records import Dropped, Record
from backend.dataset.label_checks import flag_masks
from backend.dataset.problems import Problem
from backend.dataset.sources import MaskFrame
from backend.masks.indexed import read_labels
from backend.masks.orientation import UPRIGHT, orientation
from backend.masks.polygons import count_parts, outline
from backend.masks.rle import label_runs
from backend.project.errors import InputError

POLYGONS, RLE = "polygons", "rle"


@dataclass(frozen=True)
class Conversion:
    """How masks become annotations: COCO form, smallest area in px, object id to category id for each video."""

    segmentation: str
    min_area: int
    categories: tuple[dict[int, int], ...] = ()


@dataclass(frozen=True)
class Refused:
    """A frame that cannot be used, and why."""

    kind: Problem
    example: str


def convert_mask(frame: MaskFrame, settings: Conversion) -> Record | Refused:
    """Turn the mask of one frame into annotations."""
    try:
        labels = read_labels(frame.mask)
    except InputError as error:
        return Refused(Problem.BAD_MASK, str(error))
    try:
        width, height, file_bytes = image_facts(frame.image)
    except InputError as error:
        return Refused(Problem.BAD_IMAGE, str(error))
    if labels.shape != (height, width):
        sizes = f"{width} x {height} and {labels.shape[1]} x {labels.shape[0]}"
        return Refused(Problem.SIZE, f"{frame.image} and its mask, {sizes}")
    runs = label_runs(labels)
    categories = settings.categories[frame.video]
    unknown = [number for number in runs.ids.tolist() if number not in categories]
    if unknown:
        allowed = ", ".join(map(str, sorted(categories)))
        return Refused(Problem.UNKNOWN_ID, f"id {unknown[0]} in {frame.mask} (known: {allowed})")
    kept, dropped = select(runs.areas(), runs.boxes(), settings.min_area)
    boxes = runs.boxes()[kept].astype(float)
    shapes = [
        _shape(labels, int(runs.ids[k]), box, runs.counts(k), settings.segmentation)
        for k, box in zip(kept.tolist(), boxes, strict=True)
    ]
    objects = runs.ids[kept].astype(np.int64)
    chosen = np.array([categories[number] for number in objects.tolist()], np.int64)
    areas = runs.areas()[kept]
    bodies = [
        annotation_body(int(chosen[k]), shapes[k][0], int(areas[k]), boxes[k], int(objects[k]))
        for k in range(len(kept))
    ]
    flags = flag_masks(boxes, [parts for _, parts in shapes], width, height)
    return Record(
        frame.video, frame.number, frame.image, width, height, file_bytes,
        objects, chosen, areas, boxes, flags, bodies, dropped=dropped,
    )  # fmt: skip


def select(areas: np.ndarray, boxes: np.ndarray, min_area: int) -> tuple[np.ndarray, dict[Dropped, int]]:
    """Return the indices of the masks that are kept, (K,) int64, and how many are not, by reason.

    ``areas`` (N,) px; ``boxes`` (N, 4) ``x1 y1 x2 y2``.
    """
    small = areas < min_area
    thin = ~small & ((boxes[:, 2] - boxes[:, 0] < 2) | (boxes[:, 3] - boxes[:, 1] < 2))
    dropped = {Dropped.SMALL: int(small.sum()), Dropped.THIN: int(thin.sum())}
    return np.flatnonzero(~small & ~thin), {reason: count for reason, count in dropped.items() if count}


def annotation_body(
    category: int, segmentation: bytes, area: int, box: np.ndarray, object_id: int = 0, crowd: bool = False
) -> bytes:
    """Return an annotation as JSON members without id and image_id.

    ``box`` is ``x1 y1 x2 y2`` px (COCO gets x, y, w, h); ``object_id`` is the object's id in its video, 0 if unknown.
    """
    x1, y1, x2, y2 = box.tolist()
    head = f'"category_id":{category},"bbox":[{x1:.12g},{y1:.12g},{x2 - x1:.12g},{y2 - y1:.12g}],"area":{area}'
    tail = f',"iscrowd":{int(crowd)}' + (f',"object":{object_id}' if object_id else "")
    return b'%s%s,"segmentation":%s' % (head.encode(), tail.encode(), segmentation)


def rle_json(counts: bytes, height: int, width: int) -> bytes:
    """Return COCO's compressed RLE as JSON."""
    return b'{"size":[%d,%d],"counts":%s}' % (height, width, json.dumps(counts.decode("ascii")).encode())


def image_facts(path: str) -> tuple[int, int, int]:
    """Return width, height and file size in bytes of an image without decoding it.

    Raises
    ------
    InputError
        If it is no image, or is stored turned: the engines do not agree on whether to turn it back.
    """
    try:
        with open(path, "rb") as file:
            turned = orientation(file)
            file.seek(0)
            with Image.open(file) as image:
                width, height = image.size
        file_bytes = os.stat(path).st_size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'no image that can be read'}") from error
    if turned != UPRIGHT:
        raise InputError(f"{path}: stored turned (EXIF orientation {turned}); save it upright")
    return width, height, file_bytes


def _shape(labels: np.ndarray, value: int, box: np.ndarray, counts: bytes, form: str) -> tuple[bytes, int]:
    """Return the segmentation as JSON, and the number of parts."""
    if form == RLE:
        return rle_json(counts, *labels.shape), count_parts(labels, value, box)
    shape = outline(labels, value, box, counts)
    return shape.json(), len(shape.polygons)
