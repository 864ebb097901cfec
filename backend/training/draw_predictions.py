"""Drawings of truth and predictions: single images, the sheets of a training, close-ups of two models' differences.

Imports no torch: pages draw with it.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from backend.detectors.score_threshold import SHOWN_SCORE
from backend.masks import rle
from backend.masks.draw_overlay import overlay
from backend.project.errors import InputError
from backend.training.ap import Result
from backend.training.read_coco import Picture, PictureSet

if TYPE_CHECKING:
    from backend.training.data_loading import Batch

SHEET_IMAGES, SHEET_SIDE_PX = 4, 640
CLOSE_UP_MARGIN = 1.5  # times the box's longer side
CLOSE_UP_LEAST_PX, CLOSE_UP_SHOWN_PX = 64, 480


def draw_truth(image: np.ndarray, picture: Picture, class_names: tuple[str, ...] | None) -> np.ndarray:
    """Return ``image`` with its labels drawn; without ``class_names`` no texts, which would hide small animals."""
    counts = [picture.counts(instance) for instance in picture.instances[:255]]
    names = class_names and [class_names[instance.class_id - 1] for instance in picture.instances[:255]]
    return _drawn(image, counts, names)


def draw_results(image: np.ndarray, results: list[Result], class_names: tuple[str, ...] | None) -> np.ndarray:
    """Return ``image`` with predictions and their scores drawn, the best 255 of them; texts as in `draw_truth`."""
    ordered = sorted(results, key=lambda result: result["score"])[-255:]  # the best one on top
    counts = [result["segmentation"]["counts"].encode() for result in ordered]
    names = class_names and [f"{class_names[result['category_id'] - 1]} {result['score']:.2f}" for result in ordered]
    return _drawn(image, counts, names)


def as_jpeg(picture: np.ndarray) -> bytes:
    """Return (H, W, 3) uint8 RGB as a JPEG file."""
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def _drawn(image: np.ndarray, counts: list[bytes], names: Sequence[str] | None) -> np.ndarray:
    height, width = image.shape[:2]
    boxes = np.array([rle.box(mask, height) for mask in counts]).reshape(-1, 4)
    return overlay(image, rle.paint(counts, height, width), boxes, names)


def draw_batch(batch: "Batch", class_names: tuple[str, ...]) -> np.ndarray:
    """Return the first pictures of a batch as the network sees them, augmented, with their truth: (H, W, 3) uint8."""
    drawn = []
    shown = zip(batch.pictures[:SHEET_IMAGES], batch.sizes, batch.targets, strict=False)
    for picture, (width, height), target in shown:
        pixels = np.ascontiguousarray(picture[:, :height, :width].permute(1, 2, 0).cpu().numpy())
        masks = target.masks.cpu().numpy()
        labels = np.zeros((height, width), np.uint8)
        for number, mask in enumerate(masks[:255], 1):
            labels[mask[:height, :width] > 0] = number
        names = [class_names[class_id - 1] for class_id in target.class_ids.tolist()]
        drawn.append(overlay(pixels, labels, target.boxes.cpu().numpy(), names))
    return _sheet([drawn])


def preview_indices(n: int) -> list[int]:
    """Return the indices of the few images, spread over a set of ``n``, that are drawn at every evaluation."""
    return sorted(set(np.linspace(0, n - 1, SHEET_IMAGES).astype(int).tolist()))


def draw_predictions(image_set: PictureSet, indices: list[int], results: list[Result]) -> np.ndarray:
    """Return the pictures at ``indices`` of the set: truth above, predictions below, each with its score."""
    chosen = [image_set.pictures[index] for index in indices]
    by_picture: dict[int, list[Result]] = defaultdict(list)
    for result in results:
        if result["score"] >= SHOWN_SCORE:
            by_picture[result["image_id"]].append(result)
    above, below = [], []
    for picture in chosen:
        image = cv2.imread(str(picture.path), cv2.IMREAD_COLOR_RGB)
        if image is None:
            continue  # it was there when the evaluation read it
        above.append(draw_truth(image, picture, image_set.class_names))
        below.append(draw_results(image, by_picture[picture.image_id], image_set.class_names))
    return _sheet([above, below])


def _sheet(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Put pictures of any sizes into rows, each shrunk to at most `SHEET_SIDE_PX`."""
    shrunk = [[_fit(picture) for picture in row] for row in rows]
    height = max((picture.shape[0] for row in shrunk for picture in row), default=1)
    width = max((picture.shape[1] for row in shrunk for picture in row), default=1)
    sheet = np.full((height * len(rows), width * max(1, *map(len, rows)), 3), 255, np.uint8)
    for y, row in enumerate(shrunk):
        for x, picture in enumerate(row):
            sheet[y * height : y * height + picture.shape[0], x * width : x * width + picture.shape[1]] = picture
    return sheet


def _fit(picture: np.ndarray) -> np.ndarray:
    scale = SHEET_SIDE_PX / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def draw_difference(
    picture: Picture, box: Sequence[float], first: list[Result], second: list[Result]
) -> list[np.ndarray]:
    """Return three pictures, each (H, W, 3) uint8 RGB: truth, first and second model, around ``box``.

    Parameters
    ----------
    picture
        The image with its labels.
    box
        ``x1 y1 x2 y2`` px of the image.
    first, second
        The models' predictions in this image; those below a score of 0.5 are left out.

    Raises
    ------
    InputError
        If the image cannot be read.
    """
    image = cv2.imread(str(picture.path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise InputError(f"{picture.path} cannot be read as an image")
    sure = [[result for result in results if result["score"] >= SHOWN_SCORE] for results in (first, second)]
    drawn = [draw_truth(image, picture, None), *(draw_results(image, results, None) for results in sure)]
    x1, y1, x2, y2 = _window(box, picture.width, picture.height)
    return [_enlarged(drawing[y1:y2, x1:x2]) for drawing in drawn]


def _window(box: Sequence[float], width: int, height: int) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = box
    half = max(CLOSE_UP_MARGIN * max(x2 - x1, y2 - y1), CLOSE_UP_LEAST_PX) / 2
    centre_x, centre_y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = max(0, int(centre_x - half)), max(0, int(centre_y - half))
    return left, top, min(width, int(centre_x + half) + 1), min(height, int(centre_y + half) + 1)


def _enlarged(part: np.ndarray) -> np.ndarray:
    scale = CLOSE_UP_SHOWN_PX / max(part.shape[:2])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
