"""Ground-truth tracks of a rendered lek, in the format of a track run."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from backend.lek.recording import SCRIPT, TRUTH
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import begin_manifest, verify
from backend.tracking.io.load_tracks import write_loaded_tracks
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.tracks import NONE, Tracks

ORIGIN = "ground truth of the rendered lek"


def write_truth_tracks(lek: Path, out: Path) -> None:
    """Write a track run into ``out`` from what `simulate` left in ``lek``. A run that is there already is kept.

    Raises
    ------
    InputError
        If ``lek`` is not whole, or ``out`` holds another run.
    """
    manifest = verify(lek)
    if manifest.script != SCRIPT:
        raise InputError(f"{lek} holds no rendered lek")
    with output_lock(out):
        run = begin_manifest(
            out, "track", {"detections_run": out.name, "truth": manifest.files[TRUTH].sha256}, {"origin": ORIGIN}
        )
        if run.complete:
            return
        write_loaded_tracks(out, truth_tracks(lek, manifest.settings["fps"]), run, expected_error=0.0)


def truth_tracks(lek: Path, fps: float) -> Tracks:
    """Return the tracks of all birds of a lek: seen where at least one pixel is, else lost; never in doubt."""
    table = pq.read_table(lek / TRUTH, columns=["frame", "bird", "x1", "y1", "x2", "y2"])
    frame, bird = table["frame"].to_numpy(), table["bird"].to_numpy().astype(np.int32)
    boxes = np.column_stack([table[side].to_numpy() for side in ("x1", "y1", "x2", "y2")]).astype(np.float32)
    seen = np.isfinite(boxes[:, 0])
    frames = np.unique(frame)
    return Tracks(
        frame=frame,
        detection=np.full(len(frame), NONE, np.int32),
        track_id=bird,
        identity=(bird - 1).astype(np.int16),
        state=np.where(seen, State.DETECTED, State.LOST).astype(np.int8),
        p_identity=np.where(seen, 1, np.nan).astype(np.float32),
        boxes=boxes,
        names=tuple(f"bird {k:02d}" for k in range(1, int(bird.max()) + 1)),
        frames=frames,
        times=frames / fps,
    )
