"""Correspondence of truth and tracks: the annotations of each frame, IoU of every pair, and one-to-one matches."""

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

MATCH_IOU = 0.5  # least IoU of a match
MAX_RUNS_OF_MASK = 1 << 14
CONTINUITY_SCORE = 1000.0  # of a match of the frame before: it is kept


@dataclass(frozen=True)
class Annotations:
    """Birds, or tracks, in each frame; sorted by frame. Arrays of one length.

    ``codes[spans[k, 0]:spans[k, 1]]`` is the mask of row k; ``spans`` is None without masks.
    """

    frame: np.ndarray  # (N,) int32
    ids: np.ndarray  # (N,) int64, bird or track
    boxes: np.ndarray  # (N, 4) float64 px
    identity: np.ndarray  # (N,) int64, -1: none
    p_identity: np.ndarray  # (N,) float32, NaN: none
    spans: np.ndarray | None = None  # (N, 2) int64
    codes: np.ndarray | None = None  # (bytes,) uint8
    height: int = 0  # px, of the image

    def __len__(self) -> int:
        return len(self.frame)

    def only(self, frames: np.ndarray) -> "Annotations":
        """Return the rows of these frames."""
        keep = np.isin(self.frame, frames)
        columns = (column[keep] for column in (self.frame, self.ids, self.boxes, self.identity, self.p_identity))
        return Annotations(*columns, None if self.spans is None else self.spans[keep], self.codes, self.height)


@dataclass(frozen=True)
class Correspondence:
    """Truth and tracks of the same F frames. ``similarity[k]`` is the IoU, (truth rows, track rows), in frame k."""

    frames: np.ndarray  # (F,) int32
    fps: float  # frames per second of ``frames``
    truth: Annotations
    tracks: Annotations
    truth_starts: np.ndarray  # (F + 1,)
    track_starts: np.ndarray  # (F + 1,)
    similarity: list[np.ndarray]


def read_truth(path: Path, masks: bool = False) -> Annotations:
    """Read the truth that `backend.simulate` writes (its folder or ``truth.parquet``), or a MOT ground truth.

    Birds of fewer than `LEAST_AREA_PX2` visible pixels are left out, and MOT lines whose seventh column is 0.
    """
    if path.is_dir():
        manifest = read_manifest(path)
        if manifest is None or manifest.script != SCRIPT:
            raise InputError(f"{path} holds no rendered lek; give its folder, or a MOT text file")
        path = path / TRUTH
    if path.suffix == ".parquet":
        return _read_rendered(path, masks)
    rows = read_mot(path)
    return _checked_mot(path, rows.take(rows.score > 0))


def read_tracks(path: Path, detections: Path | None, corrected: bool) -> tuple[Annotations, np.ndarray, float | None]:
    """Read a folder of `backend.track` or MOT text; return tracks, frames that were tracked, and frames per second.

    With ``detections``, the run that was tracked, rows have masks; rows without a detection are then left out.
    """
    if path.is_file():
        rows = read_mot(path)
        return _checked_mot(path, rows), np.arange(rows.frame.max(initial=-1) + 1, dtype=np.int32), None
    tracks = open_tracks(path, corrections=corrected)
    keep = np.flatnonzero((tracks.state != State.LOST) & ((tracks.detection != NONE) | (detections is None)))
    annotations = Annotations(
        tracks.frame[keep],
        tracks.track_id[keep].astype(np.int64),
        tracks.boxes[keep].astype(np.float64),
        tracks.identity[keep].astype(np.int64),
        tracks.p_identity[keep],
    )
    if detections is not None:
        annotations = with_masks(annotations, tracks.detection[keep], detections)
    fps = (len(tracks.times) - 1) / (tracks.times[-1] - tracks.times[0]) if len(tracks.times) > 1 else None
    return annotations, tracks.frames, fps


def with_masks(annotations: Annotations, detection: np.ndarray, folder: Path) -> Annotations:
    """Return the rows with the masks of their detections (N,) in the detections run ``folder``."""
    run = open_detections(folder)
    keys = annotations.frame.astype(np.int64) << 32 | detection
    lengths, codes, is_known = [], [], np.zeros(len(annotations), bool)
    for part in run:
        first, last = np.searchsorted(annotations.frame, [part.chunk.from_frame, part.chunk.to_frame])
        key = part.detections.frame.astype(np.int64) << 32 | part.detections.detection
        rows_in_part = np.minimum(np.searchsorted(key, keys[first:last]), max(0, len(key) - 1))
        if last > first:
            is_known[first:last] = key[rows_in_part] == keys[first:last] if len(key) else False
            offsets, bytes_ = rle_buffers(pa.array(part.detections.rle).take(pa.array(rows_in_part)))
            lengths.append(np.diff(offsets))
            codes.append(bytes_[offsets[0] : offsets[-1]])
    if not is_known.all():
        frame = int(annotations.frame[~is_known][0])
        raise InputError(f"{folder} has not the detections that were tracked (frame {frame}); give the right run")
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([np.zeros(0, np.int64), *lengths]))]).astype(np.int64)
    all_codes = np.concatenate([np.zeros(0, np.uint8), *codes])
    columns = (annotations.frame, annotations.ids, annotations.boxes, annotations.identity, annotations.p_identity)
    return Annotations(*columns, np.column_stack([offsets[:-1], offsets[1:]]), all_codes, run.facts.height)


