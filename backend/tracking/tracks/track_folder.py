"""The folder of a track run: its tables, its manifest, and where the corrections of its tracks are kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from backend.project.atomic import atomic_file
from backend.project.errors import InputError
from backend.project.manifest import Manifest, read_manifest
from backend.tracking.tracks.corrections import replay
from backend.tracking.tracks.edits import read_log
from backend.tracking.tracks.schemas import (
    DOUBT_COLUMNS,
    DOUBTS,
    FRAME_COLUMNS,
    FRAMES,
    STATE_NAMES,
    TRACK_COLUMNS,
    TRACKLET_COLUMNS,
    TRACKLETS,
    TRACKS,
    WORD,
    State,
)
from backend.tracking.tracks.tracks import NONE, Tracks

ROW_GROUP = 1 << 18  # rows that are written at once


def open_tracks(folder: Path, corrections: bool = True) -> Tracks:
    """Read the tracks of a run; reviewers' corrections are applied unless ``corrections`` is False.

    Raises
    ------
    InputError
        If the folder holds no finished tracks, or the corrections log is damaged.
    """
    manifest = track_manifest(folder)
    tracks = _read(folder)
    tracks = replace(tracks, rate=manifest.settings.get("fps") or tracks.rate)
    if not corrections:
        return tracks
    return replay(tracks, read_log(corrections_log(folder, manifest))).tracks


def track_manifest(folder: Path) -> Manifest:
    """Return the manifest of a finished track run; InputError where there is none."""
    manifest = read_manifest(folder)
    if manifest is None or manifest.script != "track":
        raise InputError(f"{folder} holds no tracks; make them with python -m backend.track")
    if not manifest.complete:
        raise InputError(f"{folder}: tracking did not finish; run it again")
    return manifest


def corrections_log(folder: Path, manifest: Manifest) -> Path:
    """Return the corrections log of a finished track run; the file need not exist. See `corrections_path`."""
    return corrections_path(folder, manifest.inputs["detections_run"])


def corrections_path(folder: Path, detections_run: str) -> Path:
    """Return the corrections log of tracks in ``folder``; neither needs to exist.

    Corrections belong to the detections, so all track runs of one detections run share them: in a project
    ``corrections/VIDEO/DETECTIONS_RUN.jsonl``, elsewhere ``corrections.jsonl`` beside the tracks.
    """
    folder = folder.absolute()
    if folder.parent.parent.name != "track_output":
        return folder / "corrections.jsonl"
    project, video = folder.parents[2], folder.parent.name
    return project / "corrections" / video / f"{detections_run}.jsonl"


def read_tracklets(folder: Path) -> pa.Table:
    """Return the table `TRACKLET_COLUMNS` of a run."""
    return _table(folder / TRACKLETS, TRACKLET_COLUMNS)


def read_doubts(folder: Path) -> pa.Table:
    """Return the table `DOUBT_COLUMNS` of a run; backend.tracking.review.effects sorts it for review."""
    return _table(folder / DOUBTS, DOUBT_COLUMNS)


def write_tracks(folder: Path, tracks: Tracks) -> None:
    """Write ``tracks.parquet`` and ``frames.parquet``, each atomically."""
    with atomic_file(folder / TRACKS) as file, pq.ParquetWriter(file, TRACK_COLUMNS, compression="zstd") as writer:
        for start in range(0, max(1, len(tracks)), ROW_GROUP):
            writer.write_table(tracks_table(tracks.select(slice(start, start + ROW_GROUP))))
    columns = [pa.array(tracks.frames), pa.array(tracks.times)]
    write_table(folder / FRAMES, pa.Table.from_arrays(columns, schema=FRAME_COLUMNS))


def write_table(path: Path, table: pa.Table) -> None:
    """Write a small table atomically, as one row group."""
    with atomic_file(path) as file:
        pq.write_table(table, file, compression="zstd")


def tracks_table(tracks: Tracks) -> pa.Table:
    """Return the table `TRACK_COLUMNS`, with nulls where `Tracks` has -1 or NaN."""
    lost = tracks.state == State.LOST
    columns = {
        "frame": pa.array(tracks.frame),
        "detection": pa.array(tracks.detection, mask=tracks.detection == NONE),
        "track_id": pa.array(tracks.track_id),
        "identity": name_column(tracks.identity, tracks.names),
        "state": name_column(tracks.state, STATE_NAMES),
        "p_identity": pa.array(tracks.p_identity, mask=lost | np.isnan(tracks.p_identity)),
        **{name: pa.array(tracks.boxes[:, k].copy(), mask=lost) for k, name in enumerate(("x1", "y1", "x2", "y2"))},
    }
    return pa.Table.from_arrays([columns[name] for name in TRACK_COLUMNS.names], schema=TRACK_COLUMNS)


def name_column(codes: np.ndarray, names: tuple[str, ...] | list[str]) -> pa.DictionaryArray:
    """Return a dictionary column from (N,) indices into ``names``; -1 becomes null."""
    index = pa.array(codes.astype(np.int16), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(index, pa.array(list(names), pa.string()))


def _read(folder: Path) -> Tracks:
    table = _table(folder / TRACKS, TRACK_COLUMNS)
    frames = _table(folder / FRAMES, FRAME_COLUMNS)
    identity, names = _codes(table["identity"])
    state, state_names = _codes(table["state"])
    unknown = set(state_names) - set(STATE_NAMES)
    if unknown:
        raise InputError(f"{folder / TRACKS}: state {sorted(unknown)[0]!r} is not one of {', '.join(STATE_NAMES)}")
    to_state = np.array([STATE_NAMES.index(name) for name in state_names], np.int8)
    return Tracks(
        frame=table["frame"].to_numpy(),
        detection=pc.fill_null(table["detection"], NONE).to_numpy(),
        track_id=table["track_id"].to_numpy(),
        identity=identity,
        state=to_state[state] if len(state) else np.zeros(0, np.int8),
        p_identity=_floats(table["p_identity"]),
        boxes=np.column_stack([_floats(table[name]) for name in ("x1", "y1", "x2", "y2")]),
        names=names,
        frames=frames["frame"].to_numpy(),
        times=frames["time_s"].to_numpy(),
    )


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return (N,) int16 indices, -1 for null, and the names of a dictionary column in alphabetical order."""
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], WORD)
    stored = whole.dictionary.to_pylist()
    names = sorted(set(stored))
    code_of = np.array([names.index(name) for name in stored] + [NONE], np.int16)
    return code_of[pc.fill_null(whole.indices, len(stored)).to_numpy(zero_copy_only=False)], tuple(names)


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column, np.nan).to_numpy().astype(np.float32)


def _table(path: Path, schema: pa.Schema) -> pa.Table:
    try:
        table = pq.read_table(path, read_dictionary=[f.name for f in schema if pa.types.is_dictionary(f.type)])
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; make tracks with python -m backend.track") from error
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}") from error
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it was not written by backend.track")
    return table.select(schema.names).cast(schema)
