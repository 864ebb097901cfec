"""The engine without weights: colour models of each object, edges, and dense optical flow. Runs anywhere.

**Outlines** (`segment`): around what was drawn, at 320 px at most, every pixel gets log odds from three sources: the
colours of strokes, of earlier labelled frames and of the surroundings; the geodesic distance to positive strokes
against that to negative ones and to the rim; the outline so far. A field of neighbours that agree unless there is an
edge between them makes an outline of them. Colour models and outline are refined in turn, as in GrabCut (Rother et al.
2004).

**Propagation** (`propagate`): the outline is moved by DIS flow (Kroeger et al. 2016) in a window around each object,
then the same field decides with the object's colours from all labelled frames, the surroundings of now, and the
moved shape.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from backend.masks.strokes import stroke_mask
from segannot.engines.base import Carried, Interaction, Kind, View
from segannot.engines.colour_model import Look, features, log_odds
from segannot.engines.mean_field import agree, geodesic
from segannot.engines.propagate import Carrier
from segannot.engines.windows import Window, window_around
from segannot.mask_edits import box_of, signed_distance, without_specks

WORK_PX = 320
LEAST_MARGIN = 0.06  # of the frame's longer side, around what was drawn
ROUNDS = 12
STRENGTH, TOLERANCE = 1.6, 6.0  # of the field, see `agree`
CONTRAST, DETOUR = 0.15, 6.0  # what an edge and a colour that does not fit add to a pixel of a geodesic way
COLOUR, TURNS = 0.6, 2  # weight of colours; how often colours and outline are refined
PRIOR, TRUST = 4.5, 0.4  # log odds of the outline so far; how far from a contradicting stroke it counts in full
WAYS = 2.2  # log odds of geodesic ways
THREADS = min(4, os.cpu_count() or 1)  # objects are carried side by side
KEPT_LOOKS = 12  # labelled frames whose colours are remembered, for each object


@dataclass
class Known:
    """What was learnt of an object: inside and outside colours by frame, newest last."""

    looks: dict[int, tuple[Look, Look]]

    def sums(self) -> tuple[Look, Look]:
        """Return the colours of all frames together."""
        inside, outside = Look.empty(), Look.empty()
        for mine, around in self.looks.values():
            inside, outside = inside.plus(mine, 1.0), outside.plus(around, 1.0)
        return inside, outside


class ClassicEngine:
    """See the module's text and `segannot.engines.base.Engine`."""

    name = "classic"

    def __init__(self):
        self._known: dict[int, Known] = {}

    def learn(self, view: View, numbers: Sequence[int]) -> None:
        """See `Engine.learn`. Only the newest `KEPT_LOOKS` frames are kept."""
        for number in numbers:
            mask = view.labels == number
            box = box_of(mask)
            known = self._known.setdefault(number, Known({}))
            known.looks.pop(view.frame, None)
            if box is None:
                continue
            window = window_around(box, 0.5 * _extent(box), _size(view), WORK_PX)
            _, bins = features(window.picture(view.picture))
            inside = window.mask(mask)
            known.looks[view.frame] = Look.of(bins, inside), Look.of(bins, 1 - inside)
            while len(known.looks) > KEPT_LOOKS:
                known.looks.pop(next(iter(known.looks)))

    def segment(self, view: View, number: int, drawn: Sequence[Interaction]) -> np.ndarray:
        """See `Engine.segment`."""
        before = view.labels == number
        size = _size(view)
        boxes = [box for box in (_drawn_box(drawn), box_of(before)) if box is not None]
        if not boxes:
            return before
        box = np.array([*np.min(boxes, axis=0)[:2], *np.max(boxes, axis=0)[2:]])
        margin = max(0.6 * _extent(box), LEAST_MARGIN * max(size))
        for _ in range(3):
            window = window_around(tuple(box), margin, size, WORK_PX)
            p = _Outline(self, view, number, drawn, before, window).solve()
            result = before.copy()
            result[window.y1 : window.y2, window.x1 : window.x2] = window.back(p) > 0.5
            found = box_of(result)
            if found is None or not window.touches(found, size) or any(each.kind is Kind.BOX for each in drawn):
                break
            margin *= 2
        return result

    def propagate(self, start: View, pictures: Iterator[tuple[int, np.ndarray]], numbers: Sequence[int],
                  order: Sequence[int]) -> Iterator[Carried]:  # fmt: skip
        """See `Engine.propagate`."""
        self.learn(start, numbers)
        carriers = [Carrier(start, number, self.known(number)) for number in order if number in numbers]
        with ThreadPoolExecutor(THREADS) as threads:
            for frame, picture in pictures:
                labels = np.zeros(picture.shape[:2], np.uint8)
                steps = threads.map(lambda carrier, picture=picture: carrier.step(picture), carriers)
                for carrier, (mask, window) in zip(carriers, steps, strict=True):
                    if window is not None:  # from back to front: who is in front is written later
                        labels[window.y1 : window.y2, window.x1 : window.x2][mask] = carrier.number
                sure = threads.map(lambda carrier, labels=labels: carrier.settle(labels), carriers)
                confidence = {each.number: value for each, value in zip(carriers, sure, strict=True)}
                yield Carried(frame, labels, {number: c for number, c in confidence.items() if c is not None})

    def known(self, number: int) -> tuple[Look, Look]:
        """Return the colours inside and outside an object as learnt so far."""
        return self._known[number].sums() if number in self._known else (Look.empty(), Look.empty())


