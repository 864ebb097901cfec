"""Truth and tracks side by side: what is where in each frame, how much each pair overlaps, and which pairs match."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.optimize import linear_sum_assignment

from backend.lek.recording import SCRIPT, TRUTH
from backend.lek.simulated_detector import LEAST_AREA_PX2
from backend.pipeline.detections import open_detections
from backend.project.errors import InputError
from backend.project.kernels import kernel
from backend.project.manifest import read_manifest
from backend.tracking.io.mot import MotRows, check_tracks, read_mot
from backend.tracking.online.overlap import column_runs, common_pixels, rle_buffers
from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.track_folder import open_tracks
from backend.tracking.tracks.tracks import NONE

MATCH = 0.5  # IoU from which a track is taken for showing a bird
MOST_RUNS = 1 << 14
CONTINUITY = 1000.0  # a match of the frame before goes on as long as it can (Bernardin and Stiefelhagen 2008)


@dataclass(frozen=True)
class Shown:
    """Birds, or tracks, as they are in each frame; sorted by frame. Arrays of one length.

    ``codes[spans[k, 0]:spans[k, 1]]`` is the mask of row k; ``spans`` is None where there are no masks.
    """

    frame: np.ndarray  # (N,) int32
    who: np.ndarray  # (N,) int64, bird or track
    boxes: np.ndarray  # (N, 4) float64 px
    identity: np.ndarray  # (N,) int64, -1: none is claimed
    p_identity: np.ndarray  # (N,) float32, NaN: nothing is claimed
    spans: np.ndarray | None = None  # (N, 2) int64
    codes: np.ndarray | None = None  # (bytes,) uint8
    height: int = 0  # px, of the picture that the masks belong to

    def __len__(self) -> int:
        return len(self.frame)

    def only(self, frames: np.ndarray) -> "Shown":
        """Return the rows of these frames."""
        keep = np.isin(self.frame, frames)
        columns = (column[keep] for column in (self.frame, self.who, self.boxes, self.identity, self.p_identity))
        return Shown(*columns, None if self.spans is None else self.spans[keep], self.codes, self.height)


@dataclass(frozen=True)
class Compared:
    """Truth and tracks of the same F frames. ``similarity[k]`` is (truth rows, track rows) IoU of frame k."""

    frames: np.ndarray  # (F,) int32
    fps: float  # frames that are looked at a second
    truth: Shown
    tracks: Shown
    truth_starts: np.ndarray  # (F + 1,)
    track_starts: np.ndarray  # (F + 1,)
    similarity: list[np.ndarray]


def read_truth(path: Path, masks: bool = False) -> Shown:
    """Read the truth that `backend.simulate` leaves (its folder or ``truth.parquet``), or a MOT ground truth.

    Birds that show fewer than `LEAST_AREA_PX2` pixels are left out, and MOT lines whose seventh column is 0.
    """
    if path.is_dir():
        manifest = read_manifest(path)
        if manifest is None or manifest.script != SCRIPT:
            raise InputError(f"{path} holds no rendered lek; give its folder, or a MOT text file")
        path = path / TRUTH
    if path.suffix == ".parquet":
        return _read_lek(path, masks)
    rows = read_mot(path)
    return _numbered(path, rows.take(rows.score > 0))


def read_tracks(path: Path, detections: Path | None, corrected: bool) -> tuple[Shown, np.ndarray, float | None]:
    """Read a folder of `backend.track` or MOT text; return tracks, frames that were looked at, frames a second.

    With ``detections``, the run that was tracked, rows have masks; those without a detection are then left out.
    """
    if path.is_file():
        rows = read_mot(path)
        return _numbered(path, rows), np.arange(rows.frame.max(initial=-1) + 1, dtype=np.int32), None
    tracks = open_tracks(path, corrections=corrected)
    keep = np.flatnonzero((tracks.state != State.LOST) & ((tracks.detection != NONE) | (detections is None)))
    shown = Shown(
        tracks.frame[keep],
        tracks.track_id[keep].astype(np.int64),
        tracks.boxes[keep].astype(np.float64),
        tracks.identity[keep].astype(np.int64),
        tracks.p_identity[keep],
    )
    if detections is not None:
        shown = with_masks(shown, tracks.detection[keep], detections)
    fps = (len(tracks.times) - 1) / (tracks.times[-1] - tracks.times[0]) if len(tracks.times) > 1 else None
    return shown, tracks.frames, fps


def with_masks(shown: Shown, detection: np.ndarray, folder: Path) -> Shown:
    """Return the same rows with the masks of their detections (N,) in the run ``folder``."""
    run = open_detections(folder)
    wanted = shown.frame.astype(np.int64) << 32 | detection
    lengths, codes, found = [], [], np.zeros(len(shown), bool)
    for part in run:
        first, last = np.searchsorted(shown.frame, [part.chunk.from_frame, part.chunk.to_frame])
        key = part.detections.frame.astype(np.int64) << 32 | part.detections.detection
        place = np.minimum(np.searchsorted(key, wanted[first:last]), max(0, len(key) - 1))
        if last > first:
            found[first:last] = key[place] == wanted[first:last] if len(key) else False
            offsets, bytes_ = rle_buffers(pa.array(part.detections.rle).take(pa.array(place)))
            lengths.append(np.diff(offsets))
            codes.append(bytes_[offsets[0] : offsets[-1]])
    if not found.all():
        frame = int(shown.frame[~found][0])
        raise InputError(f"{folder} has not the detections that were tracked (frame {frame}); give the right run")
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([np.zeros(0, np.int64), *lengths]))]).astype(np.int64)
    whole = np.concatenate([np.zeros(0, np.uint8), *codes])
    columns = (shown.frame, shown.who, shown.boxes, shown.identity, shown.p_identity)
    return Shown(*columns, np.column_stack([offsets[:-1], offsets[1:]]), whole, run.facts.height)


def compare(truth: Shown, tracks: Shown, frames: np.ndarray, fps: float, masks: bool = False) -> Compared:
    """Lay truth and tracks of ``frames`` (F,) side by side."""
    truth, tracks = truth.only(frames), tracks.only(frames)
    a, b = (np.append(np.searchsorted(side.frame, frames), len(side)) for side in (truth, tracks))
    similarity = []
    runs = [np.empty((64, MOST_RUNS, 3), np.int32) for _ in range(2)] if masks else None
    for k in range(len(frames)):
        ious = box_ious(truth.boxes[a[k] : a[k + 1]], tracks.boxes[b[k] : b[k + 1]])
        if runs is not None:
            for side, starts in enumerate((a, b)):
                if starts[k + 1] - starts[k] > len(runs[side]):
                    runs[side] = np.empty((2 * (starts[k + 1] - starts[k]), MOST_RUNS, 3), np.int32)
            _mask_ious(truth.codes, truth.spans, a[k], tracks.codes, tracks.spans, b[k], truth.height, *runs, ious)
        similarity.append(ious)
    return Compared(frames, fps, truth, tracks, a, b, similarity)


def box_ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return (n, m) IoU of boxes (n, 4) and (m, 4)."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    common = np.prod(np.maximum(0.0, sides), axis=2)
    area_a, area_b = np.prod(a[:, 2:] - a[:, :2], axis=1), np.prod(b[:, 2:] - b[:, :2], axis=1)
    return common / np.maximum(1e-9, area_a[:, None] + area_b[None] - common)


def matches(both: Compared) -> tuple[np.ndarray, np.ndarray]:
    """Match birds with tracks in every frame; return rows of truth and of tracks, (n,) each, by frame.

    As CLEAR MOT does: what matched in the frame before goes on matching while it overlaps by `MATCH`.
    """
    truth_rows, track_rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    before: dict[int, int] = {}
    for k, similarity in enumerate(both.similarity):
        first, other = both.truth_starts[k], both.track_starts[k]
        birds = both.truth.who[first : both.truth_starts[k + 1]]
        tracks = both.tracks.who[other : both.track_starts[k + 1]]
        kept = np.array([before.get(bird, -1) for bird in birds.tolist()])[:, None] == tracks[None]
        score = np.where(similarity >= MATCH, CONTINUITY * kept + similarity, 0.0)
        rows, columns = linear_sum_assignment(-score)
        good = score[rows, columns] > 0
        rows, columns = rows[good], columns[good]
        before = dict(zip(birds[rows].tolist(), tracks[columns].tolist(), strict=True))
        truth_rows.append(first + rows)
        track_rows.append(other + columns)
    return np.concatenate(truth_rows), np.concatenate(track_rows)


def _read_lek(path: Path, masks: bool) -> Shown:
    columns = ["frame", "bird", "x1", "y1", "x2", "y2", "area_px2", *(["rle"] if masks else [])]
    try:
        table = pq.read_table(path, columns=columns, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as the truth of a lek: {error}") from error
    keep = np.flatnonzero(table["area_px2"].to_numpy() >= LEAST_AREA_PX2)
    table = table.take(pa.array(keep))
    boxes = np.column_stack([table[side].to_numpy() for side in ("x1", "y1", "x2", "y2")])
    shown = _claimless(table["frame"].to_numpy(), table["bird"].to_numpy(), boxes)
    if not masks:
        return shown
    manifest = read_manifest(path.parent)
    if manifest is None or not manifest.settings.get("masks"):
        raise InputError(f"{path} has no masks; make the lek without --no-masks")
    offsets, codes = rle_buffers(table["rle"].combine_chunks())
    columns = (shown.frame, shown.who, shown.boxes, shown.identity, shown.p_identity)
    return Shown(*columns, np.column_stack([offsets[:-1], offsets[1:]]), codes, manifest.settings["size"][1])


def _numbered(path: Path, rows: MotRows) -> Shown:
    check_tracks(path, rows, 0)
    return _claimless(rows.frame, rows.who, rows.boxes)


def _claimless(frame: np.ndarray, who: np.ndarray, boxes: np.ndarray) -> Shown:
    n = len(frame)
    nothing = np.full(n, NONE, np.int64), np.full(n, np.nan, np.float32)
    return Shown(frame.astype(np.int32), who.astype(np.int64), boxes.astype(np.float64), *nothing)


@kernel
def _mask_ious(codes_a, spans_a, first_a, codes_b, spans_b, first_b, height, runs_a, runs_b, ious):
    """Replace the IoU of boxes ``ious`` (n, m) by that of masks."""
    n, m = ious.shape
    n_a, n_b = np.zeros(n, np.int64), np.zeros(m, np.int64)
    area_a, area_b = np.zeros(n, np.int64), np.zeros(m, np.int64)
    for i in range(n):
        row = first_a + i
        n_a[i], area_a[i] = column_runs(codes_a, spans_a[row, 0], spans_a[row, 1], height, 1, runs_a[i])
    for j in range(m):
        row = first_b + j
        n_b[j], area_b[j] = column_runs(codes_b, spans_b[row, 0], spans_b[row, 1], height, 1, runs_b[j])
    for i in range(n):
        for j in range(m):
            if ious[i, j] > 0.0:
                common = common_pixels(runs_a[i], n_a[i], 0, 0, runs_b[j], n_b[j])
                ious[i, j] = common / max(1, area_a[i] + area_b[j] - common)
