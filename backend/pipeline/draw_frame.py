"""Drawing of birds on a frame: masks, boxes, scores or identities, and zones."""

from collections.abc import Sequence

import cv2
import numpy as np

from backend.masks.colours import PALETTE, colour_of
from backend.masks.draw_overlay import overlay
from backend.masks.rle import runs_of
from backend.pipeline.frame_views import NO_TRACK, FrameView
from backend.video.resize import resize

MAX_LABELS = 255  # birds a label map can hold
ZONE_COLOUR = (255, 255, 255)


def draw_birds(
    picture: np.ndarray,
    view: FrameView,
    class_names: Sequence[str] = (),
    zones: Sequence[np.ndarray] = (),
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Return ``picture`` with the birds of its frame.

    Parameters
    ----------
    picture
        (H, W, 3) uint8 RGB, full frame size.
    view
        The birds. Those with a track have its colour; the others go through the palette by falling score.
    class_names
        Named where there is more than one.
    zones
        Polygons, each (V, 2) px of the frame.
    size
        (width, height) to draw at; full frame size by default. Text keeps its size on the screen.
    """
    height, width = picture.shape[:2]
    size = size or (width, height)
    scale = np.array([size[0] / width, size[1] / height])
    labels = label_map(view.masks[:MAX_LABELS], (width, height))
    palette = PALETTE.copy()
    for k, track in enumerate(view.track[:MAX_LABELS].tolist()):
        if track != NO_TRACK:
            palette[1 + k] = colour_of(track)
    small = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    boxes = view.boxes[:MAX_LABELS] * np.tile(scale, 2)
    drawn = overlay(
        resize(picture, size), small, boxes, [_text(view, k, class_names) for k in range(len(boxes))], palette
    )
    outlines = [np.round(np.asarray(zone) * scale).astype(np.int32) for zone in zones]
    if outlines:
        cv2.polylines(drawn, outlines, True, ZONE_COLOUR, max(1, round(max(size) / 900)), cv2.LINE_AA)
    return drawn


def draw_crop(picture: np.ndarray, size: tuple[int, int], crop: tuple[int, int, int, int]) -> np.ndarray:
    """Return ``picture`` (H, W, 3) uint8 RGB with everything outside a crop darkened.

    Parameters
    ----------
    picture
        The frame at any size.
    size
        Width and height of the frame itself, px.
    crop
        ``x1 y1 x2 y2``, px of the frame.
    """
    height, width = picture.shape[:2]
    x1, x2 = (round(x * width / size[0]) for x in (crop[0], crop[2]))
    y1, y2 = (round(y * height / size[1]) for y in (crop[1], crop[3]))
    drawn = picture // 3
    drawn[y1:y2, x1:x2] = picture[y1:y2, x1:x2]
    cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), ZONE_COLOUR, 2)
    return drawn


def label_map(masks: Sequence[bytes | None], size: tuple[int, int], dtype: type = np.uint8) -> np.ndarray:
    """Return (H, W): pixel value ``k + 1`` for mask ``k``, 0 for background; the first mask lies on top."""
    width, height = size
    flat = np.zeros(width * height, dtype)  # column by column, as COCO counts
    for k in reversed(range(len(masks))):
        counts = masks[k]
        if counts:
            for start, length in zip(*(part.tolist() for part in runs_of(counts)), strict=True):
                flat[start : start + length] = k + 1
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _text(view: FrameView, k: int, class_names: Sequence[str]) -> str:
    score = view.score[k]
    words = [view.names[k] or (f"#{view.track[k]}" if view.track[k] != NO_TRACK else "")]
    if len(class_names) > 1 and view.class_id[k] > 0:
        words.append(class_names[view.class_id[k] - 1])
    if np.isfinite(score) and not words[0]:
        words.append(f"{score:.2f}")
    return " ".join(word for word in words if word)
