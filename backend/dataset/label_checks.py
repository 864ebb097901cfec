"""Plausibility checks of labels: each finding is a flag, nothing is dropped, a person decides."""

from collections.abc import Sequence

import numpy as np

from backend.dataset.image_records import Flag, Record

MANY_PARTS = 5
TWIN_IOU = 0.7  # of boxes: two ids on one bird, one bird labelled as two
JUMP_RATIO = 2.0  # of areas between neighbouring labelled frames
JUMP_FRAMES = 50  # frames further apart are no neighbours: two seconds at 25 frames/s


def flag_masks(boxes: np.ndarray, parts: Sequence[int], width: int, height: int) -> list[list[Flag]]:
    """Return the flags of each mask of one image, as far as the image alone tells.

    ``boxes`` (N, 4) ``x1 y1 x2 y2`` px; ``parts``: how many separate pieces each mask has.
    """
    if not len(boxes):
        return []
    at_border = (boxes[:, :2] <= 0).any(1) | (boxes[:, 2] >= width) | (boxes[:, 3] >= height)
    overlaps = box_iou(boxes)
    np.fill_diagonal(overlaps, 0)
    twins = (overlaps >= TWIN_IOU).any(1)
    return [
        [Flag.BORDER] * bool(border) + [Flag.TWIN] * bool(twin) + [Flag.PARTS] * (count >= MANY_PARTS)
        for border, twin, count in zip(at_border, twins, parts, strict=True)
    ]


def box_iou(boxes: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every pair of boxes, (N, N) float64."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return common / np.maximum(area[:, None] + area[None, :] - common, 1e-9)


class JumpFinder:
    """Flags objects whose area changes suddenly between neighbouring frames; records must come in order.

    An object is known by its id in the video; where ids are unknown (0) nothing is said. A mask that touches the
    border is not compared: birds walk in and out.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int, int]] = {}

    def flag(self, record: Record) -> None:
        """Add `Flag.JUMP` to the record's masks where it applies."""
        current = {}
        for k, number in enumerate(record.objects.tolist()):
            if not number or Flag.BORDER in record.flags[k]:
                continue
            area = int(record.areas[k])
            current[number] = (record.video, record.number, area)
            video, frame, before = self._last.get(number, (-1, 0, area))
            near = video == record.video and record.number - frame <= JUMP_FRAMES
            if near and max(area, before) > JUMP_RATIO * min(area, before):
                record.flags[k].append(Flag.JUMP)
        self._last.update(current)
