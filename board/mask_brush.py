"""Masks that reviewers draw: strokes applied to a bird's mask, and label maps of a frame after corrections."""

import zlib

import numpy as np

from backend.masks import rle
from backend.masks.strokes import polygon_mask, stroke_mask
from backend.project.errors import InputError
from backend.tracking.tracks.tracks import NONE, Tracks
from board.requests import ActRequest, Stroke

TOP_LABEL = 255  # of the first drawn mask in a frame, the next has 254...; detection k has label k + 1
MIN_CORNERS = 3


def with_mask(request: ActRequest, tracks: Tracks, detected: list[bytes | None], size: tuple[int, int]) -> ActRequest:
    """Return a drawing request with mask and box in place of its strokes; any other request unchanged.

    ``detected`` are the masks of the frame's detections, ``size`` is the frame's (width, height) px.

    Raises
    ------
    InputError
        If the mask is empty, or a given run-length code is not one of a mask of this size.
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
        mask = current_mask(tracks, request.frame, request.track, detected, size)
        for stroke in request.strokes:
            mask = _apply_stroke(mask, stroke, size)
        counts = rle.encode(mask)
    else:
        return request
    if not rle.area(counts):
        raise InputError(f"frame {request.frame}: the mask is empty; use 'Not a bird' or 'Not visible' instead")
    box = tuple(rle.box(counts, height).tolist())
    return request.model_copy(update={"rle": counts.decode(), "box": box, "strokes": ()})


def current_mask(
    tracks: Tracks, frame: int, track: int | None, detected: list[bytes | None], size: tuple[int, int]
) -> np.ndarray:
    """Return the mask of a track in a frame, (H, W) bool; all False where it has none."""
    counts = None
    rows = tracks.rows_at(frame)
    for row in range(rows.start, rows.stop):
        number = int(tracks.detection[row])
        if tracks.track_id[row] == track:
            own = detected[number] if NONE < number < len(detected) else None
            counts = tracks.drawn.get((frame, track), own)
    return np.zeros(size[::-1], bool) if counts is None else rle.decode(counts, size[1], size[0])


def _apply_stroke(mask: np.ndarray, stroke: Stroke, size: tuple[int, int]) -> np.ndarray:
    points = np.array(stroke.points, float)
    if stroke.kind == "polygon":
        if len(points) < MIN_CORNERS:
            raise InputError(f"a polygon needs at least {MIN_CORNERS} corners, this one has {len(points)}")
        inside = polygon_mask(points, size)
    else:
        inside = stroke_mask(points, stroke.radius, size)
    return mask & ~inside if stroke.kind == "eraser" or not stroke.positive else mask | inside


def row_labels(tracks: Tracks, rows: slice) -> np.ndarray:
    """Return (n,) int32: each row's label in the label map of its frame; 0: no mask."""
    labels = tracks.detection[rows].astype(np.int32) + 1
    for frame, track in tracks.drawn:
        in_frame = tracks.rows_at(frame)
        if in_frame.start >= rows.start and in_frame.stop <= rows.stop:
            own = in_frame.start - rows.start + np.flatnonzero(tracks.track_id[in_frame] == track)
            labels[own] = TOP_LABEL - _drawn_in(tracks, frame).index(track)
    return labels


def label_map(tracks: Tracks, frame: int, detected: list[bytes | None], size: tuple[int, int]) -> np.ndarray:
    """Return a frame's masks after corrections, (H, W) uint8, labels as in `row_labels`; (1, 1) if none."""
    drawn = _drawn_in(tracks, frame)
    visible = list(detected[: TOP_LABEL - len(drawn)])
    rows = tracks.rows_at(frame)
    for row in range(rows.start, rows.stop):
        if tracks.track_id[row] in drawn and NONE < tracks.detection[row] < len(visible):
            visible[int(tracks.detection[row])] = None  # replaced by what was drawn
    layers = [(counts, k + 1) for k, counts in enumerate(visible)]
    layers += [(tracks.drawn[frame, track], TOP_LABEL - k) for k, track in enumerate(drawn)]
    present = [(counts, label) for counts, label in layers if counts is not None]
    if not present:
        return np.zeros((1, 1), np.uint8)
    values = np.array([0, *(label for _, label in present)], np.uint8)
    return values[rle.paint([counts for counts, _ in present], size[1], size[0])]


def drawn_frames(tracks: Tracks) -> dict[int, int]:
    """Return a checksum of the drawn masks of each frame that has some; it changes when they do."""
    checksums: dict[int, int] = {}
    for (frame, track), counts in sorted(tracks.drawn.items()):
        checksums[frame] = zlib.crc32(b"%d:%s;" % (track, counts or b""), checksums.get(frame, 0))
    return checksums


def _drawn_in(tracks: Tracks, frame: int) -> list[int]:
    return sorted(track for at, track in tracks.drawn if at == frame)
