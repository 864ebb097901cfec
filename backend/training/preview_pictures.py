"""Pictures that show what the network is given and what it makes of it."""

from collections import defaultdict

import cv2
import numpy as np

from backend.masks.draw_overlay import overlay
from backend.training.ap import Result
from backend.training.data_loading import Batch
from backend.training.draw_predictions import draw_results, draw_truth
from backend.training.read_coco import PictureSet

MOST_PICTURES = 4
MOST_SIDE_PX = 640
SHOWN_SCORE = 0.5


def draw_batch(batch: Batch, class_names: tuple[str, ...]) -> np.ndarray:
    """Return the first pictures of a batch as the network sees them, augmented, with their truth: (H, W, 3) uint8."""
    drawn = []
    shown = zip(batch.pictures[:MOST_PICTURES], batch.sizes, batch.targets, strict=False)
    for picture, (width, height), target in shown:
        pixels = np.ascontiguousarray(picture[:, :height, :width].permute(1, 2, 0).cpu().numpy())
        masks = target.masks.cpu().numpy()
        labels = np.zeros((height, width), np.uint8)
        for number, mask in enumerate(masks[:255], 1):
            labels[mask[:height, :width] > 0] = number
        names = [class_names[class_id - 1] for class_id in target.class_ids.tolist()]
        drawn.append(overlay(pixels, labels, target.boxes.cpu().numpy(), names))
    return _sheet([drawn])


def chosen_places(n: int) -> list[int]:
    """Return the places of the few pictures, spread over a set of ``n``, that are drawn each time."""
    return sorted(set(np.linspace(0, n - 1, MOST_PICTURES).astype(int).tolist()))


def draw_predictions(found: PictureSet, places: list[int], results: list[Result]) -> np.ndarray:
    """Return the pictures at ``places`` of the set: truth above, predictions below, each with its score."""
    chosen = [found.pictures[place] for place in places]
    by_picture: dict[int, list[Result]] = defaultdict(list)
    for result in results:
        if result["score"] >= SHOWN_SCORE:
            by_picture[result["image_id"]].append(result)
    above, below = [], []
    for picture in chosen:
        image = cv2.imread(str(picture.path), cv2.IMREAD_COLOR_RGB)
        if image is None:
            continue  # it was there when the evaluation read it
        above.append(draw_truth(image, picture, found.class_names))
        below.append(draw_results(image, by_picture[picture.image_id], found.class_names))
    return _sheet([above, below])


def _sheet(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Put pictures of any sizes into rows, each shrunk to at most `MOST_SIDE_PX`."""
    shrunk = [[_fit(picture) for picture in row] for row in rows]
    height = max((picture.shape[0] for row in shrunk for picture in row), default=1)
    width = max((picture.shape[1] for row in shrunk for picture in row), default=1)
    sheet = np.full((height * len(rows), width * max(1, *map(len, rows)), 3), 255, np.uint8)
    for y, row in enumerate(shrunk):
        for x, picture in enumerate(row):
            sheet[y * height : y * height + picture.shape[0], x * width : x * width + picture.shape[1]] = picture
    return sheet


def _fit(picture: np.ndarray) -> np.ndarray:
    scale = MOST_SIDE_PX / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
