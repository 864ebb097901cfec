"""What pages show of tracks: the runs of a video, lanes by bird, counts, trails, and doubts over a frame."""

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

BINS = 600  # of lanes and counts over the whole video
ERROR_SHARE = 0.8  # of the expected error that the first doubts cause
TRAIL_S = 5.0
JPEG_QUALITY = 88
STATE_LABELS = {"detected": "seen", "interpolated": "interpolated", "lost": "lost"}


@dataclass(frozen=True)
class TrackRun:
    """One finished or unfinished track run; ``n_birds`` is the number of birds that was given, None: unknown."""

    name: str
    folder: Path
    complete: bool
    started: datetime
    n_birds: int | None


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
    result = []
    for folder in parent.iterdir() if parent.is_dir() else ():
        try:
            manifest = read_manifest(folder) if folder.is_dir() else None
        except InputError:
            continue
        if manifest is not None and manifest.script == "track":
            n_birds = manifest.settings.get("n_birds")
            result.append(TrackRun(folder.name, folder, manifest.complete, manifest.started, n_birds))
    return sorted(result, key=lambda run: run.started.timestamp(), reverse=True)


def read_summary(folder: Path) -> dict:
    """Return ``summary.json`` of a track run; InputError if the file is missing or damaged."""
    try:
        return json.loads((folder / SUMMARY).read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{folder / SUMMARY} is missing, so what these tracks are worth is not known; track again"
        ) from None
    except ValueError as error:
        raise InputError(f"{folder / SUMMARY} is damaged ({error}); track again") from error


def lanes(tracks: Tracks) -> list[Lane]:
    """Return stretches of one state for every bird; within a bin of the video the most frequent state counts."""
    bins = min(BINS, tracks.n_frames)
    edges = np.linspace(0, tracks.n_frames, bins + 1)
    at = np.searchsorted(tracks.frames, tracks.frame)
    bin_of_frame = np.minimum((at * bins) // max(1, tracks.n_frames), bins - 1)
    times = np.append(tracks.times, tracks.times[-1] + 1 / tracks.fps)
    result = []
    for code, name in enumerate(tracks.names):
        own = tracks.identity == code
        votes = np.zeros((bins, len(STATE_NAMES)), np.int64)
        np.add.at(votes, (bin_of_frame[own], tracks.state[own]), 1)
        state = np.where(votes.any(axis=1), votes.argmax(axis=1), NONE)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(state)) + 1, [bins]])
        for first, last in zip(starts[:-1], starts[1:], strict=True):
            if state[first] != NONE:
                span = times[int(edges[first])], times[int(edges[last])]
                result.append(Lane(name, STATE_LABELS[STATE_NAMES[state[first]]], float(span[0]), float(span[1])))
    return result


def counts(tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Return times (B,) and the mean number of identified birds seen in each bin of the video, (B,)."""
    bins = min(BINS, tracks.n_frames)
    seen = (tracks.state == State.DETECTED) & (tracks.identity != NONE)
    at = np.searchsorted(tracks.frames, tracks.frame[seen])
    bin_of_frame = (np.arange(tracks.n_frames) * bins) // max(1, tracks.n_frames)
    frames = np.bincount(bin_of_frame, minlength=bins)
    times = tracks.times[np.searchsorted(bin_of_frame, np.arange(bins))]
    return times, np.bincount(bin_of_frame[at], minlength=bins) / frames


def doubt_rows(folder: Path, tracks: Tracks, zones: Zones | None = None) -> list[dict]:
    """Return the doubts of a run with names and times, those first with the largest effect.

    ``cost_s`` is the effect on the statistics of ``zones``, or without zones on bird-time (`effects`).
    """
    name_of = {track: tracks.names[code] for code, track in enumerate(tracks.track_of_name)}
    table = read_doubts(folder)
    costs = effects(tracks, table, None if zones is None else zone_of_rows(tracks, zones))
    result = []
    for row, cost in zip(table.to_pylist(), costs.tolist(), strict=True):
        start, until = _time(tracks, row["from_frame"]), _time(tracks, row["until_frame"])
        birds = [name_of.get(track, f"track {track}") for track in row["tracks"]]
        result.append({**row, "birds": birds, "at_s": start, "lasts_s": until - start, "cost_s": cost})
    return sorted(result, key=lambda row: (-row["cost_s"], row["from_frame"]))


def worth_removing(costs: list[float]) -> int:
    """Return how many of the first doubts make up `ERROR_SHARE` of the expected error; ``costs`` are theirs."""
    total = np.cumsum(costs)
    return int(np.searchsorted(total, ERROR_SHARE * total[-1])) + 1 if len(total) and total[-1] > 0 else 0


def picture_of(tracks: Tracks, video: Path, index: Path, frame: int, only: tuple[int, ...], width: int) -> bytes:
    """Return a JPEG of a frame with boxes, names (#3: track 3, unnamed) and trails of the last `TRAIL_S` seconds.

    ``only``: these tracks, empty for all; at most ``width`` px wide.
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
        trail = np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]]).round().astype(np.int32)
        cv2.polylines(picture, [trail.reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA)
        if tracks.frame[own[-1]] == frame:
            x1, y1, x2, y2 = boxes[-1].round().astype(int).tolist()
            cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 2)
            text_position = (x1, max(12, y1 - 5))
            cv2.putText(picture, name, text_position, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
            cv2.putText(picture, name, text_position, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    _, jpeg = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()


def _time(tracks: Tracks, frame: int) -> float:
    return float(np.interp(frame, tracks.frames, tracks.times))
