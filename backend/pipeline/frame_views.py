"""The birds of a frame, from detections or tracks, for pictures and exports."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from backend.masks import rle
from backend.pipeline.chunk_tables import Instances
from backend.pipeline.detections import DetectionsRun
from backend.tracking.tracks.tracks import Tracks

NO_TRACK = 0
FIRST_CLASS = 1  # of what a person drew where nothing was detected


@dataclass(frozen=True, eq=False)
class FrameView:
    """The birds of one frame.

    Attributes
    ----------
    frame, time_s
        0-based number, and seconds from the video's first frame.
    boxes : (N, 4) float32 ``x1 y1 x2 y2``, px of the original frame
    detection : (N,) int32, -1 where a bird was not detected here but followed
    class_id : (N,) int32, 0 where nothing was detected
    score : (N,) float32, NaN where nothing was detected
    area_px2 : (N,) int32, 0 where there is no mask
    masks : N COCO counts, None where there is no mask
    track : (N,) int32, 0 without tracks
    names : N identities, empty where there is none
    """

    frame: int
    time_s: float
    boxes: np.ndarray
    detection: np.ndarray
    class_id: np.ndarray
    score: np.ndarray
    area_px2: np.ndarray
    masks: list[bytes | None]
    track: np.ndarray
    names: list[str]

    def __len__(self) -> int:
        return len(self.boxes)


def frame_views(
    run: DetectionsRun,
    from_frame: int = 0,
    to_frame: int | None = None,
    score_threshold: float = 0.0,
    tracks: Tracks | None = None,
) -> Iterator[FrameView]:
    """Yield every frame of ``[from_frame, to_frame)`` that was looked at; one chunk is in memory at a time.

    With ``tracks`` there is one bird a track, interpolated ones included; detections that belong to none are left out,
    and the threshold is not applied: what is part of a track is not taken out of it. What a person drew has the drawn
    mask and the score 1.
    """
    end = run.facts.frame_end if to_frame is None else to_frame
    for chunk in run.chunks:
        if chunk.to_frame <= from_frame or chunk.from_frame >= end:
            continue
        part = run.load(chunk)
        shown = part if tracks is not None else part.at_least(score_threshold)
        yield from (
            view_of(frame, time_s, detections, tracks)
            for frame, time_s, detections in shown.by_frame()
            if from_frame <= frame < end
        )


def view_of(frame: int, time_s: float, detections: Instances, tracks: Tracks | None = None) -> FrameView:
    """Return the view of one frame from its detections, and from tracks if there are any."""
    if tracks is None:
        return _of_detections(frame, time_s, detections)
    rows = np.arange(len(tracks))[tracks.rows_at(frame)]
    rows = rows[np.isfinite(tracks.boxes[rows]).all(axis=1)]  # lost ones have no box
    place = {number: row for row, number in enumerate(detections.detection.tolist())}
    of = np.array([place.get(number, -1) for number in tracks.detection[rows].tolist()], np.int64)
    masks = [detections.counts(row) if row >= 0 else None for row in of.tolist()]
    class_id, score = _take(detections.class_id, of, 0), _take(detections.score, of, np.nan)
    area = _take(detections.area_px2, of, 0)
    for k, track in enumerate(tracks.track_id[rows].tolist()):
        if (frame, track) in tracks.drawn:
            masks[k] = tracks.drawn[frame, track]
            class_id[k], score[k] = max(class_id[k], FIRST_CLASS), 1.0
            area[k] = 0 if masks[k] is None else rle.area(masks[k])
    return FrameView(
        frame=frame,
        time_s=time_s,
        boxes=tracks.boxes[rows],
        detection=tracks.detection[rows],
        class_id=class_id,
        score=score,
        area_px2=area,
        masks=masks,
        track=tracks.track_id[rows],
        names=[tracks.names[code] if code >= 0 else "" for code in tracks.identity[rows].tolist()],
    )


def _of_detections(frame: int, time_s: float, detections: Instances) -> FrameView:
    return FrameView(
        frame=frame,
        time_s=time_s,
        boxes=detections.boxes,
        detection=detections.detection,
        class_id=detections.class_id,
        score=detections.score,
        area_px2=detections.area_px2,
        masks=detections.rle.to_pylist(),
        track=np.full(len(detections), NO_TRACK, np.int32),
        names=[""] * len(detections),
    )


def _take(column: np.ndarray, rows: np.ndarray, missing: float) -> np.ndarray:
    result = np.full(len(rows), missing, column.dtype)
    result[rows >= 0] = column[rows[rows >= 0]]
    return result