def compare(
    truth: Annotations, tracks: Annotations, frames: np.ndarray, fps: float, masks: bool = False
) -> Correspondence:
    """Return the correspondence of truth and tracks in ``frames`` (F,); IoU of masks with ``masks``, else of boxes."""
    truth, tracks = truth.only(frames), tracks.only(frames)
    a, b = (np.append(np.searchsorted(side.frame, frames), len(side)) for side in (truth, tracks))
    similarity = []
    runs = [np.empty((64, MAX_RUNS_OF_MASK, 3), np.int32) for _ in range(2)] if masks else None
    for k in range(len(frames)):
        ious = box_ious(truth.boxes[a[k] : a[k + 1]], tracks.boxes[b[k] : b[k + 1]])
        if runs is not None:
            for side, starts in enumerate((a, b)):
                if starts[k + 1] - starts[k] > len(runs[side]):
                    runs[side] = np.empty((2 * (starts[k + 1] - starts[k]), MAX_RUNS_OF_MASK, 3), np.int32)
            _mask_ious(truth.codes, truth.spans, a[k], tracks.codes, tracks.spans, b[k], truth.height, *runs, ious)
        similarity.append(ious)
    return Correspondence(frames, fps, truth, tracks, a, b, similarity)


def box_ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return (n, m) IoU of boxes (n, 4) and (m, 4)."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    common = np.prod(np.maximum(0.0, sides), axis=2)
    area_a, area_b = np.prod(a[:, 2:] - a[:, :2], axis=1), np.prod(b[:, 2:] - b[:, :2], axis=1)
    return common / np.maximum(1e-9, area_a[:, None] + area_b[None] - common)


def matches(correspondence: Correspondence) -> tuple[np.ndarray, np.ndarray]:
    """Match birds with tracks in every frame; return rows of truth and of tracks, (n,) each, by frame.

    As in CLEAR MOT (Bernardin and Stiefelhagen 2008, doi 10.1155/2008/246309): a match of the frame before is kept
    while its IoU is at least `MATCH_IOU`; the others are matched by the Hungarian method.
    """
    truth_rows, track_rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    before: dict[int, int] = {}
    for k, similarity in enumerate(correspondence.similarity):
        first, other = correspondence.truth_starts[k], correspondence.track_starts[k]
        truth_ids = correspondence.truth.ids[first : correspondence.truth_starts[k + 1]]
        tracks = correspondence.tracks.ids[other : correspondence.track_starts[k + 1]]
        kept = np.array([before.get(bird, -1) for bird in truth_ids.tolist()])[:, None] == tracks[None]
        score = np.where(similarity >= MATCH_IOU, CONTINUITY_SCORE * kept + similarity, 0.0)
        rows, columns = linear_sum_assignment(-score)
        matched = score[rows, columns] > 0
        rows, columns = rows[matched], columns[matched]
        before = dict(zip(truth_ids[rows].tolist(), tracks[columns].tolist(), strict=True))
        truth_rows.append(first + rows)
        track_rows.append(other + columns)
    return np.concatenate(truth_rows), np.concatenate(track_rows)


def _read_rendered(path: Path, masks: bool) -> Annotations:
    columns = ["frame", "bird", "x1", "y1", "x2", "y2", "area_px2", *(["rle"] if masks else [])]
    try:
        table = pq.read_table(path, columns=columns, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as the truth of a lek: {error}") from error
    keep = np.flatnonzero(table["area_px2"].to_numpy() >= LEAST_AREA_PX2)
    table = table.take(pa.array(keep))
    boxes = np.column_stack([table[side].to_numpy() for side in ("x1", "y1", "x2", "y2")])
    annotations = _without_identities(table["frame"].to_numpy(), table["bird"].to_numpy(), boxes)
    if not masks:
        return annotations
    manifest = read_manifest(path.parent)
    if manifest is None or not manifest.settings.get("masks"):
        raise InputError(f"{path} has no masks; make the lek without --no-masks")
    offsets, codes = rle_buffers(table["rle"].combine_chunks())
    columns = (annotations.frame, annotations.ids, annotations.boxes, annotations.identity, annotations.p_identity)
    return Annotations(*columns, np.column_stack([offsets[:-1], offsets[1:]]), codes, manifest.settings["size"][1])


def _checked_mot(path: Path, rows: MotRows) -> Annotations:
    check_tracks(path, rows, 0)
    return _without_identities(rows.frame, rows.ids, rows.boxes)


def _without_identities(frame: np.ndarray, ids: np.ndarray, boxes: np.ndarray) -> Annotations:
    n = len(frame)
    unclaimed = np.full(n, NONE, np.int64), np.full(n, np.nan, np.float32)
    return Annotations(frame.astype(np.int32), ids.astype(np.int64), boxes.astype(np.float64), *unclaimed)


@kernel
def _mask_ious(codes_a, spans_a, first_a, codes_b, spans_b, first_b, height, runs_a, runs_b, ious):
    """Replace the IoU of boxes ``ious`` (n, m) by that of masks, where boxes overlap."""
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
