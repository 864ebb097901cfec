"""Small pictures of ellipses and triangles with their masks as COCO JSON: something a network learns in minutes."""

import json
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask

CLASSES = ("ellipse", "triangle")


def shapes_set(
    folder: Path,
    name: str,
    n: int,
    seed: int,
    size: tuple[int, int] = (128, 96),
    classes: tuple[str, ...] = CLASSES,
    form: str = "polygons",
) -> Path:
    """Write ``n`` pictures of ``size`` (width, height) px and return their COCO JSON.

    ``form`` is "polygons" or "rle". Category ids are 3, 6, ...: readers must not take them for places.
    """
    random = np.random.default_rng(seed)
    images, annotations = [], []
    (folder / name).mkdir(parents=True)
    for number in range(1, n + 1):
        picture, masks = draw(random, size, len(classes))
        file = f"{name}/{number:04d}.png"
        cv2.imwrite(str(folder / file), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        images.append({"id": number, "file_name": file, "width": size[0], "height": size[1]})
        for class_id, polygon in masks:
            encoded = coco_mask.merge(coco_mask.frPyObjects([polygon], size[1], size[0]))
            runs = {"size": [size[1], size[0]], "counts": encoded["counts"].decode()}
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 3 * class_id,
                    "segmentation": [polygon] if form == "polygons" else runs,
                    "bbox": coco_mask.toBbox(encoded).tolist(),
                    "area": float(coco_mask.area(encoded)),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": 3 * place, "name": each, "supercategory": "shape"} for place, each in enumerate(classes, 1)]
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def draw(
    random: np.random.Generator, size: tuple[int, int], n_classes: int
) -> tuple[np.ndarray, list[tuple[int, list[float]]]]:
    """Return a picture (H, W, 3) uint8 RGB and, for each shape in it, class id and polygon ``x y x y ...``."""
    width, height = size
    ground = random.integers(60, 120, 3)
    picture = np.clip(ground + random.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)
    taken = np.zeros((height, width), bool)
    shapes = []
    for _ in range(random.integers(1, 5)):
        class_id = int(random.integers(1, n_classes + 1))
        radius = random.uniform(0.12, 0.22) * height
        centre = random.uniform([radius, radius], [width - radius, height - radius])
        turn = random.uniform(0, 2 * np.pi)
        angles = turn + (np.linspace(0, 2 * np.pi, 24, endpoint=False) if class_id == 1 else np.arange(3) * 2.1)
        points = centre + radius * np.stack([np.cos(angles), (0.7 if class_id == 1 else 1) * np.sin(angles)], 1)
        points = np.clip(points, 0, [width, height])
        inside = np.zeros((height, width), np.uint8)
        cv2.fillPoly(inside, [np.round(points).astype(np.int32)], 1)
        if (taken & (inside > 0)).any() or inside.sum() < 30:
            continue
        taken |= inside > 0
        picture[inside > 0] = np.clip(random.integers(150, 256, 3) + random.normal(0, 8, (inside.sum(), 3)), 0, 255)
        shapes.append((class_id, points.ravel().round(2).tolist()))
    return picture, shapes
