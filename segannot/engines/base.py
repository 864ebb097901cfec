"""The interface of engines: outlines from strokes, and propagation of outlines through the video."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np


class StrokeKind(StrEnum):
    """How a stroke was drawn."""

    SCRIBBLE = "scribble"
    CLICK = "click"
    BOX = "box"
    BRUSH = "brush"


@dataclass(frozen=True)
class Stroke:
    """One stroke that a person drew for one object.

    ``points``: (N, 2) float64 xy, px of the frame; a box has two, opposite corners. ``positive``: the points belong to
    the object, else they do not. ``radius``: half the width of the line, px. Brush strokes are exact to the pixel.
    """

    kind: StrokeKind
    points: np.ndarray
    positive: bool = True
    radius: float = 3.0


@dataclass(frozen=True)
class LabelledFrame:
    """A frame: number, (H, W, 3) uint8 RGB, and its current (H, W) uint8 label map (object ids, 0: background)."""

    frame: int
    picture: np.ndarray
    labels: np.ndarray


@dataclass
class PropagatedFrame:
    """Result of propagation for one frame: ``labels`` (H, W) uint8, ``confidence`` by object id, 0 (lost) to 1."""

    frame: int
    labels: np.ndarray
    confidence: dict[int, float] = field(default_factory=dict)


class Engine(Protocol):
    """A segmentation method. Not for use from several threads at once."""

    name: str

    def segment(self, view: LabelledFrame, number: int, drawn: Sequence[Stroke]) -> np.ndarray:
        """Return (H, W) bool: the mask of object ``number`` on a frame, from its strokes ``drawn``, oldest first."""

    def learn(self, view: LabelledFrame, numbers: Sequence[int]) -> None:
        """Learn the appearance of objects from a frame whose masks a person drew or accepted."""

    def propagate(self, start: LabelledFrame, pictures: Iterator[tuple[int, np.ndarray]], numbers: Sequence[int],
                  order: Sequence[int]) -> Iterator[PropagatedFrame]:  # fmt: skip
        """Propagate objects ``numbers`` from ``start`` through ``pictures``, (frame, RGB), in either direction of time.

        ``order`` holds all ids from back to front. The label maps that come out hold only ``numbers``.
        """
