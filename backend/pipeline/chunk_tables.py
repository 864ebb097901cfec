"""The two Parquet tables of a chunk. The same content gives the same bytes, whoever writes it and when."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backend.pipeline.chunks import Chunk
from backend.project.atomic import atomic_file

DETECTIONS = pa.schema(
    [
        ("frame", pa.int32()),  # 0-based, display order
        ("detection", pa.int32()),  # 0-based index within its frame, by falling score
        ("class_id", pa.int32()),  # 1-based index into the run's class names
        ("score", pa.float32()),
        ("x1", pa.float32()),  # px of the original frame, x right, y down
        ("y1", pa.float32()),
        ("x2", pa.float32()),
        ("y2", pa.float32()),
        ("area_px2", pa.int32()),  # pixels of the mask
        ("rle", pa.binary()),  # COCO compressed counts at full frame size
    ]
)
FRAMES = pa.schema([("frame", pa.int32()), ("time_s", pa.float64()), ("n", pa.int32())])
BOX = ("x1", "y1", "x2", "y2")
ROW_GROUP = 32_768  # rows that are read to show a single frame
DICTIONARY = ("frame", "detection", "class_id")  # columns of few values
ZSTD_LEVEL = 3


@dataclass(frozen=True, eq=False)
class Instances:
    """Detections of one or more frames, sorted by frame and detection.

    Attributes
    ----------
    frame : (N,) int32, 0-based, display order
    detection : (N,) int32, 0-based index within its frame, by falling score
    class_id : (N,) int32, 1-based index into the run's class names
    score : (N,) float32, 0 to 1
    boxes : (N, 4) float32 ``x1 y1 x2 y2``, px of the original frame
    area_px2 : (N,) int32, pixels of the mask
    rle : (N,) Arrow binary, COCO compressed counts at full frame size; all null where masks were not read
    """

    frame: np.ndarray
    detection: np.ndarray
    class_id: np.ndarray
    score: np.ndarray
    boxes: np.ndarray
    area_px2: np.ndarray
    rle: pa.Array

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) != 1 or self.boxes.shape[1:] != (4,):
            raise ValueError(f"columns do not belong together: {lengths}, boxes {self.boxes.shape}")

    def __len__(self) -> int:
        return len(self.frame)

    def counts(self, row: int) -> bytes:
        """Return the COCO counts of one mask."""
        return self.rle[row].as_py()

    def take(self, rows: slice | np.ndarray) -> "Instances":
        """Return some rows: a slice, positions or a mask of booleans."""
        parts = [getattr(self, field.name)[rows] for field in fields(self) if field.name != "rle"]
        if isinstance(rows, slice):
            return Instances(*parts, self.rle[rows])
        return Instances(*parts, self.rle.take(pa.array(np.arange(len(self))[rows])))

    def table(self) -> pa.Table:
        """Return the rows in the columns of `DETECTIONS`."""
        boxes = [np.ascontiguousarray(self.boxes[:, side], np.float32) for side in range(4)]
        columns = [self.frame, self.detection, self.class_id, self.score, *boxes, self.area_px2, self.rle]
        return pa.table([_as(column, kind) for column, kind in zip(columns, DETECTIONS.types, strict=True)], DETECTIONS)

    @classmethod
    def of_table(cls, table: pa.Table) -> "Instances":
        """Return the rows of a table that has the columns of `DETECTIONS`; ``rle`` may be missing."""
        plain = {name: table[name].to_numpy() for name in DETECTIONS.names if name != "rle"}
        boxes = np.stack([plain.pop(side) for side in BOX], axis=1)
        rle = table["rle"].combine_chunks() if "rle" in table.column_names else pa.nulls(len(table), pa.binary())
        area = plain.pop("area_px2")
        return cls(*plain.values(), boxes, area, rle)


@dataclass(frozen=True, eq=False)
class AnalysedFrames:
    """Analysed frames, ascending, including those without a bird.

    ``frame`` (F,) int32, ``time_s`` (F,) float64 seconds from the video's first frame, ``n`` (F,) int32 detections.
    """

    frame: np.ndarray
    time_s: np.ndarray
    n: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def table(self) -> pa.Table:
        """Return the rows in the columns of `FRAMES`."""
        columns = (self.frame, self.time_s, self.n)
        return pa.table([_as(column, kind) for column, kind in zip(columns, FRAMES.types, strict=True)], FRAMES)

    @classmethod
    def of_table(cls, table: pa.Table) -> "AnalysedFrames":
        """Return the rows of a table that has the columns of `FRAMES`."""
        return cls(*(table[name].to_numpy() for name in FRAMES.names))


def write_chunk(folder: Path, chunk: Chunk, seen: AnalysedFrames, detections: Instances) -> None:
    """Write the two tables of a chunk: detections first, then frames, whose presence marks the chunk as finished.

    Raises
    ------
    ValueError
        If the rows are not sorted, lie outside the chunk, or do not match the counts in ``seen``.
    OSError
        From the disk; nothing of the chunk counts then.
    """
    _check(chunk, seen, detections)
    for name, table in ((chunk.detections_file, detections.table()), (chunk.frames_file, seen.table())):
        with atomic_file(folder / name) as file:
            pq.write_table(
                table,
                file,
                row_group_size=ROW_GROUP,
                version="2.6",
                compression="zstd",
                compression_level=ZSTD_LEVEL,
                use_dictionary=[name for name in DICTIONARY if name in table.column_names],
            )


def _check(chunk: Chunk, seen: AnalysedFrames, detections: Instances) -> None:
    order = detections.frame.astype(np.int64) << 32 | detections.detection
    if (np.diff(order) <= 0).any() or (np.diff(seen.frame) <= 0).any():
        raise ValueError(f"rows of {chunk} are not sorted by frame and detection")
    if len(seen) and not (chunk.from_frame <= seen.frame[0] and seen.frame[-1] < chunk.to_frame):
        raise ValueError(f"frames {seen.frame[0]} to {seen.frame[-1]} lie outside {chunk}")
    counted = np.repeat(seen.frame, seen.n)
    if not np.array_equal(counted, detections.frame):
        raise ValueError(f"{chunk}: the detections are not those that its frames count")


def _as(column: np.ndarray | pa.Array, kind: pa.DataType) -> pa.Array:
    return column if isinstance(column, pa.Array) else pa.array(column, kind)
