"""What every engine can do: outlines from what people draw, and outlines carried on through the video."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np


class Kind(StrEnum):
    """How something was drawn."""

    SCRIBBLE = "scribble"
    CLICK = "click"
    BOX = "box"
    BRUSH = "brush"


@dataclass(frozen=True)
class Interaction:
    """One thing a person drew for one object.

    ``points`` (N, 2) float64 xy, px of the frame; a box has two, opposite corners. ``positive`` says "this is the
    bird", else "this is not". ``radius`` is half the width of the line, px. A brush is meant to the pixel.
    """

    kind: Kind
    points: np.ndarray
    positive: bool = True
    radius: float = 3.0


@dataclass(frozen=True)
class View:
    """A frame as an engine sees it: number, (H, W, 3) uint8 RGB, and its (H, W) uint8 label map so far."""

    frame: int
    picture: np.ndarray
    labels: np.ndarray


@dataclass
class Carried:
    """The outcome for one frame: ``labels`` (H, W) uint8, ``confidence`` by object id, 0 (lost) to 1 (sure)."""

    frame: int
    labels: np.ndarray
    confidence: dict[int, float] = field(default_factory=dict)


class Engine(Protocol):
    """One way to make outlines. Not for use from several threads at once."""

    name: str

    def segment(self, view: View, number: int, drawn: Sequence[Interaction]) -> np.ndarray:
        """Return (H, W) bool: object ``number`` on a frame after all that was ``drawn``; the newest is last."""

    def learn(self, view: View, numbers: Sequence[int]) -> None:
        """Remember how objects look on a frame that a person drew or accepted."""

    def propagate(self, start: View, pictures: Iterator[tuple[int, np.ndarray]], numbers: Sequence[int],
                  order: Sequence[int]) -> Iterator[Carried]:  # fmt: skip
        """Carry objects on from ``start`` through ``pictures``, (frame, RGB), which follow it in either direction.

        ``order`` holds the ids from back to front. Only the objects in ``numbers`` are in the label maps that come out.
        """
