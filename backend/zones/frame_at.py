"""The frame behind a point of a plot: the picture with zones and birds at a time of a video."""

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
from backend.zones.zone_file import Zones, read_version, read_zones, versions_of

JPEG_QUALITY = 85
Bird = tuple[str, str, tuple[float, float, float, float]]  # name, state, box in px


def zones_used(run: dict[str, Any]) -> Zones:
    """Return the zones that a run of statistics used: the kept version, or the file as it is now."""
    path, version = Path(run["zones"]), run["zones_version"]
    return read_version(path, version) if version in versions_of(path) else read_zones(path)


def birds_of_tracks(tracks: Tracks, time_s: float) -> tuple[int, list[Bird]]:
    """Return the frame nearest to a time that was looked at, and the birds with a place in it."""
    frame = int(tracks.frames[np.argmin(np.abs(tracks.times - time_s))])
    rows = tracks.rows_at(frame)
    found = []
    for row in range(rows.start, rows.stop):
        if tracks.state[row] != State.LOST:
            code = tracks.identity[row]
            name = tracks.names[code] if code != NONE else f"track {tracks.track_id[row]}"
            found.append((name, STATE_NAMES[tracks.state[row]], tuple(tracks.boxes[row].tolist())))
    return frame, found


def birds_at(folder: Path, tracked: bool, time_s: float, score: float) -> tuple[int, list[Bird]]:
    """Do as `birds_of_tracks` for a run's folder, of tracks or of bare detections with ``score`` or more."""
    if tracked:
        return birds_of_tracks(open_tracks(folder), time_s)
    run = open_detections(folder)
    seen = run.frames()
    if not len(seen):
        raise InputError(f"{folder} holds no frames")
    frame = int(seen.frame[np.argmin(np.abs(seen.time_s - time_s))])
    found = run.at(frame)
    kept = [] if found is None else [k for k in range(len(found)) if found.score[k] >= score]
    return frame, [(f"{found.score[k]:.2f}", "detected", tuple(found.boxes[k].tolist())) for k in kept]


def draw_behind(project: Project, video: str, frame: int, zones: Zones, birds: list[Bird], width: int) -> bytes:
    """Return a JPEG, at most ``width`` px wide, of a frame with zones and birds.."""
    with open_video(project, video, threads=1) as reader:
        picture = reader.read([frame])[0]
    scale = min(1.0, width / picture.shape[1])
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    shown = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    for k, zone in enumerate(zones.zones):
        colour = _rgb(zone.colour) if zone.colour else colour_of(k + 1)
        points = (zone.polygon * scale).round().astype(np.int32)
        cv2.polylines(shown, [points], True, colour, 2, cv2.LINE_AA)
        _write(shown, zone.name, points.mean(axis=0), colour)
    for name, state, (x1, y1, x2, y2) in birds:
        first, last = ((round(x * scale), round(y * scale)) for x, y in ((x1, y1), (x2, y2)))
        line = (255, 255, 255) if state == "detected" else (255, 200, 60)
        cv2.rectangle(shown, first, last, line, 1, cv2.LINE_AA)
        _write(shown, name, np.array([(first[0] + last[0]) / 2, first[1] - 7]), line)
    _, jpeg = cv2.imencode(".jpg", shown[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()


def _write(picture: np.ndarray, text: str, centre: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Write text in the middle of a dark field, so that it can be read on any ground."""
    plain, size = text.encode("ascii", "replace").decode(), max(0.42, picture.shape[1] / 2100)
    (width, height), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    x = int(np.clip(centre[0] - width / 2, 4, max(4, picture.shape[1] - width - 4)))
    y = int(np.clip(centre[1], height + 4, picture.shape[0] - 6))
    field = picture[y - height - 4 : y + 5, x - 4 : x + width + 4]
    field[:] = field // 3
    cv2.putText(picture, plain, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