def warm_up() -> None:
    """Compile what is not compiled yet (seconds, once an installation), so that no annotator waits for it."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[20:44, 20:44] = 200
    engine, blank = ClassicEngine(), np.zeros((64, 64), np.uint8)
    mask = engine.segment(View(0, picture, blank), 1, [Interaction(Kind.CLICK, np.array([[32.0, 32.0]]))])
    list(engine.propagate(View(0, picture, mask.astype(np.uint8)), iter([(1, picture)]), [1], [1]))


class _Outline:
    """One outline in one window."""

    def __init__(self, engine: ClassicEngine, view: View, number: int, drawn: Sequence[Interaction],
                 before: np.ndarray, window: Window):  # fmt: skip
        self.window = window
        self.size = (window.width, window.height)
        self.lab, self.bins = features(window.picture(view.picture))
        self.edges = _edges(self.lab)
        self.before = window.mask(before)
        others = (view.labels > 0) & ~before
        self.fixed = np.zeros(self.size[::-1], np.int8)
        self.fixed[window.mask(others) > 0.5] = -1
        self.yes, self.no = np.zeros_like(self.before, bool), np.zeros_like(self.before, bool)
        self.core: np.ndarray | None = None  # the middle of a box
        for each in drawn:
            self._draw(each)
        self.known = engine.known(number)

    def _draw(self, each: Interaction) -> None:
        points, radius = self.window.points(each.points), each.radius * self.window.scale
        if each.kind is Kind.BOX:
            (x1, y1), (x2, y2) = np.sort(points, axis=0)
            outside = np.ones_like(self.before, bool)
            outside[max(0, round(y1)) : round(y2), max(0, round(x1)) : round(x2)] = False
            self.fixed[outside] = -1
            self.no |= outside
            inset = 0.25 * np.array([x2 - x1, y2 - y1])
            self.core = stroke_mask(np.array([[(x1 + x2) / 2, (y1 + y2) / 2]]), max(1.0, inset.min()), self.size)
            return
        mask = stroke_mask(points, max(radius, 0.7), self.size)
        self.fixed[mask] = 1 if each.positive else -1
        if each.kind is Kind.BRUSH:
            return  # meant to the pixel, so it says nothing of the colours around
        self.yes, self.no = (self.yes | mask, self.no & ~mask) if each.positive else (self.yes & ~mask, self.no | mask)

    def solve(self) -> np.ndarray:
        """Return (H, W) float32 probabilities at work size."""
        prior, has_before = self._prior()
        seeds = self.yes | (self.core if self.core is not None and not self.yes.any() else False)
        near, away = self._way_seeds(seeds, has_before)
        inside = Look.of(self.bins, (seeds + 0.5 * (self.before > 0.5)).astype(float))
        outside = Look.of(self.bins, self._surely_outside(has_before).astype(float))
        p = None
        for turn in range(TURNS):
            colour = log_odds(self.bins, inside.plus(self.known[0], 0.7), outside.plus(self.known[1], 0.5))
            unary = (COLOUR * colour + self._ways(colour, near, away) + prior).astype(np.float32)
            p = agree(self.lab, unary, self.fixed, STRENGTH, TOLERANCE, ROUNDS)
            if turn + 1 < TURNS:
                inside = Look.of(self.bins, p * p).plus(Look.of(self.bins, seeds.astype(float)), 0.6)
                outside = Look.of(self.bins, (1 - p) ** 2).plus(Look.of(self.bins, self.no.astype(float)), 0.4)
        return self._connected(p, has_before)

    def _prior(self) -> tuple[np.ndarray, bool]:
        """Return the log odds of the outline so far: strong far from where something was drawn."""
        has_before = bool((self.before > 0.5).any())
        if not has_before:
            return np.zeros_like(self.before), False
        depth = signed_distance(self.before > 0.5)
        extent = max(4.0, 0.12 * float(np.sqrt((self.before > 0.5).sum())))
        wrong = (self.yes & (self.before < 0.5)) | (self.no & (self.before > 0.5) & (self.fixed < 0))
        trust = np.ones_like(self.before)
        if wrong.any():
            far = cv2.distanceTransform((~wrong).astype(np.uint8), cv2.DIST_L2, 3)
            trust = np.clip(far / (TRUST * np.sqrt((self.before > 0.5).sum())), 0, 1)
        return PRIOR * trust * np.clip(depth / extent, -1, 1), True

    def _way_seeds(self, seeds: np.ndarray, has_before: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return where geodesic ways begin, inside and outside."""
        no = self.no | (self.fixed < 0)
        if not has_before:
            return seeds, no | _rim(no.shape)
        return seeds | (signed_distance(self.before > 0.5) > 0.15 * np.sqrt(self.before.sum())), no

    def _ways(self, colour: np.ndarray, near: np.ndarray, away: np.ndarray) -> np.ndarray:
        """Return the log odds of geodesic distances: ways are short through pixels of fitting colour, without edges."""
        if not near.any() or not away.any():
            return np.zeros_like(self.before)
        fits = 1 / (1 + np.exp(-1.5 * colour))
        edges = 1 + CONTRAST * self.edges
        to_near = geodesic((edges + DETOUR * (1 - fits)).astype(np.float32), near, 4)
        to_away = geodesic((edges + DETOUR * fits).astype(np.float32), away, 4)
        return (WAYS * np.tanh(1.2 * np.log((to_away + 2) / (to_near + 2)))).astype(np.float32)

    def _surely_outside(self, has_before: bool) -> np.ndarray:
        outside = self.no | _rim(self.no.shape) | (self.fixed < 0)
        if has_before:
            outside |= signed_distance(self.before > 0.5) < -0.15 * np.sqrt(self.before.sum())
        return outside & ~self.yes

    def _connected(self, p: np.ndarray, has_before: bool) -> np.ndarray:
        """Return ``p`` without parts that hang together with nothing that was drawn or there before."""
        mask = (p > 0.5).astype(np.uint8)
        count, parts = cv2.connectedComponents(mask, connectivity=4)
        if count < 2:
            return p
        wanted = self.yes | ((self.before > 0.5) if has_before else False)
        if not wanted.any():
            wanted = parts == 1 + np.argmax(np.bincount(parts[parts > 0])[1:])
        kept = np.isin(parts, np.unique(parts[wanted & (parts > 0)]))
        p = np.where(kept, p, np.minimum(p, 0.4))
        holes = without_specks(p > 0.5, 0.02) & ~self.no & (self.fixed >= 0)
        return np.where(holes, np.maximum(p, 0.6), p).astype(np.float32)


def _drawn_box(drawn: Sequence[Interaction]) -> np.ndarray | None:
    points = [each.points for each in drawn if each.positive]
    if not points:
        return None
    every = np.concatenate(points)
    return np.array([*every.min(axis=0), *every.max(axis=0)])


def _edges(lab: np.ndarray) -> np.ndarray:
    """Return (H, W) float32: how much the colour changes at each pixel, texture smoothed away."""
    smooth = cv2.GaussianBlur(lab, (0, 0), 1.2)
    steps = [cv2.Sobel(smooth, cv2.CV_32F, *way, ksize=3, scale=0.25) for way in ((1, 0), (0, 1))]
    return np.sqrt((steps[0] ** 2 + steps[1] ** 2).sum(axis=2))


def _rim(shape: tuple[int, ...]) -> np.ndarray:
    rim = np.ones(shape, bool)
    wide = max(1, round(0.04 * min(shape)))
    rim[wide:-wide, wide:-wide] = False
    return rim


def _extent(box: Sequence[float]) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def _size(view: View) -> tuple[int, int]:
    return view.picture.shape[1], view.picture.shape[0]
