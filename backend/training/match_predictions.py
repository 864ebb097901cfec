"""Match two models' predictions to the labels: which animals each model missed, added or outlined badly."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from backend.detectors.score_threshold import SHOWN_SCORE
from backend.masks import rle
from backend.training.ap import Result
from backend.training.read_coco import Picture, PictureSet

MATCH_IOU = 0.5
GOOD_IOU = 0.75


class Mistake(StrEnum):
    """A model's mistake about one animal."""

    MISSED = "missed"
    EXTRA = "extra"
    POOR_MASK = "poor mask"


@dataclass(frozen=True)
class Difference:
    """One animal, or one false positive, that at least one of two models got wrong.

    ``wrong_a`` and ``wrong_b`` are the sizes of the mistakes: 1 - IoU for a poor mask, 1 for a missed animal, the
    score of a false positive, 0 if it is right. ``box`` is ``x1 y1 x2 y2`` px of the picture.
    """

    image_id: int
    file: str
    class_name: str
    mistake_a: Mistake | None
    mistake_b: Mistake | None
    wrong_a: float
    wrong_b: float
    box: tuple[float, float, float, float]

    @property
    def wrong(self) -> float:
        """How wrong the worse of the two is."""
        return max(self.wrong_a, self.wrong_b)

    def record(self) -> dict[str, Any]:
        """Return it as it stands in ``comparison.json``."""
        return asdict(self)


@dataclass(frozen=True)
class _Matches:
    """One model's predictions matched to one image: each animal's mistake and its size, and the false positives."""

    mistakes: list[tuple[Mistake | None, float]]
    extras: list[Result]


def match_predictions(image_set: PictureSet, first: list[Result], second: list[Result]) -> list[Difference]:
    """Return the differences between two models' predictions and the labels, worst first; none where both are right.

    Predictions below a score of 0.5 are left out: they are not shown anywhere else either.
    """
    by_picture = [_by_picture(first), _by_picture(second)]
    differences: list[Difference] = []
    for picture in image_set.pictures:
        matches = [_match(picture, results[picture.image_id]) for results in by_picture]
        differences += _animal_differences(picture, matches[0], matches[1], image_set.class_names)
        differences += _extra_differences(picture, matches[0], matches[1], image_set.class_names)
    return sorted(differences, key=lambda difference: (-difference.wrong, difference.image_id, difference.box))


def totals(differences: Sequence[Difference]) -> dict[str, dict[str, int]]:
    """Return how often each model made each mistake: ``{"a": {"missed": 3, ...}, "b": ...}``."""
    counts = {name: {mistake.value: 0 for mistake in Mistake} for name in ("a", "b")}
    for difference in differences:
        for name, mistake in (("a", difference.mistake_a), ("b", difference.mistake_b)):
            if mistake is not None:
                counts[name][mistake.value] += 1
    return counts


def _by_picture(results: list[Result]) -> dict[int, list[Result]]:
    grouped: dict[int, list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda result: -result["score"]):
        if result["score"] >= SHOWN_SCORE:
            grouped[result["image_id"]].append(result)
    return grouped


def _match(picture: Picture, results: list[Result]) -> _Matches:
    """Match predictions, best score first, to the animal of their class that they overlap most."""
    truth = [picture.counts(instance) for instance in picture.instances]
    predicted = [result["segmentation"]["counts"].encode() for result in results]
    overlaps = rle.iou(predicted, truth, picture.height)
    same = np.array(
        [[result["category_id"] == instance.class_id for instance in picture.instances] for result in results], bool
    ).reshape(overlaps.shape)
    overlaps = np.where(same, overlaps, 0.0)
    best: dict[int, float] = {}
    extras = []
    for row, result in zip(overlaps, results, strict=True):
        free = [0.0 if index in best else overlap for index, overlap in enumerate(row.tolist())]
        if free and max(free) >= MATCH_IOU:
            best[free.index(max(free))] = max(free)
        else:
            extras.append(result)  # a false positive, or an animal that is matched already
    mistakes = [
        (None, 0.0) if instance.crowd else _mistake(best.get(index)) for index, instance in enumerate(picture.instances)
    ]
    return _Matches(mistakes, extras)


def _mistake(overlap: float | None) -> tuple[Mistake | None, float]:
    if overlap is None:
        return Mistake.MISSED, 1.0
    return (None, 0.0) if overlap >= GOOD_IOU else (Mistake.POOR_MASK, 1.0 - overlap)


def _animal_differences(
    picture: Picture, first: _Matches, second: _Matches, names: tuple[str, ...]
) -> list[Difference]:
    differences = []
    for instance, (mistake_a, wrong_a), (mistake_b, wrong_b) in zip(
        picture.instances, first.mistakes, second.mistakes, strict=True
    ):
        if mistake_a is None and mistake_b is None:
            continue
        box = tuple(rle.box(picture.counts(instance), picture.height).tolist())
        name = names[instance.class_id - 1]
        differences.append(
            Difference(picture.image_id, picture.path.name, name, mistake_a, mistake_b, wrong_a, wrong_b, box)
        )
    return differences


def _extra_differences(picture: Picture, first: _Matches, second: _Matches, names: tuple[str, ...]) -> list[Difference]:
    """List false positives; one that both models have at the same position is one difference."""
    counts = [[result["segmentation"]["counts"].encode() for result in matches.extras] for matches in (first, second)]
    overlaps = rle.iou(*counts, picture.height)
    partners: dict[int, int] = {}
    for index, row in enumerate(overlaps):
        free = [0.0 if other in partners.values() else overlap for other, overlap in enumerate(row.tolist())]
        if free and max(free) >= MATCH_IOU:
            partners[index] = free.index(max(free))
    pairs: list[tuple[Result | None, Result | None]] = [
        (result, second.extras[partners[index]] if index in partners else None)
        for index, result in enumerate(first.extras)
    ]
    pairs += [(None, result) for index, result in enumerate(second.extras) if index not in partners.values()]
    return [_extra_difference(picture, a, b, names) for a, b in pairs]


def _extra_difference(picture: Picture, a: Result | None, b: Result | None, names: tuple[str, ...]) -> Difference:
    shown = a or b
    x, y, width, height = shown["bbox"]
    return Difference(
        picture.image_id,
        picture.path.name,
        names[shown["category_id"] - 1],
        Mistake.EXTRA if a else None,
        Mistake.EXTRA if b else None,
        a["score"] if a else 0.0,
        b["score"] if b else 0.0,
        (x, y, x + width, y + height),
    )
