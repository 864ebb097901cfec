"""Truth and predictions drawn over an image. Imports no torch."""

from collections.abc import Sequence

import cv2
import numpy as np

from backend.masks import rle
from backend.masks.draw_overlay import overlay
from backend.training.ap import Result
from backend.training.read_coco import Picture


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
    boxes = np.array([rle.box(each, height) for each in counts]).reshape(-1, 4)
    return overlay(image, rle.paint(counts, height, width), boxes, names)
