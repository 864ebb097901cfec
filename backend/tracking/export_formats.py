"""Corrected tracks in the formats of other programs.

- ``csv``: one row a bird and frame, with a heading; what is not known is empty.
- ``parquet``: the columns of ``tracks.parquet``.
- ``mot``: MOTChallenge text, ``frame, id, left, top, width, height, score, -1, -1, -1``; frames from 1;
  what is lost is left out.
- ``npy``: a dictionary as idtracker.ai saves it: ``trajectories`` (frames, birds, 2) px of the centre, NaN where lost,
  ``id_probabilities`` (frames, birds, 1), ``frames_per_second``, ``identities_labels``.
- ``netcdf``: a data set as ``movement`` keeps boxes: ``position`` and ``shape`` (time, space, individuals), px,
  ``confidence`` (time, individuals), time in s. NetCDF 3, which every reader of NetCDF knows.

Named birds only in ``npy`` and ``netcdf``; tracks that were not told apart are in the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from scipy.io import netcdf_file

from backend.project.atomic import atomic_file
from backend.project.errors import InputError
from backend.tracking.mot_files import read_mot
from backend.tracking.schemas import State
from backend.tracking.tracks import NONE, Tracks, lost_rows, sorted_tracks, tracks_table


@dataclass(frozen=True)
class Format:
    """One format: name of the file, what people read, and what writes it."""

    file: str
    words: str
    write: Callable[[Path, Tracks, str], None]


def write_csv(path: Path, tracks: Tracks, video: str) -> None:
    """Write tidy rows with times."""
    table = tracks_table(tracks)
    times = pa.array(tracks.times[np.searchsorted(tracks.frames, tracks.frame)])
    plain = [column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column for column in table.columns]
    whole = pa.table([plain[0], times, *plain[1:]], ["frame", "time_s", *table.column_names[1:]])
    with atomic_file(path) as file:
        pa_csv.write_csv(whole, file)


def write_parquet(path: Path, tracks: Tracks, video: str) -> None:
    """Write the columns of ``tracks.parquet``."""
    with atomic_file(path) as file:
        pq.write_table(tracks_table(tracks), file, compression="zstd")


def write_mot(path: Path, tracks: Tracks, video: str) -> None:
    """Write MOTChallenge text."""
    seen = np.flatnonzero(tracks.state != State.LOST)
    with atomic_file(path) as file:
        for row in seen.tolist():
            x1, y1, x2, y2 = tracks.boxes[row].astype(np.float64)
            score = 1.0 if tracks.state[row] == State.DETECTED else 0.0
            line = f"{tracks.frame[row] + 1},{tracks.track_id[row]},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
            file.write(f"{line},{score:g},-1,-1,-1\n".encode())


def write_npy(path: Path, tracks: Tracks, video: str) -> None:
    """Write trajectories as idtracker.ai does; numpy pickles the dictionary, so read it with ``allow_pickle=True``."""
    boxes, p = by_bird(tracks)
    content: dict[str, Any] = {
        "trajectories": (boxes[..., :2] + boxes[..., 2:]) / 2,  # F x B x 2
        "id_probabilities": p[..., None],
        "frames_per_second": tracks.fps,
        "identities_labels": list(tracks.names),
        "video_paths": [video],
        "frames": tracks.frames,
    }
    with atomic_file(path) as file:
        np.save(file, np.array(content, object), allow_pickle=True)


def write_netcdf(path: Path, tracks: Tracks, video: str) -> None:
    """Write a data set of boxes as ``movement`` has it."""
    boxes, p = by_bird(tracks)
    names = [name.encode() for name in tracks.names]
    width = max([1, *map(len, names)])
    with atomic_file(path) as file, netcdf_file(_KeptOpen(file), "w", mmap=False) as data:
        sizes = {"time": len(tracks.frames), "space": 2, "individuals": len(names), "letters": width, "axis_letters": 1}
        for name, size in sizes.items():
            data.createDimension(name, size)
        data.createVariable("time", "f8", ("time",))[:] = tracks.times
        data.createVariable("space", "S1", ("space", "axis_letters"))[:] = np.array([[b"x"], [b"y"]])
        letters = np.array([list(name.ljust(width, b"\0").decode("latin-1")) for name in names], "U1").astype("S1")
        data.createVariable("individuals", "S1", ("individuals", "letters"))[:] = letters.reshape(len(names), width)
        three = ("time", "space", "individuals")
        centres, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
        data.createVariable("position", "f4", three)[:] = centres.transpose(0, 2, 1)
        data.createVariable("shape", "f4", three)[:] = sides.transpose(0, 2, 1)
        data.createVariable("confidence", "f4", ("time", "individuals"))[:] = p
        attributes = {"ds_type": "bboxes", "source_software": "Lektrack", "source_file": video, "time_unit": "seconds"}
        for name, value in attributes.items():
            setattr(data, name, value)
        data.fps = tracks.fps
        data.flush()


class _KeptOpen:
    """A file that `netcdf_file`, which closes what it is given, leaves open."""

    def __init__(self, file: IO[bytes]):
        self.write, self.seek, self.tell, self.flush = file.write, file.seek, file.tell, file.flush
        self.closed = False

    def close(self) -> None:
        """Say that it is closed, and leave it open."""
        self.closed = True


FORMATS = {
    "csv": Format("tracks.csv", "CSV: one row a bird and frame", write_csv),
    "parquet": Format("tracks_corrected.parquet", "Parquet", write_parquet),
    "mot": Format("tracks_mot.txt", "MOT text", write_mot),
    "npy": Format("trajectories.npy", "npy: as from idtracker.ai", write_npy),
    "netcdf": Format("tracks_movement.nc", "NetCDF: for movement", write_netcdf),
}


def by_bird(tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes (F, B, 4) and p_identity (F, B) float32 of the named birds, NaN where they are not seen."""
    boxes = np.full((tracks.n_frames, len(tracks.names), 4), np.nan, np.float32)
    p = np.full(boxes.shape[:2], np.nan, np.float32)
    rows = np.flatnonzero((tracks.identity != NONE) & (tracks.state != State.LOST))
    place = np.searchsorted(tracks.frames, tracks.frame[rows]), tracks.identity[rows]
    boxes[place], p[place] = tracks.boxes[rows], tracks.p_identity[rows]
    return boxes, p


