"""MOT text files: ``frame, id, x, y, w, h, score, ...`` on each line, frames from 1, as in the MOTChallenge.

Columns are separated by commas, semicolons, tabs or blanks. Spreadsheets in many languages write decimal commas; these
are read wherever another character separates the columns.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.project.errors import QUOTED, InputError, excerpt

MIN_COLUMNS, MAX_COLUMNS = 6, 10  # MAX_COLUMNS: of the MOTChallenge; files may have more
THOUSANDS = re.compile(r"-?[1-9]\d{0,2}(,\d{3})+")
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


@dataclass(frozen=True)
class Dialect:
    """How the lines of a file are written. ``separator`` None: blanks or tabs; ``decimal`` mark: ``.`` or ``,``."""

    separator: str | None
    decimal: str

    def columns(self, line: str) -> list[str]:
        """Return the columns of a line as text, numbers with decimal points. Empty ones at its end are left out."""
        parts = [part.strip().replace(self.decimal, ".") for part in line.split(self.separator)]
        while parts and not parts[-1]:
            parts.pop()
        return parts


def read_mot(path: Path) -> MotRows:
    """Read a MOT text file.

    Raises
    ------
    InputError
        If the file is missing, a line is invalid (the message names it), or separators and decimal marks are ambiguous.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    dialect = _dialect(path, [line for _, line in filled])
    split = [(number, dialect.columns(line), line) for number, line in filled]
    if dialect.separator == ",":
        _check_commas(path, split)
    rows = [[*_row(path, number, parts, line), number] for number, parts, line in split]
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


def _dialect(path: Path, lines: list[str]) -> Dialect:
    """Return the one dialect of all lines; InputError where they could be read in two ways."""
    text = "\n".join(lines)
    if ";" in text:
        separator = ";"
    elif "," not in text:
        return Dialect("\t" if "\t" in text and " " not in text else None, ".")
    elif not any(re.search(r"\s", re.sub(r"\s*,\s*", ",", line.strip())) for line in lines):
        return Dialect(",", ".")
    else:
        separator = "\t" if "\t" in text and " " not in text else None
    if "," not in text:
        return Dialect(separator, ".")
    if "." in text:
        raise InputError(f"{path} has decimal points and commas in one file; save it with columns separated by commas")
    if separator is None and re.search(r",[ \t]|[ \t],", text):
        raise InputError(f"{path}: its columns are separated by commas in places, by blanks in others; use one of them")
    marked = [word for word in text.replace(";", " ").split() if "," in word]
    if all(THOUSANDS.fullmatch(word) for word in marked):
        raise InputError(
            f"{path}: {excerpt(marked[0])} may have a decimal comma or separate thousands; save it with decimal points"
        )
    return Dialect(separator, ",")


def _check_commas(path: Path, split: list[tuple[int, list[str], str]]) -> None:
    """Raise InputError where commas between columns may be decimal commas, too."""
    first, parts, _ = split[0]
    words = "are decimal commas among them? Save it with decimal points, or with semicolons between columns"
    for number, others, _ in split:
        if len(others) != len(parts) and min(len(others), len(parts)) >= MIN_COLUMNS:
            raise InputError(f"{path}, line {number} has {len(others)} columns, line {first} has {len(parts)}: {words}")
    if len(parts) > MAX_COLUMNS and not any("." in line for _, _, line in split):
        raise InputError(f"{path} has {len(parts)} columns of whole numbers, MOT has at most {MAX_COLUMNS}: {words}")


def _row(path: Path, number: int, parts: list[str], line: str) -> list[float]:
    where = f"{path}, line {number}"
    if len(parts) < MIN_COLUMNS:
        raise InputError(f"{where}: {len(parts)} columns, at least {MIN_COLUMNS} are needed: {excerpt(line)}")
    try:
        values = [float(part) for part in parts[:7]]
    except ValueError as error:
        raise InputError(f"{where} is not all numbers: {excerpt(line)}") from error
    if not np.isfinite(values).all() or not _whole(values[0], 1) or min(values[4:6]) <= 0:
        raise InputError(f"{where}: a frame from 1 to {LIMIT - 1} and sides above 0 are needed: {excerpt(line)}")
    if not _whole(values[1], -1):
        odd = f"track number {parts[1][:QUOTED]} is too large, below -1 or not whole"
        raise InputError(f"{where}: {odd}; -1 (none) to {LIMIT - 1} is allowed")
    return values if len(values) == 7 else [*values, 1.0]


def _whole(value: float, least: int) -> bool:
    return least <= value < LIMIT and value == int(value)
