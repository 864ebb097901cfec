"""Masks that reviewers draw: strokes on the mask that a bird has, and the masks of a frame as the page shows them."""

import zlib

import numpy as np

from backend.masks import rle
from backend.masks.strokes import polygon_mask, stroke_mask
from backend.project.errors import InputError
from backend.tracking.tracks.tracks import NONE, Tracks
from board.requests import ActRequest, Stroke

TOP_LABEL = 255  # of drawn masks in a frame, the next one lower and so on; detection k has the label k + 1
LEAST_CORNERS = 3


def with_mask(request: ActRequest, tracks: Tracks, detected: list[bytes | None], size: tuple[int, int]) -> ActRequest:
    """Return a request to draw with mask and box instead of strokes; any other one as it is.

    ``detected`` are the masks of the frame's detections, ``size`` is (width, height) px of the picture.

    Raises
    ------
    InputError
        If nothing is left of the bird, or a given mask is not one of such a picture.
    """
    if request.kind != "draw" or request.frame is None:
        return request
    width, height = size
    if request.rle is not None:
        try:
            counts = rle.checked(request.rle, height, width)
        except ValueError as error:
            raise InputError(f"rle cannot be used: {error}") from error
    elif request.strokes:
        mask = mask_now(tracks, request.frame, request.track, detected, size)
        for stroke in request.strokes:
            mask = _changed(mask, stroke, size)
        counts = rle.encode(mask)
    else:
        return request
    if not rle.area(counts):
        raise InputError(f"frame {request.frame}: nothing is left of the bird; say that it is not a bird, or not seen")
    box = tuple(rle.box(counts, height).tolist())
    return request.model_copy(update={"rle": counts.decode(), "box": box, "strokes": ()})


def mask_now(
    tracks: Tracks, frame: int, track: int | None, detected: list[bytes | None], size: tuple[int, int]
) -> np.ndarray:
    """Return the mask that a track has in a frame, (H, W) bool; nothing where it has none."""
    counts = None
    rows = tracks.rows_at(frame)
    for row in range(rows.start, rows.stop):
        number = int(tracks.detection[row])
        if tracks.track_id[row] == track:
            found = detected[number] if NONE < number < len(detected) else None
            counts = tracks.drawn.get((frame, track), found)
    return np.zeros(size[::-1], bool) if counts is None else rle.decode(counts, size[1], size[0])


def _changed(mask: np.ndarray, stroke: Stroke, size: tuple[int, int]) -> np.ndarray:
    points = np.array(stroke.points, float)
    if stroke.kind == "polygon":
        if len(points) < LEAST_CORNERS:
            raise InputError(f"a polygon has at least {LEAST_CORNERS} corners, this one {len(points)}")
        inside = polygon_mask(points, size)
    else:
        inside = stroke_mask(points, stroke.radius, size)
    return mask & ~inside if stroke.kind == "eraser" or not stroke.positive else mask | inside


def row_labels(tracks: Tracks, rows: slice) -> np.ndarray:
    """Return (n,) int32, the label of each row in the picture of its frame's masks; 0: none."""
    labels = tracks.detection[rows].astype(np.int32) + 1
    for frame, track in tracks.drawn:
        at = tracks.rows_at(frame)
        if at.start >= rows.start and at.stop <= rows.stop:
            own = at.start - rows.start + np.flatnonzero(tracks.track_id[at] == track)
            labels[own] = TOP_LABEL - _drawn_in(tracks, frame).index(track)
    return labels


def label_map(tracks: Tracks, frame: int, detected: list[bytes | None], size: tuple[int, int]) -> np.ndarray:
    """Return the masks of a frame as they are after corrections, (H, W) uint8 with the labels of `row_labels`."""
    drawn = _drawn_in(tracks, frame)
    shown = list(detected[: TOP_LABEL - len(drawn)])
    rows = tracks.rows_at(frame)
    for row in range(rows.start, rows.stop):
        if tracks.track_id[row] in drawn and NONE < tracks.detection[row] < len(shown):
            shown[int(tracks.detection[row])] = None
    layers = [(counts, k + 1) for k, counts in enumerate(shown)]
    layers += [(tracks.drawn[frame, track], TOP_LABEL - k) for k, track in enumerate(drawn)]
    there = [(counts, label) for counts, label in layers if counts is not None]
    if not there:
        return np.zeros((1, 1), np.uint8)
    values = np.array([0, *(label for _, label in there)], np.uint8)
    return values[rle.paint([counts for counts, _ in there], size[1], size[0])]


def drawn_frames(tracks: Tracks) -> dict[int, int]:
    """Return frames with drawn birds, each with a number that changes when its drawings do."""
    found: dict[int, int] = {}
    for (frame, track), counts in sorted(tracks.drawn.items()):
        found[frame] = zlib.crc32(b"%d:%s;" % (track, counts or b""), found.get(frame, 0))
    return found


def _drawn_in(tracks: Tracks, frame: int) -> list[int]:
    return sorted(track for at, track in tracks.drawn if at == frame)
