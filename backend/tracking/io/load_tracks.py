"""Load tracks of other programs, and write them as track runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.project.atomic import atomic_json
from backend.project.errors import InputError
from backend.project.manifest import Manifest, finished_file, now
from backend.tracking.io.check_boxes import check_boxes, check_frame_count, check_points
from backend.tracking.io.mot import check_tracks, read_mot
from backend.tracking.tracks.schemas import DOUBT_COLUMNS, DOUBTS, FRAMES, TRACKLET_COLUMNS, TRACKLETS, TRACKS, State
from backend.tracking.tracks.track_folder import write_table, write_tracks
from backend.tracking.tracks.tracks import NONE, Tracks, lost_rows, sorted_tracks

SUMMARY = "summary.json"
MAX_NAME_LENGTH = 80  # of an identity in the corrections log
MAX_TRACKS = 2**15 - 1


@dataclass(frozen=True, eq=False)
class LoadedTracks:
    """Boxes of tracks as in a file, in any order. Arrays of one length.

    Attributes
    ----------
    frame
        (N,) from 0.
    track
        (N,) index into ``names``.
    names
        Of the tracks.
    boxes
        (N, 4) x1 y1 x2 y2, px.
    interpolated
        (N,) bool.
    score
        (N,) of the detection.
    p
        (N,) probability that the identity is right.
    numbers
        Track ids; by default from 1.
    left_out
        Number of instances in the file that cannot be used.
    points
        (N, 4) x1 y1 x2 y2, px, around the points of an animal, of which its box is made; None: the file has boxes.
    size
        (width, height) of the file's video, px; None: the file does not say.
    n_frames
        Number of frames of the file's video; None: the file does not say.
    """

    frame: np.ndarray
    track: np.ndarray
    names: tuple[str, ...]
    boxes: np.ndarray
    interpolated: np.ndarray
    score: np.ndarray
    p: np.ndarray
    numbers: np.ndarray | None = None
    left_out: int = 0
    points: np.ndarray | None = None
    size: tuple[int, int] | None = None
    n_frames: int | None = None


def read_mot_tracks(path: Path) -> LoadedTracks:
    """Return the tracks of a MOT file as birds ``track 1`` and so on; a score of 0 marks an interpolated box.

    Raises
    ------
    InputError
        If the file is not MOT, a line has no track number above 0, or a track is twice in a frame.
    """
    rows = read_mot(path)
    check_tracks(path, rows, 1)
    numbers, track = np.unique(rows.ids, return_inverse=True)
    names = tuple(f"track {number}" for number in numbers)
    ones = np.ones(len(track))
    return LoadedTracks(rows.frame, track, names, rows.boxes, rows.score == 0, rows.score, ones, numbers)


def check_video(loaded: LoadedTracks, source: Path, size: tuple[int, int], n_frames: int | None) -> None:
    """Raise InputError where tracks are not of a video with frames of ``size`` (width, height) px.

    ``n_frames`` of the video; None: not known. Refused are a file that names another size or more frames, frames
    behind the end, coordinates of another unit or scale, and corners in place of sizes.
    """
    if loaded.size is not None and loaded.size != size:
        theirs, ours = (f"{width}x{height}" for width, height in (loaded.size, size))
        raise InputError(f"{source} was made on a video of {theirs} px; this one has {ours} px")
    if n_frames is not None:
        check_frame_count(source, int(loaded.frame.max(initial=-1)), n_frames, loaded.n_frames)

    def where(row: int) -> str:
        return f"{source}, {loaded.names[loaded.track[row]]} in frame {loaded.frame[row]}"

    if loaded.points is None:
        check_boxes(source, loaded.boxes, size, where)
    else:
        check_points(source, loaded.points, size, where)


def tracks_of(loaded: LoadedTracks, times: np.ndarray, source: Path) -> Tracks:
    """Return tracks of named birds, each from its first to its last detection.

    ``times`` (F,) s of all frames of the video. ``detection`` is the rank in the frame by falling score, the number
    that backend.import_detections gives the same rows.

    Raises
    ------
    InputError
        With ``source``, if a track is twice in a frame, a box has no area, or frames lie behind the video's end.
    """
    if not len(loaded.frame):
        raise InputError(f"{source} holds no tracks")
    if len(loaded.names) > MAX_TRACKS:
        raise InputError(f"{source} has {len(loaded.names)} tracks; at most {MAX_TRACKS} are possible")
    used, track = np.unique(loaded.track, return_inverse=True)
    numbers = (used + 1 if loaded.numbers is None else loaded.numbers[used]).astype(np.int64)
    names = _identities(tuple(loaded.names[k] for k in used))
    _check(loaded, len(times), source)
    order = np.lexsort((-loaded.score, loaded.frame))
    frame, track, interpolated = loaded.frame[order].astype(np.int32), track[order], loaded.interpolated[order]
    rank = np.arange(len(frame)) - np.searchsorted(frame, frame)
    seen = {
        "frame": frame, "detection": np.where(interpolated, NONE, rank).astype(np.int32),
        "track_id": numbers[track].astype(np.int32), "identity": track.astype(np.int16),
        "state": np.where(interpolated, State.INTERPOLATED, State.DETECTED).astype(np.int8),
        "p_identity": loaded.p[order].astype(np.float32), "boxes": loaded.boxes[order].astype(np.float32),
    }  # fmt: skip
    frames = np.arange(len(times), dtype=np.int32)
    missing = lost_rows(seen, frames, {code: int(numbers[code]) for code in range(len(numbers))}, {})
    rows = {name: np.concatenate([seen[name], missing[name]]) for name in seen}
    return sorted_tracks(**rows, names=names, frames=frames, times=times)


def write_loaded_tracks(folder: Path, tracks: Tracks, manifest: Manifest, expected_error: float | None = None) -> None:
    """Write a whole track run without tracklets and doubts, for tracks that were not linked here.

    ``expected_error`` is the share of bird-time with a wrong identity; None: unknown.
    """
    n = len(tracks.names)
    counts = {"frames": tracks.n_frames, "rows": len(tracks), "birds": n, "doubts": 0}
    summary: dict[str, Any] = {"birds": n, "described": True, "expected_error": expected_error, "corrections": 0}
    write_tracks(folder, tracks)
    write_table(folder / TRACKLETS, TRACKLET_COLUMNS.empty_table())
    write_table(folder / DOUBTS, DOUBT_COLUMNS.empty_table())
    atomic_json(folder / SUMMARY, {**summary, "corrections_that_do_not_apply": [], "counts": counts})
    manifest.counts = counts
    manifest.files = {name: finished_file(folder / name) for name in (TRACKS, FRAMES, TRACKLETS, DOUBTS, SUMMARY)}
    manifest.complete, manifest.finished = True, now()
    manifest.write(folder)


def _check(loaded: LoadedTracks, n_frames: int, source: Path) -> None:
    if loaded.frame.max() >= n_frames:
        raise InputError(f"{source} has a bird in frame {loaded.frame.max()}; the video has {n_frames} frames")
    flat = ~((loaded.boxes[:, 2:] > loaded.boxes[:, :2]).all(axis=1) & np.isfinite(loaded.boxes).all(axis=1))
    if flat.any():
        first = int(np.flatnonzero(flat)[0])
        box = loaded.boxes[first].round(2).tolist()
        raise InputError(
            f"{source}: the box {box} in frame {loaded.frame[first]} has no area; give a larger --margin-px"
        )
    order = np.lexsort((loaded.track, loaded.frame))
    twice = order[1:][(np.diff(loaded.frame[order]) == 0) & (np.diff(loaded.track[order]) == 0)]
    if len(twice):
        raise InputError(f"{source}: {loaded.names[loaded.track[twice[0]]]} is twice in frame {loaded.frame[twice[0]]}")


def _identities(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names that the corrections log takes: none empty, too long or repeated."""
    used: dict[str, None] = {}
    for number, name in enumerate(names, 1):
        plain = name.strip()[:MAX_NAME_LENGTH] or f"track {number}"
        free, k = plain, 2
        while free in used:
            ending = f" ({k})"
            free, k = plain[: MAX_NAME_LENGTH - len(ending)] + ending, k + 1
        used[free] = None
    return tuple(used)
