"""A detections run made from truth, in the files that inference writes, for hours of video that nobody rendered."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backend.lek.recording import APPEARANCE, TRUTH
from backend.lek.simulated_detector import NOISE, Detector, Sighting, TruthOfChunk
from backend.lek.simulated_embeddings import SIZE
from backend.pipeline.chunk_tables import AnalysedFrames, write_chunk
from backend.pipeline.chunks import Chunk, plan_chunks
from backend.project.atomic import atomic_file
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import Manifest, begin_manifest, finished_file, now, verify
from backend.tracking.appearance.store import write_embeddings

SCRIPT = "lek_detector"
ORIGIN = "origin.parquet"
CHUNK_S = 60
ORIGIN_COLUMNS = pa.schema(
    [
        pa.field("frame", pa.int32()),
        pa.field("detection", pa.int32()),
        pa.field("bird", pa.uint8()),  # whose silhouette it is, or the first of two; 0: a false one
        pa.field("second", pa.uint8()),  # the other bird of a merged mask; 0: none
    ]
)


def detect(lek: Path, out: Path, preset: str, seed: int = 0) -> None:
    """Write a detections run into ``out``, as inference would, from the truth that `simulate` left in ``lek``.

    Beside the run's tables lie ``appearance_A_B.parquet`` (where the lek has descriptors) and ``origin.parquet``, the
    bird behind each detection. Nothing is done where ``out`` holds the same run already.

    Raises
    ------
    InputError
        If the preset is not known, ``lek`` is not whole or has no masks, or ``out`` holds something else.
    """
    if preset not in NOISE:
        raise InputError(f"detector noise {preset!r} is not known; choose one of {', '.join(NOISE)}")
    truth = verify(lek)
    facts = truth.settings
    if not facts.get("masks"):
        raise InputError(f"{lek} was made without masks; make it without --no-masks")
    width, height = facts["size"]
    settings = {
        **{"video": lek.name, "width": width, "height": height, "fps": facts["fps"], "class_names": ["bird"]},
        **{"frame_start": 0, "frame_end": truth.counts["frames"], "stride": 1, "chunk_frames": CHUNK_S * facts["fps"]},
        **{"preset": preset, "seed": seed, **asdict(NOISE[preset])},
    }
    with output_lock(out):
        manifest = begin_manifest(out, SCRIPT, {"truth": truth.files[TRUTH].sha256}, settings)
        if manifest.complete:
            return
        manifest.write(out)
        _detect(lek, out, manifest, facts)
        manifest.files = {path.name: finished_file(path) for path in sorted(out.glob("*.parquet"))}
        manifest.complete, manifest.finished = True, now()
        manifest.write(out)


def _detect(lek: Path, out: Path, manifest: Manifest, facts: dict) -> None:
    settings, birds = manifest.settings, facts["birds"]
    size = settings["width"], settings["height"]
    detector = Detector(NOISE[settings["preset"]], size, birds, facts["fps"], settings["seed"])
    truth = pq.ParquetFile(lek / TRUTH)
    described = pq.ParquetFile(lek / APPEARANCE) if (lek / APPEARANCE).exists() else None
    with atomic_file(out / ORIGIN) as file, pq.ParquetWriter(file, ORIGIN_COLUMNS, compression="zstd") as origin:
        for chunk in plan_chunks(0, settings["frame_end"], settings["chunk_frames"]):
            rows = _read_truth(truth, chunk, birds)
            sighting = detector.look(rows)
            found = sighting.instances
            n = np.bincount(found.frame - chunk.from_frame, minlength=len(rows.frame)).astype(np.int32)
            write_chunk(out, chunk, AnalysedFrames(rows.frame, rows.frame / facts["fps"], n), found)
            columns = (found.frame, found.detection, sighting.bird.astype(np.uint8), sighting.second.astype(np.uint8))
            origin.write_table(pa.Table.from_arrays(list(map(pa.array, columns)), schema=ORIGIN_COLUMNS))
            if described is not None:
                vectors = _blend(sighting, _read_vectors(described, chunk, birds), rows.area, chunk, detector.rng)
                write_embeddings(out, chunk, found.frame, found.detection, vectors)


def _read_truth(file: pq.ParquetFile, chunk: Chunk, birds: int) -> TruthOfChunk:
    table = _slice(file, chunk, "frame")
    shape = (chunk.to_frame - chunk.from_frame, birds)
    codes = [code or b"" for code in table["rle"].to_pylist()]
    boxes = np.stack([table[side].to_numpy() for side in ("x1", "y1", "x2", "y2")], -1)
    return TruthOfChunk(
        table["frame"].to_numpy()[::birds],
        boxes.reshape(*shape, 4).astype(np.float64),
        table["area_px2"].to_numpy().reshape(shape),
        table["visible_share"].to_numpy().reshape(shape),
        np.cumsum([0, *map(len, codes)]).astype(np.int64),
        np.frombuffer(b"".join(codes) or b"0", np.uint8),
    )


def _read_vectors(file: pq.ParquetFile, chunk: Chunk, birds: int) -> np.ndarray:
    """Return (F, n, SIZE) float32, NaN where a bird is not described."""
    table = _slice(file, chunk, "frame")
    vectors = np.full((chunk.to_frame - chunk.from_frame, birds, SIZE), np.nan, np.float32)
    flat = table["vector"].combine_chunks()
    flat = flat.chunk(0) if isinstance(flat, pa.ChunkedArray) else flat
    place = table["frame"].to_numpy() - chunk.from_frame, table["bird"].to_numpy().astype(int) - 1
    vectors[place] = flat.flatten().to_numpy().reshape(-1, SIZE)
    return vectors


def _slice(file: pq.ParquetFile, chunk: Chunk, column: str) -> pa.Table:
    """Return the rows of a chunk of a file sorted by frame, reading only the row groups that hold them."""
    place = file.schema_arrow.names.index(column)
    groups = []
    for group in range(file.num_row_groups):
        bounds = file.metadata.row_group(group).column(place).statistics
        if bounds.min < chunk.to_frame and bounds.max >= chunk.from_frame:
            groups.append(group)
    table = file.read_row_groups(groups)
    first, last = np.searchsorted(table[column].to_numpy(), [chunk.from_frame, chunk.to_frame])
    return table.slice(first, last - first)


def _blend(
    sighting: Sighting, vectors: np.ndarray, area: np.ndarray, chunk: Chunk, rng: np.random.Generator
) -> np.ndarray:
    """Return (N, SIZE) float32: a merged mask looks like both birds, by area; a false one like anything."""
    frame = sighting.instances.frame - chunk.from_frame
    first = np.maximum(sighting.bird - 1, 0)
    second = np.where(sighting.second > 0, sighting.second - 1, first)
    share = (area[frame, first] / np.maximum(1, area[frame, first] + area[frame, second]))[:, None]
    blended = share * vectors[frame, first] + (1 - share) * vectors[frame, second]
    false = sighting.bird == 0
    blended[false] = rng.standard_normal((int(false.sum()), SIZE))
    return blended.astype(np.float32)
