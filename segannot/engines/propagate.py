"""Propagation of one object from frame to frame by the classic engine."""

import cv2
import numpy as np

from segannot.engines.base import LabelledFrame
from segannot.engines.colour_model import ColourModel, features, log_odds
from segannot.engines.mean_field import mean_field
from segannot.engines.windows import Window, window_around
from segannot.mask_edits import box_of, signed_distance

FLOW_PX = 288  # longer side of the window for optical flow and random field
MARGIN = 0.35  # of the object's extent, plus its last displacement
MIN_MARGIN_PX = 12
STRENGTH, TOLERANCE, ROUNDS = 2.5, 5.0, 6
SHAPE, COLOUR = 2.5, 0.6  # weights of the warped outline and of colour
LOST_AREA = 0.03  # share of the area at the start below which the object is lost
BAND = 2.5  # largest growth of an outline per frame, in units of 8 % of the root of its area
SPECK = 0.05  # share of the largest part below which parts are removed
RECENT = 0.05  # weight of the colours of recent frames, relative to labelled frames


class ObjectPropagator:
    """Object ``number`` of ``start``, propagated by calling `step` and then `settle` for each frame.

    ``learned``: colour models inside and outside it, from labelled frames.
    """

    def __init__(self, start: LabelledFrame, number: int, learned: tuple[ColourModel, ColourModel]):
        self.number = number
        self._learned = learned
        self._size = (start.picture.shape[1], start.picture.shape[0])
        self._picture = start.picture
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._move = np.zeros(2)
        self._recent: tuple[ColourModel, ColourModel] | None = None
        self._set_mask(start.labels == number)
        self._first_area = self._area = max(1.0, float(self._mask.sum()) if self._mask is not None else 1.0)
        self._confidence_now, self._full_area, self._reported_lost = 1.0, 0.0, False

    def _set_mask(self, mask: np.ndarray) -> None:
        """Set the current outline from an (H, W) bool mask of the whole frame."""
        self._box = box_of(mask)
        self._mask = None
        if self._box is not None:
            x1, y1, x2, y2 = self._box
            self._mask = mask[y1:y2, x1:x2].copy()

    def step(self, picture: np.ndarray) -> tuple[np.ndarray | None, Window | None]:
        """Return the outline in the next frame, (h, w) bool, and the window it fills; None if the object is lost."""
        before, self._picture = self._picture, picture
        if self._box is None or self._mask is None:
            return None, None
        extent = max(self._box[2] - self._box[0], self._box[3] - self._box[1])
        moved = float(np.abs(self._move).max())
        window = window_around(self._box, max(MIN_MARGIN_PX, MARGIN * extent) + moved, self._size, FLOW_PX)
        old, new = window.picture(before), window.picture(picture)
        warped, residual = self._warp(old, new, window)
        if float((warped > 0.5).sum()) < 3:
            self._box = None
            return None, None
        lab, bins = features(new)
        unary, agreement = self._unary(warped, bins)
        fixed = np.where(unary[1] < -BAND, -1, 0).astype(np.int8)
        p = mean_field(lab, unary[0], fixed, STRENGTH, TOLERANCE, ROUNDS)
        p = _connected(p, warped)
        self._bins, self._p = bins, p
        mask = window.back(p) > 0.5
        self._confidence_now = self._confidence(p, warped, float(mask.sum()), agreement, residual)
        self._full_area = float(mask.sum())
        return mask, window

    def settle(self, labels: np.ndarray) -> float | None:
        """Set the outline to the part that is visible in the frame's label map; return the confidence, 0 to 1.

        It decreases with the share that others cover; 0 in the frame in which the object is lost, None afterwards.
        """
        if self._box is None:
            reported, self._reported_lost = self._reported_lost, True
            return None if reported else 0.0
        was = np.array(self._box, float)
        self._set_mask(labels == self.number)
        if self._mask is None or self._mask.sum() < LOST_AREA * self._first_area:
            self._box, self._reported_lost = None, True
            return 0.0
        visible = float(self._mask.sum())
        self._area = 0.9 * self._area + 0.1 * visible
        now = np.array(self._box, float)
        self._move = 0.5 * self._move + 0.5 * ((now - was)[:2] + (now - was)[2:]) / 2
        if self._confidence_now > 0.5:
            self._update_recent_colours()
        return self._confidence_now * min(1.0, visible / max(1.0, self._full_area))

    def _warp(self, old: np.ndarray, new: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return the old outline warped to the new frame, (h, w) float32, and the residual of warped grey values."""
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
        """Return the object's displacement, working px: the best template match near its expected position."""
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
        row, column = np.unravel_index(int(np.argmin(fit)), fit.shape)
        return np.array([column - x1, row - y1], float)

    def _unary(self, warped: np.ndarray, bins: np.ndarray) -> tuple[np.ndarray, float]:
        """Return (2, h, w): log odds, and depth inside the warped outline; and the mean colour log odds inside it."""
        inside, outside = self._learned
        around = ColourModel.of(bins, np.clip(1 - 1.5 * cv2.dilate(warped, np.ones((7, 7), np.uint8)), 0, 1))
        outside = outside.plus(around, 1.0)
        if self._recent is not None:
            weight = RECENT * max(1.0, inside.weight)
            inside, outside = inside.plus(self._recent[0], weight), outside.plus(self._recent[1], weight)
        colour = log_odds(bins, inside, outside)
        solid = warped > 0.5
        away = signed_distance(solid) / max(2.0, 0.08 * float(np.sqrt(solid.sum())))
        shape = np.clip(away, -2, 2)
        agreement = float(colour[solid].mean()) if solid.any() else -1.0
        return np.stack([COLOUR * colour + SHAPE * shape, away]).astype(np.float32), agreement

    def _confidence(self, p: np.ndarray, warped: np.ndarray, area: float, agreement: float, residual: np.ndarray):
        """Return 0 to 1 from the overlap with the warped outline, change of area, colours, and grey-value residual."""
        new, old = p > 0.5, warped > 0.5
        union = float((new | old).sum())
        overlap = float((new & old).sum()) / union if union else 0.0
        change = abs(np.log(max(area, 1.0) / self._area)) + 0.5 * abs(np.log(max(area, 1.0) / self._first_area))
        misfit = float(residual[new].mean()) / 255 if new.any() else 1.0
        colour = 1 / (1 + np.exp(-4 * (agreement + 0.2)))
        return float(np.clip(overlap**0.7 * np.exp(-1.2 * change) * (0.4 + 0.6 * colour) * np.exp(-4 * misfit), 0, 1))

    def _update_recent_colours(self) -> None:
        within, around = ColourModel.of(self._bins, self._p**2), ColourModel.of(self._bins, (1 - self._p) ** 2)
        if self._recent is None:
            self._recent = within, around
        else:
            self._recent = tuple(
                ColourModel(0.85 * old.counts + 0.15 * new.counts, 1.0)
                for old, new in zip(self._recent, (within, around), strict=True)
            )


def _connected(p: np.ndarray, warped: np.ndarray) -> np.ndarray:
    """Return ``p`` without parts that do not touch the warped outline or are specks beside the largest part."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats((p > 0.5).astype(np.uint8), connectivity=4)
    if count < 2:
        return p
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = np.unique(parts[(warped > 0.5) & (parts > 0)])
    kept = kept[areas[kept] >= SPECK * areas[1:].max()]
    return np.where(np.isin(parts, kept) | (parts == 0), p, 0.0).astype(np.float32)
