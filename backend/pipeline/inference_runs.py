"""The inference runs of a project, as pages list and show them."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np

from backend.pipeline.chunk_tables import FramesSeen
from backend.pipeline.detections import DetectionsRun, open_detections
from backend.pipeline.draw_frame import draw_birds
from backend.pipeline.frame_views import view_of
from backend.project.errors import InputError
from backend.project.paths import Project
from backend.video import VideoReader

JPEG_QUALITY = 88
APART = 25  # frames: unusual moments closer than this are one
NEIGHBOURS = 51  # frames: what is usual around a frame


@dataclass(frozen=True)
class RunRecord:
    """One run's folder. ``problem`` says in words why it cannot be shown; it is empty for one that can."""

    video: str
    name: str
    folder: Path
    complete: bool
    started: datetime | None
    counts: dict[str, int]
    problem: str


def list_runs(project: Project, video: str) -> list[RunRecord]:
    """Return the runs on a video, newest first; those at work, unfinished or broken ones too."""
    parent = project.inference_output(video, "run").parent
    found = [_record(video, path) for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    return sorted(found, key=lambda run: run.started.timestamp() if run.started else 0.0, reverse=True)


def latest_frame(run: DetectionsRun) -> int | None:
    """Return the last frame that was looked at so far; None if no chunk is finished."""
    if not run.chunks:
        return None
    seen = run.load(run.chunks[-1], masks=False).seen
    return int(seen.frame[-1]) if len(seen) else None


def frame_jpeg(run: DetectionsRun, video: Path, frame: int, score_threshold: float, width: int, index: Path) -> bytes:
    """Return a JPEG of one frame with its birds, at most ``width`` px wide.

    Raises
    ------
    InputError
        If the frame was not looked at or cannot be decoded.
    """
    found = run.at(frame)
    if found is None:
        raise InputError(f"frame {frame} was not looked at in this run")
    with VideoReader(video, cache_folder=index, threads=1) as reader:
        picture = reader.read([frame])[0]
        time_s = float(reader.times[frame])
    shown = view_of(frame, time_s, found.take(found.score >= np.float32(score_threshold)))
    full_width, full_height = run.facts.width, run.facts.height
    width = min(width, full_width)
    drawn = draw_birds(picture, shown, run.facts.class_names, size=(width, round(full_height * width / full_width)))
    _, jpeg = cv2.imencode(".jpg", drawn[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()


def counts_over_time(run: DetectionsRun, score_threshold: float) -> FramesSeen:
    """Return every frame looked at so far with its number of detections of that score or more."""
    parts = [part.at_least(score_threshold).seen for part in run.without_masks()]
    if not parts:
        return run.frames()
    return FramesSeen(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("frame", "time_s", "n")))


def unusual_frames(seen: FramesSeen, most: int = 20) -> list[int]:
    """Return frames whose count differs most from the median of their neighbours, the most unusual first.

    Of moments less than `APART` frames apart only the most unusual one is given.
    """
    if not len(seen):
        return []
    half = NEIGHBOURS // 2
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(seen.n, half, mode="reflect" if len(seen) > half else "edge"), NEIGHBOURS
    )
    strange = np.abs(seen.n - np.median(around, axis=1))
    chosen: list[int] = []
    for place in np.argsort(-strange, kind="stable").tolist():
        frame = int(seen.frame[place])
        if strange[place] < 1 or len(chosen) == most:
            break
        if all(abs(frame - other) >= APART for other in chosen):
            chosen.append(frame)
    return chosen


def _record(video: str, folder: Path) -> RunRecord:
    try:
        manifest = open_detections(folder).manifest
    except InputError as error:
        return RunRecord(video, folder.name, folder, False, None, {}, str(error))
    return RunRecord(video, folder.name, folder, manifest.complete, manifest.started, manifest.counts, "")
