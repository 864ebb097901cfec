"""Statistics of a data set, counted image by image; memory does not grow with the number of images."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.dataset.image_records import FLAG_TEXTS, Flag, Record
from backend.dataset.split import Side

HEAT = (18, 32)  # fields of the heat map, rows and columns
SIZE_EDGES = np.concatenate([[0], np.geomspace(4, 2048, 28).round(1)])  # square root of the area, px
SMALL, LARGE = 32**2, 96**2  # COCO's own borders, px
EXAMPLES = 20
SEGMENTS = 400  # pieces a video's strip is drawn with
SIDES = {Side.TRAIN: "train", Side.VAL: "val", Side.LEFT_OUT: "left out"}


@dataclass
class Statistics:
    """Counters over the images that were written (and, in the strips, over those left out between the sides)."""

    videos: list[str]
    classes: list[str]
    images: Counter = field(default_factory=Counter)
    instances: Counter = field(default_factory=Counter)
    by_class: Counter = field(default_factory=Counter)
    images_with_class: Counter = field(default_factory=Counter)
    cardinality: Counter = field(default_factory=Counter)
    image_sizes: Counter = field(default_factory=Counter)
    flag_counts: Counter = field(default_factory=Counter)
    flag_examples: dict[Flag, list[dict[str, Any]]] = field(default_factory=dict)
    strips: dict[int, list[list[int]]] = field(default_factory=dict)
    sizes: np.ndarray = field(default_factory=lambda: np.zeros((2, len(SIZE_EDGES)), np.int64))
    heat: np.ndarray = field(default_factory=lambda: np.zeros(HEAT, np.int64))
    coco_sizes: np.ndarray = field(default_factory=lambda: np.zeros(3, np.int64))
    root_area: list[float] = field(default_factory=lambda: [0.0, np.inf, 0.0])  # sum, smallest, largest

    def add(self, record: Record, side: Side, image_id: int, first_annotation_id: int, name: str) -> None:
        """Count one image that is written to ``side`` under ``name``."""
        video = record.video
        self.images[video, side] += 1
        self.instances[video, side] += len(record.areas)
        self.cardinality[len(record.areas), side] += 1
        self.image_sizes[record.width, record.height] += 1
        for category in record.categories.tolist():
            self.by_class[category, side] += 1
        for category in set(record.categories.tolist()):
            self.images_with_class[category] += 1
        self._add_shapes(record, side)
        for k, flags in enumerate(record.flags):
            for flag in flags:
                self.flag_counts[flag] += 1
                examples = self.flag_examples.setdefault(flag, [])
                if len(examples) < EXAMPLES:
                    examples.append(
                        {"image_id": image_id, "annotation_id": first_annotation_id + k, "file_name": name,
                         "object": int(record.objects[k]), "side": SIDES[side]}
                    )  # fmt: skip

    def lay_out(self, videos: np.ndarray, numbers: np.ndarray, sides: np.ndarray) -> None:
        """Record which part of each video went to which side, as ``[first, last, side, images]`` pieces.

        ``videos``, ``numbers``, ``sides`` (N,) each: video, frame number and `Side` of every image.
        """
        order = np.lexsort((numbers, videos))
        for video, number, side in zip(
            videos[order].tolist(), numbers[order].tolist(), sides[order].tolist(), strict=True
        ):
            strip = self.strips.setdefault(video, [])
            if strip and (strip[-1][2] == side or len(strip) >= SEGMENTS):
                strip[-1][1], strip[-1][3] = number, strip[-1][3] + 1
            else:
                strip.append([number, number, side, 1])

    def _add_shapes(self, record: Record, side: Side) -> None:
        if not len(record.areas):
            return
        roots = np.sqrt(record.areas)
        bins = np.searchsorted(SIZE_EDGES, roots, side="right") - 1
        np.add.at(self.sizes[int(side)], bins, 1)
        self.coco_sizes += np.histogram(record.areas, [0, SMALL, LARGE, np.inf])[0]
        self.root_area[0] += float(roots.sum())
        self.root_area[1] = min(self.root_area[1], float(roots.min()))
        self.root_area[2] = max(self.root_area[2], float(roots.max()))
        centres = (record.boxes[:, :2] + record.boxes[:, 2:]) / 2 / [record.width, record.height]
        fields = np.minimum((centres[:, ::-1] * HEAT).astype(int), np.array(HEAT) - 1)
        np.add.at(self.heat, (fields[:, 0], fields[:, 1]), 1)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        images, instances = sum(self.images.values()), sum(self.instances.values())
        cardinality = instances / images if images else 0.0
        return {
            "images": images,
            "instances": instances,
            "by_side": {SIDES[side]: self._side(side) for side in (Side.TRAIN, Side.VAL)},
            "cardinality": round(cardinality, 4),
            "density": round(cardinality / len(self.classes), 4),
            "instances_per_image": self._cardinality(),
            "classes": [self._class(number, name) for number, name in enumerate(self.classes, 1)],
            "videos": [self._video(number, name) for number, name in enumerate(self.videos) if self._has(number)],
            "image_sizes": [
                {"width": width, "height": height, "images": count}
                for (width, height), count in self.image_sizes.most_common()
            ],
            "mask_sizes": {
                "edges_px": [*SIZE_EDGES.tolist(), None],
                "train": self.sizes[0].tolist(),
                "val": self.sizes[1].tolist(),
                "mean_px": round(self.root_area[0] / max(1, instances), 2),
                "smallest_px": round(self.root_area[1], 2) if instances else None,
                "largest_px": round(self.root_area[2], 2),
                "coco": dict(zip(("small", "medium", "large"), self.coco_sizes.tolist(), strict=True)),
            },
            "heat_map": self.heat.tolist(),
            "suspicious": [
                {
                    "flag": flag.value,
                    "meaning": FLAG_TEXTS[flag],
                    "count": self.flag_counts[flag],
                    "examples": self.flag_examples.get(flag, []),
                }
                for flag in Flag
            ],
        }

    def _has(self, video: int) -> bool:
        return any(self.images[video, side] for side in (Side.TRAIN, Side.VAL))

    def _side(self, side: Side) -> dict[str, int]:
        return {
            "images": sum(count for (_, where), count in self.images.items() if where == side),
            "instances": sum(count for (_, where), count in self.instances.items() if where == side),
            "images_without_instances": self.cardinality[0, side],
        }

    def _cardinality(self) -> list[dict[str, int]]:
        most = max((number for number, _ in self.cardinality), default=0)
        return [
            {
                "instances": number,
                "train": self.cardinality[number, Side.TRAIN],
                "val": self.cardinality[number, Side.VAL],
            }
            for number in range(most + 1)
        ]

    def _class(self, number: int, name: str) -> dict[str, Any]:
        train, val = self.by_class[number, Side.TRAIN], self.by_class[number, Side.VAL]
        share = (train + val) / max(1, sum(self.instances.values()))
        images = self.images_with_class[number]
        return {"name": name, "train": train, "val": val, "share": round(share, 4), "images": images}

    def _video(self, number: int, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "train_images": self.images[number, Side.TRAIN],
            "val_images": self.images[number, Side.VAL],
            "train_instances": self.instances[number, Side.TRAIN],
            "val_instances": self.instances[number, Side.VAL],
            "strip": self.strips.get(number, []),
        }
