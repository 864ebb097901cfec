"""The engine without learned weights: colour models of each object, edges, and dense optical flow. Runs on any CPU.

**Outlines** (`segment`): in a window around the strokes, at most 320 px wide, each pixel gets log odds from three
sources: the colour models of strokes, earlier labelled frames and surroundings; its geodesic distance to positive
strokes against that to negative ones and the window's border; the current outline. A Markov random field in which
neighbours agree unless there is an edge between them turns them into an outline. Colour models and outline are refined
alternately, as in GrabCut (Rother et al. 2004).

**Propagation** (`propagate`): the outline is warped by DIS optical flow (Kroeger et al. 2016) in a window around each
object; then the same random field decides, from the object's colours in all labelled frames, the current surroundings,
and the warped shape.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from backend.masks.strokes import stroke_mask
from segannot.engines.base import LabelledFrame, PropagatedFrame, Stroke, StrokeKind
from segannot.engines.colour_model import ColourModel, features, log_odds
from segannot.engines.mean_field import geodesic_distance, mean_field
from segannot.engines.propagate import ObjectPropagator
from segannot.engines.windows import Window, window_around
from segannot.mask_edits import box_of, signed_distance, without_specks

WORK_PX = 320
MIN_MARGIN = 0.06  # of the frame's longer side, around the strokes
ROUNDS = 12
STRENGTH, TOLERANCE = 1.6, 6.0  # of the random field, see `mean_field`
EDGE_COST, MISFIT_COST = 0.15, 6.0  # cost per pixel of a geodesic path for edges and for unlikely colours
COLOUR, TURNS = 0.6, 2  # weight of colour; refinements of colour models and outline
PRIOR = 4.5  # log odds of the current outline
TRUST = 0.4  # distance from contradicting strokes, in roots of its area, at which it has full weight
GEODESIC = 2.2  # limit of the log odds of geodesic distances
THREADS = min(4, os.cpu_count() or 1)  # objects are propagated in parallel
MAX_LEARNED = 12  # newest labelled frames in the colour memory of an object


@dataclass
class ColourMemory:
    """Colour models inside and outside an object, by labelled frame, newest last."""

    models: dict[int, tuple[ColourModel, ColourModel]]

    def sums(self) -> tuple[ColourModel, ColourModel]:
        """Return the sums over all frames, inside and outside."""
        inside, outside = ColourModel.empty(), ColourModel.empty()
        for within, around in self.models.values():
            inside, outside = inside.plus(within, 1.0), outside.plus(around, 1.0)
        return inside, outside


class ClassicEngine:
    """See the module's docstring and `segannot.engines.base.Engine`."""

    name = "classic"

    def __init__(self):
        self._memories: dict[int, ColourMemory] = {}

    def learn(self, view: LabelledFrame, numbers: Sequence[int]) -> None:
        """See `Engine.learn`. Only the newest `MAX_LEARNED` frames are kept."""
        for number in numbers:
            mask = view.labels == number
            box = box_of(mask)
            memory = self._memories.setdefault(number, ColourMemory({}))
            memory.models.pop(view.frame, None)
            if box is None:
                continue
            window = window_around(box, 0.5 * _extent(box), _size(view), WORK_PX)
            _, bins = features(window.picture(view.picture))
            inside = window.mask(mask)
            memory.models[view.frame] = ColourModel.of(bins, inside), ColourModel.of(bins, 1 - inside)
            while len(memory.models) > MAX_LEARNED:
                memory.models.pop(next(iter(memory.models)))

    def segment(self, view: LabelledFrame, number: int, drawn: Sequence[Stroke]) -> np.ndarray:
        """See `Engine.segment`."""
        before = view.labels == number
        size = _size(view)
        boxes = [box for box in (_drawn_box(drawn), box_of(before)) if box is not None]
        if not boxes:
            return before
        box = np.array([*np.min(boxes, axis=0)[:2], *np.max(boxes, axis=0)[2:]])
        margin = max(0.6 * _extent(box), MIN_MARGIN * max(size))
        for _ in range(3):
            window = window_around(tuple(box), margin, size, WORK_PX)
            p = _Outline(self, view, number, drawn, before, window).solve()
            result = before.copy()
            result[window.y1 : window.y2, window.x1 : window.x2] = window.back(p) > 0.5
            reached = box_of(result)
            if (
                reached is None
                or not window.touches(reached, size)
                or any(each.kind is StrokeKind.BOX for each in drawn)
            ):
                break
            margin *= 2
        return result

    def propagate(self, start: LabelledFrame, pictures: Iterator[tuple[int, np.ndarray]], numbers: Sequence[int],
                  order: Sequence[int]) -> Iterator[PropagatedFrame]:  # fmt: skip
        """See `Engine.propagate`."""
        self.learn(start, numbers)
        propagators = [
            ObjectPropagator(start, number, self.colours_of(number)) for number in order if number in numbers
        ]
        with ThreadPoolExecutor(THREADS) as threads:
            for frame, picture in pictures:
                labels = np.zeros(picture.shape[:2], np.uint8)
                steps = threads.map(lambda propagator, picture=picture: propagator.step(picture), propagators)
                for propagator, (mask, window) in zip(propagators, steps, strict=True):
                    if window is not None:  # from back to front: the object in front overwrites
                        labels[window.y1 : window.y2, window.x1 : window.x2][mask] = propagator.number
                sure = threads.map(lambda propagator, labels=labels: propagator.settle(labels), propagators)
                confidence = {each.number: value for each, value in zip(propagators, sure, strict=True)}
                yield PropagatedFrame(frame, labels, {number: c for number, c in confidence.items() if c is not None})

    def colours_of(self, number: int) -> tuple[ColourModel, ColourModel]:
        """Return the colour models inside and outside an object, learned so far."""
        return self._memories[number].sums() if number in self._memories else (ColourModel.empty(), ColourModel.empty())


