"""The frame at a time of a video, with zones and birds drawn in: what a click on a plot of the statistics shows."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.masks.colours import colour_of
from backend.pipeline.detections import open_detections
from backend.project.errors import InputError
from backend.project.paths import Project
from backend.tracking.tracks.schemas import STATE_NAMES, State
from backend.tracking.tracks.track_folder import open_tracks
from backend.tracking.tracks.tracks import NONE, Tracks
from backend.video.library import open_video
from backend.zones.zone_file import Zones, list_versions, read_version, read_zones

JPEG_QUALITY = 85
Bird = tuple[str, str, tuple[float, float, float, float]]  # name, state, box in px


def zones_used(run: dict[str, Any]) -> Zones:
    """Return the zones that a statistics run used: the kept version, or the present file where none was kept."""
    path, version = Path(run["zones"]), run["zones_version"]
    return read_version(path, version) if version in list_versions(path) else read_zones(path)


def birds_of_tracks(tracks: Tracks, time_s: float) -> tuple[int, list[Bird]]:
    """Return the analysed frame nearest to ``time_s``, 0-based, and the birds that have a position in it."""
    frame = int(tracks.frames[np.argmin(np.abs(tracks.times - time_s))])
    rows = tracks.rows_at(frame)
    birds = []
    for row in range(rows.start, rows.stop):
        if tracks.state[row] != State.LOST:
            code = tracks.identity[row]
            name = tracks.names[code] if code != NONE else f"track {tracks.track_id[row]}"
            birds.append((name, STATE_NAMES[tracks.state[row]], tuple(tracks.boxes[row].tolist())))
    return frame, birds


def birds_at(folder: Path, tracked: bool, time_s: float, score: float) -> tuple[int, list[Bird]]:
    """Return what `birds_of_tracks` does, for a folder of tracks or of detections (those of ``score`` or more)."""
    if tracked:
        return birds_of_tracks(open_tracks(folder), time_s)
    run = open_detections(folder)
    seen = run.frames()
    if not len(seen):
        raise InputError(f"{folder} has no analysed frames")
    frame = int(seen.frame[np.argmin(np.abs(seen.time_s - time_s))])
    detections = run.at(frame)
    kept = [] if detections is None else [k for k in range(len(detections)) if detections.score[k] >= score]
    return frame, [(f"{detections.score[k]:.2f}", "detected", tuple(detections.boxes[k].tolist())) for k in kept]


def draw_frame_at(project: Project, video: str, frame: int, zones: Zones, birds: list[Bird], width: int) -> bytes:
    """Return a JPEG of a frame, at most ``width`` px wide, with zones and birds drawn in."""
    with open_video(project, video, threads=1) as reader:
        picture = reader.read([frame])[0]
    scale = min(1.0, width / picture.shape[1])
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    canvas = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    for k, zone in enumerate(zones.zones):
        colour = _rgb(zone.colour) if zone.colour else colour_of(k + 1)
        points = (zone.polygon * scale).round().astype(np.int32)
        cv2.polylines(canvas, [points], True, colour, 2, cv2.LINE_AA)
        _write(canvas, zone.name, points.mean(axis=0), colour)
    for name, state, (x1, y1, x2, y2) in birds:
        first, last = ((round(x * scale), round(y * scale)) for x, y in ((x1, y1), (x2, y2)))
        line = (255, 255, 255) if state == "detected" else (255, 200, 60)
        cv2.rectangle(canvas, first, last, line, 1, cv2.LINE_AA)
        _write(canvas, name, np.array([(first[0] + last[0]) / 2, first[1] - 7]), line)
    _, jpeg = cv2.imencode(".jpg", canvas[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()


def _write(picture: np.ndarray, text: str, centre: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Write text, centred at ``centre`` (x, y px), on a darkened field, so that it is readable on any picture."""
    plain, size = text.encode("ascii", "replace").decode(), max(0.42, picture.shape[1] / 2100)
    (width, height), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    x = int(np.clip(centre[0] - width / 2, 4, max(4, picture.shape[1] - width - 4)))
    y = int(np.clip(centre[1], height + 4, picture.shape[0] - 6))
    field = picture[y - height - 4 : y + 5, x - 4 : x + width + 4]
    field[:] = field // 3
    cv2.putText(picture, plain, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
