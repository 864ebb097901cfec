"""The inference runs of a project, for pages: list, frames, counts over time."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np

from backend.pipeline.chunk_tables import AnalysedFrames
from backend.pipeline.detections import DetectionsRun, open_detections
from backend.pipeline.draw_frame import draw_birds
from backend.pipeline.frame_views import view_of
from backend.project.errors import InputError
from backend.project.paths import Project
from backend.video import VideoReader

JPEG_QUALITY = 88
MIN_FRAMES_APART = 25  # frames: unusual moments closer than this are one
NEIGHBOURS = 51  # frames: what is usual around a frame


@dataclass(frozen=True)
class RunRecord:
    """One run's folder. ``problem`` is the reason why it cannot be shown, empty for a usable run."""

    video: str
    name: str
    folder: Path
    complete: bool
    started: datetime | None
    counts: dict[str, int]
    problem: str


def list_runs(project: Project, video: str) -> list[RunRecord]:
    """Return the runs on a video, newest first; running, unfinished and broken ones included."""
    parent = project.inference_output(video, "run").parent
    runs = [_record(video, path) for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    return sorted(runs, key=lambda run: run.started.timestamp() if run.started else 0.0, reverse=True)


def latest_frame(run: DetectionsRun) -> int | None:
    """Return the last analysed frame; None if no chunk is finished."""
    if not run.chunks:
        return None
    seen = run.load(run.chunks[-1], masks=False).seen
    return int(seen.frame[-1]) if len(seen) else None


def frame_jpeg(run: DetectionsRun, video: Path, frame: int, score_threshold: float, width: int, index: Path) -> bytes:
    """Return a JPEG of one frame with its birds, at most ``width`` px wide.

    Raises
    ------
    InputError
        If the frame was not analysed or cannot be decoded.
    """
    detections = run.at(frame)
    if detections is None:
        raise InputError(f"frame {frame} was not analysed in this run")
    with VideoReader(video, cache_folder=index, threads=1) as reader:
        picture = reader.read([frame])[0]
        time_s = float(reader.times[frame])
    view = view_of(frame, time_s, detections.take(detections.score >= np.float32(score_threshold)))
    full_width, full_height = run.facts.width, run.facts.height
    width = min(width, full_width)
    drawn = draw_birds(picture, view, run.facts.class_names, size=(width, round(full_height * width / full_width)))
    _, jpeg = cv2.imencode(".jpg", drawn[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()


def counts_over_time(run: DetectionsRun, score_threshold: float) -> AnalysedFrames:
    """Return all frames analysed so far with their number of detections of ``score_threshold`` or more."""
    parts = [part.at_least(score_threshold).seen for part in run.without_masks()]
    if not parts:
        return run.frames()
    return AnalysedFrames(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("frame", "time_s", "n"))
    )


def unusual_frames(seen: AnalysedFrames, most: int = 20) -> list[int]:
    """Return frames whose count differs most from the median of their neighbours, the most unusual first.

    Of moments less than `MIN_FRAMES_APART` frames apart only the most unusual one is given.
    """
    if not len(seen):
        return []
    half = NEIGHBOURS // 2
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(seen.n, half, mode="reflect" if len(seen) > half else "edge"), NEIGHBOURS
    )
    deviation = np.abs(seen.n - np.median(around, axis=1))
    chosen: list[int] = []
    for index in np.argsort(-deviation, kind="stable").tolist():
        frame = int(seen.frame[index])
        if deviation[index] < 1 or len(chosen) == most:
            break
        if all(abs(frame - other) >= MIN_FRAMES_APART for other in chosen):
            chosen.append(frame)
    return chosen


def _record(video: str, folder: Path) -> RunRecord:
    try:
        manifest = open_detections(folder).manifest
    except InputError as error:
        return RunRecord(video, folder.name, folder, False, None, {}, str(error))
    return RunRecord(video, folder.name, folder, manifest.complete, manifest.started, manifest.counts, "")
