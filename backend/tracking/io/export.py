"""Export formats: corrected tracks in the formats of other programs. To add one, add it to `FORMATS`.

- ``csv``: one row for each bird and frame, with a header; unknown values are empty.
- ``parquet``: the columns of ``tracks.parquet``.
- ``mot``: MOTChallenge text, ``frame, id, left, top, width, height, score, -1, -1, -1``; frames from 1;
  without lost birds.
- ``npy``: a dictionary as idtracker.ai saves it: ``trajectories`` (frames, birds, 2) px of the centre, NaN where lost,
  ``id_probabilities`` (frames, birds, 1), ``frames_per_second``, ``identities_labels``.
- ``netcdf``: a bounding-box data set of ``movement``: ``position`` and ``shape`` (time, space, individuals), px,
  ``confidence`` (time, individuals), time in s. NetCDF 3, which every reader of NetCDF knows.
- ``coco``: one COCO JSON with masks and ``track_id`` (`coco_tracks`).
- ``slp``, ``sleap_h5``: SLEAP labels and analysis HDF5, a box as three points (`sleap`).

``npy``, ``netcdf`` and ``sleap_h5`` hold named birds only; the others hold unassigned tracks, too.
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

from backend.pipeline.detections import DetectionsRun
from backend.project.atomic import atomic_file
from backend.tracking.io.coco_tracks import write_coco_tracks
from backend.tracking.io.sleap import SleapVideo, write_analysis, write_slp
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.track_folder import tracks_table
from backend.tracking.tracks.tracks import NONE, Tracks


@dataclass(frozen=True, eq=False)
class TracksToExport:
    """Tracks and facts about their video: slug, path, (width, height) px, and the detections behind them.

    ``video_path`` is the slug where the path is unknown; ``size`` and ``run`` are None then.
    """

    tracks: Tracks
    video: str
    video_path: str
    size: tuple[int, int] | None = None
    run: DetectionsRun | None = None

    @property
    def sleap_video(self) -> SleapVideo:
        """Return the video as SLEAP files name it."""
        tracks = self.tracks
        return SleapVideo(self.video_path, int(tracks.frames[-1]) + 1 if tracks.n_frames else 0, self.size)


@dataclass(frozen=True)
class Format:
    """One format: file name, label on pages, and the function that writes it."""

    file: str
    words: str
    write: Callable[[Path, TracksToExport], None]


def write_csv(path: Path, exported: TracksToExport) -> None:
    """Write tidy rows with times."""
    tracks = exported.tracks
    table = tracks_table(tracks)
    times = pa.array(tracks.times[np.searchsorted(tracks.frames, tracks.frame)])
    plain = [column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column for column in table.columns]
    whole = pa.table([plain[0], times, *plain[1:]], ["frame", "time_s", *table.column_names[1:]])
    with atomic_file(path) as file:
        pa_csv.write_csv(whole, file)


def write_parquet(path: Path, exported: TracksToExport) -> None:
    """Write the columns of ``tracks.parquet``."""
    with atomic_file(path) as file:
        pq.write_table(tracks_table(exported.tracks), file, compression="zstd")


def write_mot(path: Path, exported: TracksToExport) -> None:
    """Write MOTChallenge text."""
    tracks = exported.tracks
    seen = np.flatnonzero(tracks.state != State.LOST)
    with atomic_file(path) as file:
        for row in seen.tolist():
            x1, y1, x2, y2 = tracks.boxes[row].astype(np.float64)
            score = 1.0 if tracks.state[row] == State.DETECTED else 0.0
            line = f"{tracks.frame[row] + 1},{tracks.track_id[row]},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
            file.write(f"{line},{score:g},-1,-1,-1\n".encode())


def write_npy(path: Path, exported: TracksToExport) -> None:
    """Write trajectories as idtracker.ai does; numpy pickles the dictionary, so read it with ``allow_pickle=True``."""
    tracks = exported.tracks
    boxes, p = dense_boxes(tracks)
    content: dict[str, Any] = {
        "trajectories": (boxes[..., :2] + boxes[..., 2:]) / 2,  # F x B x 2
        "id_probabilities": p[..., None],
        "frames_per_second": tracks.fps,
        "identities_labels": list(tracks.names),
        "video_paths": [exported.video_path],
        "frames": tracks.frames,
    }
    with atomic_file(path) as file:
        np.save(file, np.array(content, object), allow_pickle=True)


def write_netcdf(path: Path, exported: TracksToExport) -> None:
    """Write a data set of boxes as ``movement`` has it."""
    tracks = exported.tracks
    boxes, p = dense_boxes(tracks)
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
        attributes = {"ds_type": "bboxes", "source_software": "Lektrack", "time_unit": "seconds"}
        attributes["source_file"] = exported.video
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


def write_coco(path: Path, exported: TracksToExport) -> None:
    """Write COCO with masks and tracks."""
    write_coco_tracks(path, exported.tracks, exported.video, exported.size, exported.run)


FORMATS = {
    "csv": Format("tracks.csv", "CSV: one row a bird and frame", write_csv),
    "parquet": Format("tracks_corrected.parquet", "Parquet", write_parquet),
    "mot": Format("tracks_mot.txt", "MOT text", write_mot),
    "npy": Format("trajectories.npy", "npy: as from idtracker.ai", write_npy),
    "netcdf": Format("tracks_movement.nc", "NetCDF: for movement", write_netcdf),
    "coco": Format("tracks_coco.json", "COCO: masks with track ids", write_coco),
    "slp": Format("tracks.slp", "SLEAP labels", lambda path, out: write_slp(path, out.tracks, out.sleap_video)),
    "sleap_h5": Format(
        "tracks.analysis.h5", "SLEAP analysis HDF5", lambda path, out: write_analysis(path, out.tracks, out.sleap_video)
    ),
}


def dense_boxes(tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes (F, B, 4) and p_identity (F, B) float32 of the named birds, NaN where they are not seen."""
    boxes = np.full((tracks.n_frames, len(tracks.names), 4), np.nan, np.float32)
    p = np.full(boxes.shape[:2], np.nan, np.float32)
    rows = np.flatnonzero((tracks.identity != NONE) & (tracks.state != State.LOST))
    frame_and_bird = np.searchsorted(tracks.frames, tracks.frame[rows]), tracks.identity[rows]
    boxes[frame_and_bird], p[frame_and_bird] = tracks.boxes[rows], tracks.p_identity[rows]
    return boxes, p
