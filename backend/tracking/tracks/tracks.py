"""Tracks in memory: what `open_tracks` gives to board, statistics and exporters, and how tracks are written."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from backend.project.atomic import atomic_file
from backend.project.errors import InputError
from backend.project.manifest import Manifest, read_manifest
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
    State,
)

NONE = -1  # no detection, no identity
ROW_GROUP = 1 << 18


@dataclass(frozen=True)
class Tracks:
    """Rows of tracks, sorted by frame, then track_id. Arrays of one length; never changed in place.

    Attributes
    ----------
    frame
        (N,) int32, 0-based, display order.
    detection
        (N,) int32, number within the frame in the detections run; -1: none.
    track_id
        (N,) int32, from 1.
    identity
        (N,) int16, index into ``names``; -1: not told apart.
    state
        (N,) int8, `State`.
    p_identity
        (N,) float32, probability that the identity is right; NaN where lost. 1 where a person said so.
    boxes
        (N, 4) float32 ``x1 y1 x2 y2``, px of the original frame; NaN where lost.
    names
        Identities by index.
    frames
        (F,) int32, ascending: every frame that was looked at, those without birds included. With a stride not all.
    times
        (F,) float64, s, their times.
    drawn
        What people drew, by (frame, track_id): COCO counts at full frame size, None where only the box was drawn. It
        stands for the mask of the detection.
    rate
        Frames a second that the video says it has; used where ``times`` cannot tell, that is in a run of one frame.
    """

    frame: np.ndarray
    detection: np.ndarray
    track_id: np.ndarray
    identity: np.ndarray
    state: np.ndarray
    p_identity: np.ndarray
    boxes: np.ndarray
    names: tuple[str, ...]
    frames: np.ndarray
    times: np.ndarray
    drawn: Mapping[tuple[int, int], bytes | None] = field(default_factory=dict)
    rate: float = 25.0

    def __post_init__(self) -> None:
        """Check that the columns have one length."""
        columns = (self.detection, self.track_id, self.identity, self.state, self.p_identity, self.boxes)
        if any(len(column) != len(self.frame) for column in columns):
            raise ValueError(f"columns of tracks differ in length: {[len(self.frame), *map(len, columns)]}")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def n_frames(self) -> int:
        """Number of frames that were looked at."""
        return len(self.frames)

    @property
    def fps(self) -> float:
        """Mean frames a second of the video, those in between that were not looked at included."""
        span = self.times[-1] - self.times[0] if len(self.times) > 1 else 0.0
        return float((self.frames[-1] - self.frames[0]) / span) if span > 0 else self.rate

    @cached_property
    def frame_starts(self) -> np.ndarray:
        """(F + 1,) int64: the rows of ``frames[k]`` are ``frame_starts[k]:frame_starts[k + 1]``."""
        return np.append(np.searchsorted(self.frame, self.frames), len(self.frame))

    def rows_at(self, frame: int) -> slice:
        """Return the rows of one frame; an empty slice where it was not looked at."""
        first, last = np.searchsorted(self.frame, [frame, frame + 1])
        return slice(int(first), int(last)) if last > first else slice(0, 0)

    def rows_of(self, track_id: int) -> np.ndarray:
        """Return the rows of one track by frame, (n,) int64."""
        order, starts, ids = self._by_track
        at = np.searchsorted(ids, track_id)
        if at == len(ids) or ids[at] != track_id:
            return np.zeros(0, np.int64)
        return order[starts[at] : starts[at + 1]]

    def select(self, rows: np.ndarray | slice) -> "Tracks":
        """Return the tracks with these rows only (a mask or ascending indices); frames and names stay."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ROW_ARRAYS})

    @cached_property
    def track_of_name(self) -> tuple[int, ...]:
        """Tracks of the identities, in the order of ``names``."""
        named = self.identity != NONE
        codes, first = np.unique(self.identity[named], return_index=True)
        tracks = dict(zip(codes.tolist(), self.track_id[named][first].tolist(), strict=True))
        unused = int(self.track_id.max(initial=0)) + 1
        return tuple(tracks.get(code, unused + code) for code in range(len(self.names)))

    @cached_property
    def spans(self) -> dict[int, tuple[int, int]]:
        """First and last frame (included) of each identity, by index, lost frames included."""
        found = {}
        for code in range(len(self.names)):
            rows = self.rows_of(self.track_of_name[code])
            if len(rows):
                found[code] = (int(self.frame[rows[0]]), int(self.frame[rows[-1]]))
        return found

    @cached_property
    def _by_track(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        order = np.argsort(self.track_id, kind="stable")
        ids, starts = np.unique(self.track_id[order], return_index=True)
        return order, np.append(starts, len(order)), ids


ROW_ARRAYS = ("frame", "detection", "track_id", "identity", "state", "p_identity", "boxes")


def sorted_tracks(**columns) -> Tracks:
    """Build `Tracks` from rows in any order."""
    order = np.lexsort((columns["track_id"], columns["frame"]))
    return Tracks(**{name: value[order] if name in ROW_ARRAYS else value for name, value in columns.items()})


def lost_rows(
    seen: dict[str, np.ndarray], frames: np.ndarray, track_of: dict[int, int], spans: dict[int, tuple[int, int]]
) -> dict[str, np.ndarray]:
    """Return a lost row for each frame of an identity's span where it is not seen.

    Parameters
    ----------
    seen
        The arrays of `ROW_ARRAYS`, without lost rows.
    frames
        (F,) the frames that were looked at, ascending.
    track_of
        Track of each identity (by index).
    spans
        First and last frame (included) of identities; one that is seen outside of it, or has none, gets a longer one.
    """
    missing, tracks, codes = [np.zeros(0, np.int32)], [], []
    order = np.argsort(seen["identity"], kind="stable")
    bounds = np.searchsorted(seen["identity"][order], np.arange(max(track_of, default=NONE) + 2))
    for code, track in track_of.items():
        own = np.sort(seen["frame"][order[bounds[code] : bounds[code + 1]]])
        ends = [*spans.get(code, ()), *own[:1], *own[-1:]]
        if ends:
            first, last = np.searchsorted(frames, [min(ends), max(ends) + 1])
            there = np.zeros(last - first, bool)
            there[np.searchsorted(frames, own) - first] = True
            missing.append(frames[first:last][~there])
            tracks.append(np.full(len(missing[-1]), track, np.int32))
            codes.append(np.full(len(missing[-1]), code, np.int16))
    n = sum(map(len, missing))
    return {
        "frame": np.concatenate(missing),
        "detection": np.full(n, NONE, np.int32),
        "track_id": np.concatenate([np.zeros(0, np.int32), *tracks]),
        "identity": np.concatenate([np.zeros(0, np.int16), *codes]),
        "state": np.full(n, State.LOST, np.int8),
        "p_identity": np.full(n, np.nan, np.float32),
        "boxes": np.full((n, 4), np.nan, np.float32),
    }


def open_tracks(folder: Path, corrections: bool = True) -> Tracks:
    """Read the tracks of a run, with people's corrections applied unless ``corrections`` is False.

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
    from backend.tracking.tracks.corrections import replay  # noqa: PLC0415
    from backend.tracking.tracks.edits import read_log  # noqa: PLC0415 - both build on this module

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
    """Return where the corrections of the detections behind these tracks are kept; the file need not exist.

    In a project that is ``corrections/VIDEO/DETECTIONS_RUN.jsonl``, for tracks anywhere else ``corrections.jsonl``
    beside them.
    """
    return corrections_path(folder, manifest.inputs["detections_run"])


def corrections_path(folder: Path, detections_run: str) -> Path:
    """Return the same for tracks in ``folder`` that need not be there yet."""
    folder = folder.absolute()
    if folder.parent.parent.name != "track_output":
        return folder / "corrections.jsonl"
    project, video = folder.parents[2], folder.parent.name
    return project / "corrections" / video / f"{detections_run}.jsonl"


def read_tracklets(folder: Path) -> pa.Table:
    """Return `TRACKLET_COLUMNS` of a run."""
    return _table(folder / TRACKLETS, TRACKLET_COLUMNS)


def read_doubts(folder: Path) -> pa.Table:
    """Return `DOUBT_COLUMNS` of a run, as found by tracking; see backend.tracking.review.effects for their order."""
    return _table(folder / DOUBTS, DOUBT_COLUMNS)


def write_tracks(folder: Path, tracks: Tracks) -> None:
    """Write ``tracks.parquet`` and ``frames.parquet``, each in one step."""
    with atomic_file(folder / TRACKS) as file, pq.ParquetWriter(file, TRACK_COLUMNS, compression="zstd") as writer:
        for start in range(0, max(1, len(tracks)), ROW_GROUP):
            writer.write_table(tracks_table(tracks.select(slice(start, start + ROW_GROUP))))
    columns = [pa.array(tracks.frames), pa.array(tracks.times)]
    write_table(folder / FRAMES, pa.Table.from_arrays(columns, schema=FRAME_COLUMNS))


def write_table(path: Path, table: pa.Table) -> None:
    """Write a small table in one step."""
    with atomic_file(path) as file:
        pq.write_table(table, file, compression="zstd")


def tracks_table(tracks: Tracks) -> pa.Table:
    """Return `TRACK_COLUMNS`, with nulls where `Tracks` has -1 or NaN."""
    lost = tracks.state == State.LOST
    columns = {
        "frame": pa.array(tracks.frame),
        "detection": pa.array(tracks.detection, mask=tracks.detection == NONE),
        "track_id": pa.array(tracks.track_id),
        "identity": words(tracks.identity, tracks.names),
        "state": words(tracks.state, STATE_NAMES),
        "p_identity": pa.array(tracks.p_identity, mask=lost | np.isnan(tracks.p_identity)),
        **{name: pa.array(tracks.boxes[:, k].copy(), mask=lost) for k, name in enumerate(("x1", "y1", "x2", "y2"))},
    }
    return pa.Table.from_arrays([columns[name] for name in TRACK_COLUMNS.names], schema=TRACK_COLUMNS)


def words(codes: np.ndarray, names: tuple[str, ...] | list[str]) -> pa.DictionaryArray:
    """Return a column of names from indices into ``names``; -1 becomes null."""
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
    """Return (N,) int16 indices, -1 for null, and the names in alphabetical order."""
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], WORD_TYPE)
    found = whole.dictionary.to_pylist()
    used = sorted(set(found))
    place = np.array([used.index(name) for name in found] + [NONE], np.int16)
    return place[pc.fill_null(whole.indices, len(found)).to_numpy(zero_copy_only=False)], tuple(used)


WORD_TYPE = TRACK_COLUMNS.field("identity").type


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
