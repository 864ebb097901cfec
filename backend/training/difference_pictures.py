"""Pictures of what two models make of one animal: the truth, the first and the second side by side."""

from collections.abc import Sequence

import cv2
import numpy as np

from backend.project.errors import InputError
from backend.training.ap import Result
from backend.training.draw_predictions import draw_results, draw_truth
from backend.training.match_predictions import SHOWN_SCORE
from backend.training.read_coco import Picture

MARGIN = 1.5  # times the box's longer side, on each side of its centre
LEAST_SIDE_PX, SHOWN_PX = 64, 480


def draw_difference(
    picture: Picture, box: Sequence[float], first: list[Result], second: list[Result]
) -> list[np.ndarray]:
    """Return three pictures, each (H, W, 3) uint8 RGB: truth, first and second model, around ``box``.

    Parameters
    ----------
    picture
        The image with its labels.
    box
        ``x1 y1 x2 y2`` px of the image.
    first, second
        The models' predictions in this image; those below a score of 0.5 are left out.

    Raises
    ------
    InputError
        If the image cannot be read.
    """
    image = cv2.imread(str(picture.path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise InputError(f"{picture.path} cannot be read as an image")
    sure = [[result for result in results if result["score"] >= SHOWN_SCORE] for results in (first, second)]
    drawn = [draw_truth(image, picture, None), *(draw_results(image, each, None) for each in sure)]
    x1, y1, x2, y2 = _window(box, picture.width, picture.height)
    return [_enlarged(each[y1:y2, x1:x2]) for each in drawn]


def _window(box: Sequence[float], width: int, height: int) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = box
    half = max(MARGIN * max(x2 - x1, y2 - y1), LEAST_SIDE_PX) / 2
    centre_x, centre_y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = max(0, int(centre_x - half)), max(0, int(centre_y - half))
    return left, top, min(width, int(centre_x + half) + 1), min(height, int(centre_y + half) + 1)


def _enlarged(part: np.ndarray) -> np.ndarray:
    scale = SHOWN_PX / max(part.shape[:2])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
