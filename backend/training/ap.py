"""COCO average precision for boxes and masks, as COCO defines it, computed by pycocotools."""

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from backend.training.read_coco import Instance, Picture, PictureSet

AREAS = ("all", "small", "medium", "large")  # under 32^2, 32^2 to 96^2, over 96^2 px2 of the original picture
KINDS = {"mask": "segm", "box": "bbox"}
MAX_DETECTIONS = (1, 10, 100)

Result = dict[str, Any]  # a COCO result: image_id, category_id, score, bbox (x y w h), segmentation
Metrics = dict[str, Any]


def coco_truth(image_set: PictureSet) -> COCO:
    """Return the set as pycocotools wants it, with our 1-based class ids as category ids."""
    annotations: list[dict] = []
    for picture in image_set.pictures:
        annotations += (_annotation(instance, picture) for instance in picture.instances)
    for number, annotation in enumerate(annotations, 1):  # pycocotools takes 0 for unmatched
        annotation["id"] = number
    coco = COCO()
    coco.dataset = {
        "images": [
            {"id": image.image_id, "width": image.width, "height": image.height} for image in image_set.pictures
        ],
        "annotations": annotations,
        "categories": [{"id": class_id, "name": name} for class_id, name in enumerate(image_set.class_names, 1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def average_precision(image_set: PictureSet, results: list[Result], max_detections: int = 100) -> Metrics:
    """Return AP and recall of ``results``, 0 to 1, None where there is nothing to find.

    ``max_detections`` is the largest number of detections an image may have. The result has, for "mask" and "box",
    ``ap`` (mean over IoU 0.5 to 0.95), ``ap50``, ``ap75``, ``ap_small``, ``ap_medium``, ``ap_large``, ``recall`` and
    ``per_class`` (name to AP).
    """
    coco = coco_truth(image_set)
    with contextlib.redirect_stdout(io.StringIO()):
        predicted = coco.loadRes(results) if results else COCO()
        if not results:
            predicted.dataset = {**coco.dataset, "annotations": []}
            predicted.createIndex()
        return {
            kind: _evaluate(coco, predicted, name, max_detections, image_set.class_names)
            for kind, name in KINDS.items()
        }


def _evaluate(coco: COCO, predicted: COCO, kind: str, max_detections: int, names: tuple[str, ...]) -> Metrics:
    evaluation = COCOeval(coco, predicted, kind)
    evaluation.params.maxDets = [*MAX_DETECTIONS[:2], max(MAX_DETECTIONS[2], max_detections)]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]  # IoU x recall x class x area
    recall = evaluation.eval["recall"][..., -1]  # IoU x class x area
    metrics = {"ap": _mean(precision[..., 0]), "ap50": _mean(precision[0, ..., 0]), "ap75": _mean(precision[5, ..., 0])}
    for number, area in enumerate(AREAS[1:], 1):
        metrics[f"ap_{area}"] = _mean(precision[..., number])
    metrics["recall"] = _mean(recall[..., 0])
    metrics["per_class"] = {name: _mean(precision[:, :, number, 0]) for number, name in enumerate(names)}
    return metrics


def _mean(values: np.ndarray) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _annotation(instance: Instance, picture: Picture) -> dict:
    encoded = {"size": [picture.height, picture.width], "counts": picture.counts(instance)}
    return {
        "image_id": picture.image_id,
        "category_id": instance.class_id,
        "segmentation": encoded,
        "bbox": coco_mask.toBbox(encoded).tolist(),
        "area": float(coco_mask.area(encoded)),
        "iscrowd": int(instance.crowd),
    }
