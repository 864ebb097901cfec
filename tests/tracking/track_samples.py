"""Small tracks for tests, written and read through the product's own code."""

from pathlib import Path

import numpy as np

from backend.project.manifest import begin_manifest
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.track_folder import write_tracks
from backend.tracking.tracks.tracks import Tracks, lost_rows, sorted_tracks


def two_birds(n_frames: int = 10, lost: tuple[int, ...] = ()) -> Tracks:
    """Two birds side by side: bird 01 is detection 0 at x = frame, bird 02 detection 1 at x = 100 + frame.

    ``lost``: frames in which bird 02 is not seen.
    """
    frame = np.repeat(np.arange(n_frames, dtype=np.int32), 2)
    bird = np.tile(np.array([0, 1], np.int32), n_frames)
    keep = ~((bird == 1) & np.isin(frame, lost))
    frame, bird = frame[keep], bird[keep]
    x = frame + 100.0 * bird
    seen = {
        "frame": frame,
        "detection": bird,
        "track_id": bird + 1,
        "identity": bird.astype(np.int16),
        "state": np.full(len(frame), State.DETECTED, np.int8),
        "p_identity": np.full(len(frame), 0.9, np.float32),
        "boxes": np.column_stack([x, x * 0 + 10, x + 20, x * 0 + 30]).astype(np.float32),
    }
    frames = np.arange(n_frames, dtype=np.int32)
    missing = lost_rows(seen, frames, {0: 1, 1: 2}, {0: (0, n_frames - 1), 1: (0, n_frames - 1)})
    rows = {name: np.concatenate([seen[name], missing[name]]) for name in seen}
    return sorted_tracks(**rows, names=("bird 01", "bird 02"), frames=frames, times=frames / 25)


def write_run(folder: Path, tracks: Tracks, detections_run: str = "run-a") -> None:
    """Write a finished track run."""
    folder.mkdir(parents=True)
    write_tracks(folder, tracks)
    manifest = begin_manifest(folder, "track", {"detections_run": detections_run}, {})
    manifest.complete = True
    manifest.write(folder)


def same(a: Tracks, b: Tracks) -> bool:
    """Tell whether two tracks are equal, row by row."""
    arrays = ("frame", "detection", "track_id", "identity", "state", "p_identity", "boxes", "frames", "times")
    equal = (
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=np.issubdtype(getattr(a, name).dtype, np.floating))
        for name in arrays
    )
    return a.names == b.names and all(equal)