def read_mot_tracks(path: Path, fps: float) -> Tracks:
    """Return the tracks of a MOT file as named birds, ``track 1`` and so on, for those who tracked elsewhere.

    ``detection`` is the place within the frame, as `write_chunk` of the same rows would number them. A score of 0
    marks an interpolated box, as `write_mot` writes it.

    Raises
    ------
    InputError
        If the file is not MOT, has no tracks, or one track twice in a frame.
    """
    rows = read_mot(path)
    if not len(rows.frame) or (rows.who < 0).any():
        raise InputError(f"{path} holds detections, not tracks: every line needs a track number above 0")
    pairs = np.column_stack([rows.frame, rows.who])
    unique, first = np.unique(pairs, axis=0, return_index=True)
    if len(unique) < len(pairs):
        twice = pairs[np.setdiff1d(np.arange(len(pairs)), first)[0]]
        raise InputError(f"{path}: track {twice[1]} is twice in frame {twice[0] + 1}")
    numbers, code = np.unique(rows.who, return_inverse=True)
    guessed = rows.score == 0
    starts = np.searchsorted(rows.frame, rows.frame)
    seen = {
        "frame": rows.frame, "detection": np.where(guessed, NONE, np.arange(len(rows.frame)) - starts).astype(np.int32),
        "track_id": rows.who.astype(np.int32), "identity": code.astype(np.int16),
        "state": np.where(guessed, State.INTERPOLATED, State.DETECTED).astype(np.int8),
        "p_identity": np.ones(len(rows.frame), np.float32), "boxes": rows.boxes,
    }  # fmt: skip
    frames = np.arange(int(rows.frame.max()) + 1, dtype=np.int32)
    track_of = {k: int(number) for k, number in enumerate(numbers)}
    missing = lost_rows(seen, frames, track_of, dict.fromkeys(track_of, (0, int(frames[-1]))))
    whole = {name: np.concatenate([seen[name], missing[name]]) for name in seen}
    names = tuple(f"track {number}" for number in numbers)
    return sorted_tracks(**whole, names=names, frames=frames, times=frames / fps)
