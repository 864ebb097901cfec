"""One object carried from frame to frame by the classic engine."""

import cv2
import numpy as np

from segannot.engines.base import View
from segannot.engines.colour_model import Look, features, log_odds
from segannot.engines.mean_field import agree
from segannot.engines.windows import Window, window_around
from segannot.mask_edits import box_of, signed_distance

FLOW_PX = 288  # longer side of the window that flow and field work on
MARGIN = 0.35  # of the object's extent, and what it moved in the last frame on top
LEAST_MARGIN_PX = 12
STRENGTH, TOLERANCE, ROUNDS = 2.5, 5.0, 6
SHAPE, COLOUR = 2.5, 0.6  # how much the moved outline and the colours count
LOST_AREA = 0.03  # of the area at the start: less is a lost object
BAND = 2.5  # an outline grows by no more than this in one frame, in units of 8 % of the root of its area
SPECK = 0.05  # of the largest part: smaller ones go
FRESH = 0.05  # how much the colours of the last frames count beside those of labelled frames


class Carrier:
    """Object ``number`` of ``start``, carried on by `step` and `settle` in turn, once a frame.

    ``known`` are the colours inside and outside it, learnt from labelled frames.
    """

    def __init__(self, start: View, number: int, known: tuple[Look, Look]):
        self.number = number
        self._known = known
        self._size = (start.picture.shape[1], start.picture.shape[0])
        self._picture = start.picture
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._move = np.zeros(2)
        self._recent: tuple[Look, Look] | None = None
        self._take(start.labels == number)
        self._first_area = self._area = max(1.0, float(self._mask.sum()) if self._mask is not None else 1.0)
        self._sure, self._whole, self._told = 1.0, 0.0, False

    def _take(self, mask: np.ndarray) -> None:
        """Make (H, W) bool of the whole frame the outline of now."""
        self._box = box_of(mask)
        self._mask = None
        if self._box is not None:
            x1, y1, x2, y2 = self._box
            self._mask = mask[y1:y2, x1:x2].copy()

    def step(self, picture: np.ndarray) -> tuple[np.ndarray | None, Window | None]:
        """Return the outline in the next picture, (h, w) bool, and the window of the frame it fills; None if lost."""
        before, self._picture = self._picture, picture
        if self._box is None or self._mask is None:
            return None, None
        extent = max(self._box[2] - self._box[0], self._box[3] - self._box[1])
        moved = float(np.abs(self._move).max())
        window = window_around(self._box, max(LEAST_MARGIN_PX, MARGIN * extent) + moved, self._size, FLOW_PX)
        old, new = window.picture(before), window.picture(picture)
        warped, residual = self._warp(old, new, window)
        if float((warped > 0.5).sum()) < 3:
            self._box = None
            return None, None
        lab, bins = features(new)
        unary, agreement = self._unary(warped, bins)
        fixed = np.where(unary[1] < -BAND, -1, 0).astype(np.int8)
        p = agree(lab, unary[0], fixed, STRENGTH, TOLERANCE, ROUNDS)
        p = _near(p, warped)
        self._bins, self._p = bins, p
        mask = window.back(p) > 0.5
        self._sure = self._confidence(p, warped, float(mask.sum()), agreement, residual)
        self._whole = float(mask.sum())
        return mask, window

    def settle(self, labels: np.ndarray) -> float | None:
        """Take what is left of the object after all were drawn into the frame's label map; return its confidence.

        It falls with what others cover, and is 0 in the frame in which the object is lost, None after that.
        """
        if self._box is None:
            told, self._told = self._told, True
            return None if told else 0.0
        was = np.array(self._box, float)
        self._take(labels == self.number)
        if self._mask is None or self._mask.sum() < LOST_AREA * self._first_area:
            self._box, self._told = None, True
            return 0.0
        visible = float(self._mask.sum())
        self._area = 0.9 * self._area + 0.1 * visible
        now = np.array(self._box, float)
        self._move = 0.5 * self._move + 0.5 * ((now - was)[:2] + (now - was)[2:]) / 2
        if self._sure > 0.5:
            self._remember()
        return self._sure * min(1.0, visible / max(1.0, self._whole))

    def _warp(self, old: np.ndarray, new: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return the old outline moved to the new picture, (h, w) float32, and how badly the pictures fit there."""
        whole = np.zeros((window.y2 - window.y1, window.x2 - window.x1), bool)
        x1, y1, x2, y2 = self._box
        whole[y1 - window.y1 : y2 - window.y1, x1 - window.x1 : x2 - window.x1] = self._mask
        mask = cv2.resize(whole.astype(np.float32), (window.width, window.height), interpolation=cv2.INTER_AREA)
        greys = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (new, old)]
        shift = self._shift(greys, mask, window)
        start = np.broadcast_to(-shift, (*mask.shape, 2)).astype(np.float32).copy()
        flow = self._flow.calc(greys[0], greys[1], start)
        y, x = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
        from_x, from_y = x + flow[..., 0], y + flow[..., 1]
        warped = cv2.remap(mask, from_x, from_y, cv2.INTER_LINEAR)
        moved = cv2.remap(greys[1], from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return warped, np.abs(moved.astype(np.float32) - greys[0])

    def _shift(self, greys: list[np.ndarray], mask: np.ndarray, window: Window) -> np.ndarray:
        """Return how far the object as a whole moved, work px: where its picture fits best near the expected place."""
        box = box_of(mask > 0.5)
        if box is None or min(box[2] - box[0], box[3] - box[1]) < 6:
            return self._move * window.scale
        x1, y1, x2, y2 = box
        patch, weight = greys[1][y1:y2, x1:x2], (mask[y1:y2, x1:x2] > 0.5).astype(np.float32)
        fit = cv2.matchTemplate(greys[0].astype(np.float32), patch.astype(np.float32), cv2.TM_SQDIFF, mask=weight)
        fit = fit / max(1.0, float(weight.sum()))
        y, x = np.mgrid[: fit.shape[0], : fit.shape[1]].astype(np.float32)
        expected = np.array([x1, y1]) + self._move * window.scale
        reach = 0.5 * max(x2 - x1, y2 - y1)
        fit += 60 * (((x - expected[0]) ** 2 + (y - expected[1]) ** 2) / reach**2)
        place = np.unravel_index(int(np.argmin(fit)), fit.shape)
        return np.array([place[1] - x1, place[0] - y1], float)

    def _unary(self, warped: np.ndarray, bins: np.ndarray) -> tuple[np.ndarray, float]:
        """Return (2, h, w): log odds, and how far inside the moved outline; and how well colours fit inside it."""
        inside, outside = self._known
        around = Look.of(bins, np.clip(1 - 1.5 * cv2.dilate(warped, np.ones((7, 7), np.uint8)), 0, 1))
        outside = outside.plus(around, 1.0)
        if self._recent is not None:
            weight = FRESH * max(1.0, inside.weight)
            inside, outside = inside.plus(self._recent[0], weight), outside.plus(self._recent[1], weight)
        colour = log_odds(bins, inside, outside)
        solid = warped > 0.5
        away = signed_distance(solid) / max(2.0, 0.08 * float(np.sqrt(solid.sum())))
        shape = np.clip(away, -2, 2)
        agreement = float(colour[solid].mean()) if solid.any() else -1.0
        return np.stack([COLOUR * colour + SHAPE * shape, away]).astype(np.float32), agreement

    def _confidence(self, p: np.ndarray, warped: np.ndarray, area: float, agreement: float, residual: np.ndarray):
        """Return 0 to 1 from: new against moved outline, sudden change of area, colours that fit, pictures that fit."""
        new, old = p > 0.5, warped > 0.5
        union = float((new | old).sum())
        overlap = float((new & old).sum()) / union if union else 0.0
        change = abs(np.log(max(area, 1.0) / self._area)) + 0.5 * abs(np.log(max(area, 1.0) / self._first_area))
        misfit = float(residual[new].mean()) / 255 if new.any() else 1.0
        colour = 1 / (1 + np.exp(-4 * (agreement + 0.2)))
        return float(np.clip(overlap**0.7 * np.exp(-1.2 * change) * (0.4 + 0.6 * colour) * np.exp(-4 * misfit), 0, 1))

    def _remember(self) -> None:
        mine, around = Look.of(self._bins, self._p**2), Look.of(self._bins, (1 - self._p) ** 2)
        if self._recent is None:
            self._recent = mine, around
        else:
            self._recent = tuple(
                Look(0.85 * old.counts + 0.15 * new.counts, 1.0)
                for old, new in zip(self._recent, (mine, around), strict=True)
            )


def _near(p: np.ndarray, warped: np.ndarray) -> np.ndarray:
    """Return ``p`` without parts that do not touch the moved outline, or are specks beside the largest one."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats((p > 0.5).astype(np.uint8), connectivity=4)
    if count < 2:
        return p
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = np.unique(parts[(warped > 0.5) & (parts > 0)])
    kept = kept[areas[kept] >= SPECK * areas[1:].max()]
    return np.where(np.isin(parts, kept) | (parts == 0), p, 0.0).astype(np.float32)
