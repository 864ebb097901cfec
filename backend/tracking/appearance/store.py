"""Embedding tables: a vector for each detection, one file for each chunk, beside the detections or elsewhere."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backend.pipeline.chunks import Chunk
from backend.project.atomic import atomic_file
from backend.project.errors import InputError
from backend.project.manifest import read_manifest, sha256

NETWORK, EMBEDDINGS_MANIFEST = "appearance.safetensors", "appearance.manifest.json"


def embeddings_file(chunk: Chunk) -> str:
    """Return the name of the embedding table of a chunk, ``appearance_A_B.parquet``."""
    return chunk.detections_file.replace("detections_", "appearance_")


def embeddings_digest(folder: Path, chunks: Sequence[Chunk]) -> str | None:
    """Return one SHA-256 of all embedding tables of a run, as hexadecimal digits; None where there are none."""
    paths = [path for chunk in chunks if (path := folder / embeddings_file(chunk)).exists()]
    lines = [f"{sha256(path)}  {path.name}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else None


def embedding_space(folder: Path) -> str:
    """Return the name of the embedding space of the tables in ``folder``; only vectors of one space can be compared.

    The SHA-256 of the network that computed them, else the kind in the manifest of `backend.describe`, else "foreign".
    """
    if (folder / NETWORK).is_file():
        return sha256(folder / NETWORK)
    manifest = read_manifest(folder / EMBEDDINGS_MANIFEST)
    return "foreign" if manifest is None else str(manifest.settings["kind"])


def write_embeddings(folder: Path, chunk: Chunk, frame: np.ndarray, detection: np.ndarray, vectors: np.ndarray) -> None:
    """Write the embedding table of a chunk, atomically.

    ``frame`` and ``detection`` are (N,) int32, sorted; a detection without an embedding may be left out. ``vectors``
    are (N, D) float32, NaN where unknown.
    """
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    lists = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    table = pa.table({"frame": pa.array(frame), "detection": pa.array(detection), "vector": lists})
    with atomic_file(folder / embeddings_file(chunk)) as file:
        pq.write_table(
            table, file, compression="zstd", use_dictionary=False, use_byte_stream_split=["vector.list.element"]
        )


def read_embeddings(folder: Path, chunk: Chunk) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return frame (N,), detection (N,) and vectors (N, D) float32 of a chunk; None where it has no table.

    Raises
    ------
    InputError
        If the table cannot be read.
    """
    path = folder / embeddings_file(chunk)
    try:
        table = pq.read_table(path, columns=["frame", "detection", "vector"], partitioning=None)
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    lists = table["vector"].combine_chunks()
    lists = lists.chunk(0) if isinstance(lists, pa.ChunkedArray) else lists
    vectors = lists.flatten().to_numpy().reshape(-1, lists.type.list_size)
    return table["frame"].to_numpy(), table["detection"].to_numpy(), vectors