def warm_up() -> None:
    """Compile the kernels (seconds, once per installation), so that no annotator waits for it."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[20:44, 20:44] = 200
    engine, blank = ClassicEngine(), np.zeros((64, 64), np.uint8)
    mask = engine.segment(LabelledFrame(0, picture, blank), 1, [Stroke(StrokeKind.CLICK, np.array([[32.0, 32.0]]))])
    list(engine.propagate(LabelledFrame(0, picture, mask.astype(np.uint8)), iter([(1, picture)]), [1], [1]))


class _Outline:
    """The computation of one outline in one window."""

    def __init__(self, engine: ClassicEngine, view: LabelledFrame, number: int, drawn: Sequence[Stroke],
                 before: np.ndarray, window: Window):  # fmt: skip
        self.window = window
        self.size = (window.width, window.height)
        self.lab, self.bins = features(window.picture(view.picture))
        self.edges = _edges(self.lab)
        self.before = window.mask(before)
        others = (view.labels > 0) & ~before
        self.fixed = np.zeros(self.size[::-1], np.int8)
        self.fixed[window.mask(others) > 0.5] = -1
        self.positive, self.negative = np.zeros_like(self.before, bool), np.zeros_like(self.before, bool)
        self.core: np.ndarray | None = None  # the middle of a drawn box
        for stroke in drawn:
            self._draw(stroke)
        self.learned = engine.colours_of(number)

    def _draw(self, stroke: Stroke) -> None:
        points, radius = self.window.points(stroke.points), stroke.radius * self.window.scale
        if stroke.kind is StrokeKind.BOX:
            (x1, y1), (x2, y2) = np.sort(points, axis=0)
            outside = np.ones_like(self.before, bool)
            outside[max(0, round(y1)) : round(y2), max(0, round(x1)) : round(x2)] = False
            self.fixed[outside] = -1
            self.negative |= outside
            inset = 0.25 * np.array([x2 - x1, y2 - y1])
            self.core = stroke_mask(np.array([[(x1 + x2) / 2, (y1 + y2) / 2]]), max(1.0, inset.min()), self.size)
            return
        mask = stroke_mask(points, max(radius, 0.7), self.size)
        self.fixed[mask] = 1 if stroke.positive else -1
        if stroke.kind is StrokeKind.BRUSH:
            return  # exact to the pixel: says nothing about colours around it
        self.positive, self.negative = (
            (self.positive | mask, self.negative & ~mask)
            if stroke.positive
            else (self.positive & ~mask, self.negative | mask)
        )

    def solve(self) -> np.ndarray:
        """Return (H, W) float32 probabilities at working size."""
        prior, has_before = self._prior()
        seeds = self.positive | (self.core if self.core is not None and not self.positive.any() else False)
        near, away = self._geodesic_seeds(seeds, has_before)
        inside = ColourModel.of(self.bins, (seeds + 0.5 * (self.before > 0.5)).astype(float))
        outside = ColourModel.of(self.bins, self._surely_outside(has_before).astype(float))
        p = None
        for turn in range(TURNS):
            colour = log_odds(self.bins, inside.plus(self.learned[0], 0.7), outside.plus(self.learned[1], 0.5))
            unary = (COLOUR * colour + self._geodesic_log_odds(colour, near, away) + prior).astype(np.float32)
            p = mean_field(self.lab, unary, self.fixed, STRENGTH, TOLERANCE, ROUNDS)
            if turn + 1 < TURNS:
                inside = ColourModel.of(self.bins, p * p).plus(ColourModel.of(self.bins, seeds.astype(float)), 0.6)
                outside = ColourModel.of(self.bins, (1 - p) ** 2).plus(
                    ColourModel.of(self.bins, self.negative.astype(float)), 0.4
                )
        return self._connected(p, has_before)

    def _prior(self) -> tuple[np.ndarray, bool]:
        """Return log odds from the current outline, weak near strokes that contradict it; and whether there is one."""
        has_before = bool((self.before > 0.5).any())
        if not has_before:
            return np.zeros_like(self.before), False
        depth = signed_distance(self.before > 0.5)
        extent = max(4.0, 0.12 * float(np.sqrt((self.before > 0.5).sum())))
        wrong = (self.positive & (self.before < 0.5)) | (self.negative & (self.before > 0.5) & (self.fixed < 0))
        trust = np.ones_like(self.before)
        if wrong.any():
            far = cv2.distanceTransform((~wrong).astype(np.uint8), cv2.DIST_L2, 3)
            trust = np.clip(far / (TRUST * np.sqrt((self.before > 0.5).sum())), 0, 1)
        return PRIOR * trust * np.clip(depth / extent, -1, 1), True

    def _geodesic_seeds(self, seeds: np.ndarray, has_before: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return the seeds of geodesic distances, inside and outside."""
        negative = self.negative | (self.fixed < 0)
        if not has_before:
            return seeds, negative | _rim(negative.shape)
        return seeds | (signed_distance(self.before > 0.5) > 0.15 * np.sqrt(self.before.sum())), negative

    def _geodesic_log_odds(self, colour: np.ndarray, near: np.ndarray, away: np.ndarray) -> np.ndarray:
        """Return log odds from geodesic distances: paths are cheap through likely colours and without edges."""
        if not near.any() or not away.any():
            return np.zeros_like(self.before)
        fits = 1 / (1 + np.exp(-1.5 * colour))
        edges = 1 + EDGE_COST * self.edges
        to_near = geodesic_distance((edges + MISFIT_COST * (1 - fits)).astype(np.float32), near, 4)
        to_away = geodesic_distance((edges + MISFIT_COST * fits).astype(np.float32), away, 4)
        return (GEODESIC * np.tanh(1.2 * np.log((to_away + 2) / (to_near + 2)))).astype(np.float32)

    def _surely_outside(self, has_before: bool) -> np.ndarray:
        outside = self.negative | _rim(self.negative.shape) | (self.fixed < 0)
        if has_before:
            outside |= signed_distance(self.before > 0.5) < -0.15 * np.sqrt(self.before.sum())
        return outside & ~self.positive

    def _connected(self, p: np.ndarray, has_before: bool) -> np.ndarray:
        """Return ``p`` without parts that touch neither a stroke nor the outline before."""
        mask = (p > 0.5).astype(np.uint8)
        count, parts = cv2.connectedComponents(mask, connectivity=4)
        if count < 2:
            return p
        anchors = self.positive | ((self.before > 0.5) if has_before else False)
        if not anchors.any():
            anchors = parts == 1 + np.argmax(np.bincount(parts[parts > 0])[1:])
        kept = np.isin(parts, np.unique(parts[anchors & (parts > 0)]))
        p = np.where(kept, p, np.minimum(p, 0.4))
        holes = without_specks(p > 0.5, 0.02) & ~self.negative & (self.fixed >= 0)
        return np.where(holes, np.maximum(p, 0.6), p).astype(np.float32)


def _drawn_box(drawn: Sequence[Stroke]) -> np.ndarray | None:
    points = [stroke.points for stroke in drawn if stroke.positive]
    if not points:
        return None
    every = np.concatenate(points)
    return np.array([*every.min(axis=0), *every.max(axis=0)])


def _edges(lab: np.ndarray) -> np.ndarray:
    """Return (H, W) float32: the gradient of colour at each pixel, after smoothing of texture."""
    smooth = cv2.GaussianBlur(lab, (0, 0), 1.2)
    steps = [cv2.Sobel(smooth, cv2.CV_32F, *axis, ksize=3, scale=0.25) for axis in ((1, 0), (0, 1))]
    return np.sqrt((steps[0] ** 2 + steps[1] ** 2).sum(axis=2))


def _rim(shape: tuple[int, ...]) -> np.ndarray:
    rim = np.ones(shape, bool)
    width = max(1, round(0.04 * min(shape)))
    rim[width:-width, width:-width] = False
    return rim


def _extent(box: Sequence[float]) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def _size(view: LabelledFrame) -> tuple[int, int]:
    return view.picture.shape[1], view.picture.shape[0]
