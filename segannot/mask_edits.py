"""Edits of masks: removal of specks, insertion into a label map, bounding box, signed distance."""

import cv2
import numpy as np


def without_specks(mask: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Return an (H, W) bool mask without parts and holes smaller than ``share`` of its largest part."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA]
    least = max(2, share * areas[1:].max())
    kept = np.flatnonzero(areas >= least)
    clean = np.isin(labels, kept[kept > 0])
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~clean).astype(np.uint8), connectivity=4)
    small = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] < least)
    return clean | np.isin(labels, small[small > 0])


def put_object(
    labels: np.ndarray, mask: np.ndarray, number: int, in_front: set[int], allowed: np.ndarray | None = None
) -> np.ndarray:
    """Return a copy of a label map where object ``number`` is exactly ``mask``.

    Objects ``in_front`` keep their pixels, except where ``allowed``, (H, W) bool, is True: a person drew there.
    """
    own = mask.astype(bool)
    if in_front:
        covered = np.isin(labels, list(in_front))
        own &= ~covered if allowed is None else (~covered | allowed)
    result = np.where(labels == number, np.uint8(0), labels)
    result[own] = number
    return result


def box_of(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return the bounding box x1, y1, x2, y2 of a bool mask, px; None if it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Return (H, W) float32: distance to the border of a bool mask, px, positive inside."""
    values = mask.astype(np.uint8)
    return cv2.distanceTransform(values, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - values, cv2.DIST_L2, 3)
