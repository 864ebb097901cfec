"""The files of truth: a row for every bird and frame, streamed to Parquet."""

from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backend.lek.bird import Behaviour
from backend.lek.world import Lek

SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int32()),
        pa.field("bird", pa.uint8()),  # from 1; the pixel value in masks/
        pa.field("x1", pa.float32()),  # box of the visible mask, px; NaN where the bird is not seen
        pa.field("y1", pa.float32()),
        pa.field("x2", pa.float32()),
        pa.field("y2", pa.float32()),
        pa.field("cx", pa.float32()),  # mean of the visible pixels
        pa.field("cy", pa.float32()),
        pa.field("foot_x", pa.float32()),  # ground point, px, also where it is hidden or outside
        pa.field("foot_y", pa.float32()),
        pa.field("ground_x", pa.float32()),  # ground point, m; through zones.json's homography it is (foot_x, foot_y)
        pa.field("ground_y", pa.float32()),
        pa.field("height_m", pa.float32()),  # of the feet above the ground
        pa.field("heading_rad", pa.float32()),  # 0 to the right, counter-clockwise seen from above
        pa.field("area_px2", pa.int32()),  # visible pixels
        pa.field("visible_share", pa.float32()),  # of the whole silhouette, what the border cuts off included
        pa.field("in_box", pa.bool_()),
        pa.field("outside", pa.bool_()),  # nothing of the silhouette lies inside the picture
        pa.field("behaviour", pa.dictionary(pa.int8(), pa.string())),
        pa.field("partner", pa.uint8()),  # in fight, chase and flight from another: that bird; 0: none
        pa.field("rle", pa.binary()),  # COCO counts of the visible mask at full size; null where not seen or not asked
    ]
)
WITH_STATISTICS = ["frame", "bird"]  # what readers filter by; of the others they would only grow with the length
BEHAVIOURS = pa.array([behaviour.name.lower() for behaviour in Behaviour])


class TruthWriter:
    """Streams truth to an open binary file; use it as a context manager."""

    def __init__(self, file: IO[bytes], lek: Lek):
        self._writer = pq.ParquetWriter(file, SCHEMA, compression="zstd", write_statistics=WITH_STATISTICS)
        self._lek = lek

    def __enter__(self) -> "TruthWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, first: int, states: np.ndarray, views: np.ndarray, codes: np.ndarray) -> None:
        """Append (frames, n) BIRD states from frame ``first``, what was seen of them, and their run lengths."""
        columns = truth_columns(first, states, views, codes)
        self._writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))


def truth_columns(first: int, states: np.ndarray, views: np.ndarray, codes: np.ndarray) -> list[pa.Array]:
    """Return the columns of `SCHEMA`, one row a bird and frame, frames first."""
    frames, n = states.shape
    state, view = states.ravel(), views.ravel()
    in_box = state["behaviour"] == Behaviour.IN_BOX
    share = np.where(view["whole"] > 0, view["area"] / np.maximum(view["whole"], 1), 0)
    columns = {
        "frame": np.repeat(np.arange(first, first + frames, dtype=np.int32), n),
        "bird": np.tile(np.arange(1, n + 1, dtype=np.uint8), frames),
        **{name: view[name] for name in ("x1", "y1", "x2", "y2", "cx", "cy", "foot_x", "foot_y")},
        "ground_x": state["x"],
        "ground_y": state["y"],
        "height_m": state["z"],
        "heading_rad": state["heading"],
        "area_px2": view["area"],
        "visible_share": share,
        "in_box": in_box,
        "outside": ~in_box & (view["inside"] == 0),
        "partner": state["partner"] + 1,
    }
    arrays = {
        name: pa.array(values.astype(SCHEMA.field(name).type.to_pandas_dtype())) for name, values in columns.items()
    }
    arrays["behaviour"] = pa.DictionaryArray.from_arrays(pa.array(state["behaviour"].astype(np.int8)), BEHAVIOURS)
    arrays["rle"] = _binary(view["code_end"], codes)
    return [arrays[name] for name in SCHEMA.names]


def _binary(ends: np.ndarray, codes: np.ndarray) -> pa.Array:
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    seen = np.packbits(np.diff(offsets) > 0, bitorder="little")
    buffers = [pa.py_buffer(part.tobytes()) for part in (seen, offsets, codes)]
    return pa.Array.from_buffers(pa.binary(), len(ends), buffers)
