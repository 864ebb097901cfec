"""Tracks as pages show them: runs of a video, lanes by bird, counts, trails and doubts over a frame."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np

from backend.masks.colours import colour_of
from backend.project.errors import InputError
from backend.project.manifest import read_manifest
from backend.project.paths import Project
from backend.tracking.review.effects import effects, zone_of_rows
from backend.tracking.tracks.schemas import STATE_NAMES, SUMMARY, State
from backend.tracking.tracks.track_folder import read_doubts
from backend.tracking.tracks.tracks import NONE, Tracks
from backend.video import VideoReader
from backend.zones.zone_file import Zones

BINS = 600  # of lanes and counts: more cannot be told apart
MOST = 0.8  # of the expected error, which the first doubts would remove
TRAIL_S = 5.0
JPEG_QUALITY = 88
SHOWN = {"detected": "seen", "interpolated": "interpolated", "lost": "lost"}


@dataclass(frozen=True)
class TrackRun:
    """One finished or unfinished track run. ``known`` is the number of birds that was given, None: open."""

    name: str
    folder: Path
    complete: bool
    started: datetime
    known: int | None


@dataclass(frozen=True)
class Lane:
    """A stretch of one bird in one state, s."""

    bird: str
    state: str
    from_s: float
    to_s: float


def list_track_runs(project: Project, video: str) -> list[TrackRun]:
    """Return the track runs of a video, newest first; folders that hold none are left out."""
    parent = project.track_output(video, "run").parent
    found = []
    for folder in parent.iterdir() if parent.is_dir() else ():
        try:
            manifest = read_manifest(folder) if folder.is_dir() else None
        except InputError:
            continue
        if manifest is not None and manifest.script == "track":
            known = manifest.settings.get("n_birds")
            found.append(TrackRun(folder.name, folder, manifest.complete, manifest.started, known))
    return sorted(found, key=lambda run: run.started.timestamp(), reverse=True)


def read_summary(folder: Path) -> dict:
    """Return what tracking said of its result (``summary.json``); InputError where the file is missing or damaged."""
    try:
        return json.loads((folder / SUMMARY).read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{folder / SUMMARY} is missing, so what these tracks are worth is not known; track again"
        ) from None
    except ValueError as error:
        raise InputError(f"{folder / SUMMARY} is damaged ({error}); track again") from error


def lanes(tracks: Tracks) -> list[Lane]:
    """Return stretches of one state for every bird; of what is shorter than a bin the most frequent state is shown."""
    bins = min(BINS, tracks.n_frames)
    edges = np.linspace(0, tracks.n_frames, bins + 1)
    at = np.searchsorted(tracks.frames, tracks.frame)
    place = np.minimum((at * bins) // max(1, tracks.n_frames), bins - 1)
    times = np.append(tracks.times, tracks.times[-1] + 1 / tracks.fps)
    found = []
    for code, name in enumerate(tracks.names):
        own = tracks.identity == code
        votes = np.zeros((bins, len(STATE_NAMES)), np.int64)
        np.add.at(votes, (place[own], tracks.state[own]), 1)
        state = np.where(votes.any(axis=1), votes.argmax(axis=1), NONE)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(state)) + 1, [bins]])
        for first, last in zip(starts[:-1], starts[1:], strict=True):
            if state[first] != NONE:
                span = times[int(edges[first])], times[int(edges[last])]
                found.append(Lane(name, SHOWN[STATE_NAMES[state[first]]], float(span[0]), float(span[1])))
    return found


def counts(tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Return times (B,) and the mean number of identified birds seen in each bin of the video, (B,)."""
    bins = min(BINS, tracks.n_frames)
    seen = (tracks.state == State.DETECTED) & (tracks.identity != NONE)
    at = np.searchsorted(tracks.frames, tracks.frame[seen])
    place = (np.arange(tracks.n_frames) * bins) // max(1, tracks.n_frames)
    frames = np.bincount(place, minlength=bins)
    return tracks.times[np.searchsorted(place, np.arange(bins))], np.bincount(place[at], minlength=bins) / frames


def doubt_rows(folder: Path, tracks: Tracks, zones: Zones | None = None) -> list[dict]:
    """Return the doubts of a run with names and times for people, those first that would change most.

    ``cost_s`` is the effect on the statistics of ``zones`` (`effects`); without zones on bird-time.
    """
    name_of = {track: tracks.names[code] for code, track in enumerate(tracks.track_of_name)}
    table = read_doubts(folder)
    costs = effects(tracks, table, None if zones is None else zone_of_rows(tracks, zones))
    found = []
    for row, cost in zip(table.to_pylist(), costs.tolist(), strict=True):
        start, until = _time(tracks, row["from_frame"]), _time(tracks, row["until_frame"])
        birds = [name_of.get(track, f"track {track}") for track in row["tracks"]]
        found.append({**row, "birds": birds, "at_s": start, "lasts_s": until - start, "cost_s": cost})
    return sorted(found, key=lambda row: (-row["cost_s"], row["from_frame"]))


def worth_removing(costs: list[float]) -> int:
    """Return how many of the first doubts stand for `MOST` of the expected error."""
    total = np.cumsum(costs)
    return int(np.searchsorted(total, MOST * total[-1])) + 1 if len(total) and total[-1] > 0 else 0


def picture_of(tracks: Tracks, video: Path, index: Path, frame: int, only: tuple[int, ...], width: int) -> bytes:
    """Return a JPEG of a frame with boxes, names (#3: track 3, which has none) and the trails of the last seconds.

    ``only``: these tracks, empty for all; ``width`` px at most.
    """
    frame = int(tracks.frames[np.clip(np.searchsorted(tracks.frames, frame), 0, len(tracks.frames) - 1)])
    with VideoReader(video, cache_folder=index, threads=1) as reader:
        picture = reader.read([frame])[0]
    scale = min(1.0, width / picture.shape[1])
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    picture = np.ascontiguousarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    first = np.searchsorted(tracks.frame, frame - TRAIL_S * tracks.fps)
    last = np.searchsorted(tracks.frame, frame + 1)
    rows = np.arange(first, last)
    rows = rows[tracks.state[rows] != State.LOST]
    for track in np.unique(tracks.track_id[rows]).tolist():
        if only and track not in only:
            continue
        own = rows[tracks.track_id[rows] == track]
        code = int(tracks.identity[own[-1]])
        name, number = (f"#{track}", track) if code == NONE else (tracks.names[code], code + 1)
        colour = tuple(int(value) for value in colour_of(number))
        boxes = tracks.boxes[own] * scale
        way = np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]]).round().astype(np.int32)
        cv2.polylines(picture, [way.reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA)
        if tracks.frame[own[-1]] == frame:
            x1, y1, x2, y2 = boxes[-1].round().astype(int).tolist()
            cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 2)
            spot = (x1, max(12, y1 - 5))
            cv2.putText(picture, name, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
            cv2.putText(picture, name, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    _, jpeg = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()


def _time(tracks: Tracks, frame: int) -> float:
    return float(np.interp(frame, tracks.frames, tracks.times))
