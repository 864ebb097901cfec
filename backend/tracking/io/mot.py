"""MOT text files: ``frame, id, x, y, w, h, score, ...`` on each line, frames from 1, as in the MOTChallenge."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.project.errors import InputError

MIN_COLUMNS = 6
NO_SCORE = -1.0  # in every line: the file has no scores
LIMIT = 2**31  # of frames and track numbers


@dataclass(frozen=True)
class MotRows:
    """The lines of a file, sorted by frame, then as in the file. Arrays of one length."""

    frame: np.ndarray  # (N,) int32, 0-based
    ids: np.ndarray  # (N,) int64; -1 in detections
    boxes: np.ndarray  # (N, 4) float32 x1 y1 x2 y2, px
    score: np.ndarray  # (N,) float32; 1 where the file has none, or -1 in every line
    line: np.ndarray  # (N,) int64, from 1

    def take(self, rows: np.ndarray) -> "MotRows":
        """Return some of the rows."""
        return MotRows(self.frame[rows], self.ids[rows], self.boxes[rows], self.score[rows], self.line[rows])


def read_mot(path: Path) -> MotRows:
    """Read a MOT text file.

    Raises
    ------
    InputError
        If the file is missing or a line is invalid; the message names the line.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    rows = [[*_row(path, number, line), number] for number, line in enumerate(lines, 1) if line.strip()]
    table = np.array(rows, np.float64).reshape(-1, 8)
    table = table[np.argsort(table[:, 0], kind="stable")]
    corners = np.column_stack([table[:, 2:4], table[:, 2:4] + table[:, 4:6]])
    score = table[:, 6].astype(np.float32)
    return MotRows(
        (table[:, 0] - 1).astype(np.int32),
        table[:, 1].astype(np.int64),
        corners.astype(np.float32),
        np.ones_like(score) if (score == NO_SCORE).all() else score,
        table[:, 7].astype(np.int64),
    )


def check_tracks(path: Path, rows: MotRows, least: int) -> None:
    """Raise InputError, with the line, for a track number below ``least``, or a track that is twice in a frame."""
    low = np.flatnonzero(rows.ids < least)
    if len(low):
        where = f"{path}, line {rows.line[low[0]]} has the track number {rows.ids[low[0]]}"
        raise InputError(f"{where}: it holds detections, not tracks; tracks are numbered from {least} on")
    order = np.lexsort((rows.line, rows.ids, rows.frame))
    twice = order[1:][(np.diff(rows.frame[order]) == 0) & (np.diff(rows.ids[order]) == 0)]
    if len(twice):
        row = twice[rows.line[twice].argmin()]
        raise InputError(f"{path}, line {rows.line[row]}: track {rows.ids[row]} is twice in frame {rows.frame[row]}")


def _row(path: Path, number: int, line: str) -> list[float]:
    parts = line.replace(",", " ").split()
    if len(parts) < MIN_COLUMNS:
        raise InputError(f"{path}, line {number}: {len(parts)} columns, at least {MIN_COLUMNS} are needed: {line!r}")
    try:
        values = [float(part) for part in parts[:7]]
    except ValueError as error:
        raise InputError(f"{path}, line {number} is not all numbers: {line!r}") from error
    if not np.isfinite(values).all() or not _whole(values[0], 1) or min(values[4:6]) <= 0:
        raise InputError(f"{path}, line {number}: a frame from 1 to {LIMIT - 1} and sides above 0 are needed: {line!r}")
    if not _whole(values[1], -1):
        odd = f"track number {parts[1]} is too large, below -1 or not whole"
        raise InputError(f"{path}, line {number}: {odd}; -1 (none) to {LIMIT - 1} is allowed")
    return values if len(values) == 7 else [*values, 1.0]


def _whole(value: float, least: int) -> bool:
    return least <= value < LIMIT and value == int(value)
