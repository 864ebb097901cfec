"""Reading the detections of an inference run, while it runs or afterwards.

>>> run = open_detections(project.inference_output("lek-north", "ruffs-2026-05-01"))  # doctest: +SKIP
>>> for part in run:  # a chunk at a time: memory does not grow with the video
...     for frame, time_s, birds in part.by_frame():
...         birds.boxes, birds.counts(0)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.pipeline.chunk_tables import DETECTIONS, AnalysedFrames, Instances
from backend.pipeline.chunks import Chunk, plan_chunks
from backend.project.errors import InputError
from backend.project.manifest import MANIFEST, Manifest, read_manifest
from backend.project.settings import first_problem


class RunFacts(BaseModel):
    """Facts of a run that its readers need; part of ``settings`` in its manifest.

    ``video`` is the slug; ``width`` and ``height`` are px of the original frame; every ``stride``-th of the
    frames ``[frame_start, frame_end)`` is analysed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    video: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    fps: float = Field(gt=0)
    frame_start: int = Field(ge=0)
    frame_end: int
    stride: int = Field(default=1, ge=1)
    chunk_frames: int = Field(ge=1)
    class_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ChunkDetections:
    """One finished chunk in memory."""

    chunk: Chunk
    seen: AnalysedFrames
    detections: Instances

    @cached_property
    def starts(self) -> np.ndarray:
        """(F + 1,) int64: frame ``k`` of ``seen`` has the rows ``starts[k]:starts[k + 1]`` of ``detections``."""
        return np.concatenate(([0], np.cumsum(self.seen.n, dtype=np.int64)))

    def by_frame(self) -> Iterator[tuple[int, float, Instances]]:
        """Yield number, time in seconds and detections of every analysed frame, empty ones included."""
        for k in range(len(self.seen)):
            rows = slice(self.starts[k], self.starts[k + 1])
            yield int(self.seen.frame[k]), float(self.seen.time_s[k]), self.detections.take(rows)

    def at_least(self, score: float) -> "ChunkDetections":
        """Return the same frames with only the detections of ``score`` or more. Detections keep their numbers."""
        rows = self.detections.score >= np.float32(score)
        frame_index = np.repeat(np.arange(len(self.seen)), self.seen.n)
        n = np.bincount(frame_index[rows], minlength=len(self.seen)).astype(np.int32)
        return ChunkDetections(
            self.chunk, AnalysedFrames(self.seen.frame, self.seen.time_s, n), self.detections.take(np.flatnonzero(rows))
        )


class DetectionsRun:
    """The finished chunks of one run. Made by `open_detections`.

    Attributes
    ----------
    folder : the run's folder
    manifest : its manifest
    facts : `RunFacts`: video, frame size, rate, class names
    chunks : the finished chunks, by frame
    """

    def __init__(self, folder: Path, manifest: Manifest, facts: RunFacts, chunks: list[Chunk]):
        self.folder = folder
        self.manifest = manifest
        self.facts = facts
        self.chunks = chunks

    def __iter__(self) -> Iterator[ChunkDetections]:
        for chunk in self.chunks:
            yield self.load(chunk)

    @property
    def complete(self) -> bool:
        """Whether the whole range was analysed."""
        return self.manifest.complete

    def missing(self) -> list[Chunk]:
        """Return the chunks of the plan that are not finished."""
        facts = self.facts
        plan = plan_chunks(facts.frame_start, facts.frame_end, facts.chunk_frames, facts.stride)
        return sorted(set(plan) - set(self.chunks))

    def load(self, chunk: Chunk, masks: bool = True) -> ChunkDetections:
        """Return one chunk; without ``masks`` the RLE column, most of the bytes, is not read."""
        columns = [name for name in DETECTIONS.names if masks or name != "rle"]
        found = Instances.of_table(self._read(chunk.detections_file, columns))
        return ChunkDetections(chunk, AnalysedFrames.of_table(self._read(chunk.frames_file)), found)

    def without_masks(self) -> Iterator[ChunkDetections]:
        """Iterate over the chunks without reading masks."""
        return (self.load(chunk, masks=False) for chunk in self.chunks)

    def frames(self) -> AnalysedFrames:
        """Return all frames analysed so far (20 bytes per frame)."""
        parts = [AnalysedFrames.of_table(self._read(chunk.frames_file)) for chunk in self.chunks]
        empty = AnalysedFrames(np.zeros(0, np.int32), np.zeros(0), np.zeros(0, np.int32))
        columns = ([getattr(part, name) for part in (empty, *parts)] for name in ("frame", "time_s", "n"))
        return AnalysedFrames(*(np.concatenate(column) for column in columns))

    def at(self, frame: int) -> Instances | None:
        """Return the detections of one frame, reading only the row groups around it; None if it was not analysed."""
        chunk = next((each for each in self.chunks if each.from_frame <= frame < each.to_frame), None)
        if chunk is None or frame not in self._read(chunk.frames_file, ["frame"])["frame"].to_numpy():
            return None
        return Instances.of_table(self._read(chunk.detections_file, filters=[("frame", "==", frame)]))

    def _read(self, name: str, columns: list[str] | None = None, filters: list | None = None) -> pa.Table:
        try:
            return pq.read_table(self.folder / name, columns=columns, filters=filters, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{self.folder / name} cannot be read: {error}") from error


def open_detections(folder: Path) -> DetectionsRun:
    """Open the run in ``folder``, finished or not.

    Raises
    ------
    InputError
        If there is no run of inference, or its manifest is broken.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(f"{folder} is not an inference run: it has no {MANIFEST}")
    try:
        facts = RunFacts.model_validate(manifest.settings)
    except ValidationError as error:
        raise InputError(f"{folder} is not an inference run ({manifest.script}; {first_problem(error)})") from error
    return DetectionsRun(folder, manifest, facts, finished_chunks(folder, facts.stride))


def detections_of_tracks(tracks: Path, manifest: Manifest) -> DetectionsRun | None:
    """Return the detections that a track run was made from, in its project or at the stated path; None if missing."""
    stated, name, folder = manifest.inputs.get("detections"), manifest.inputs.get("detections_run"), tracks.resolve()
    candidates = [Path(str(stated))] if stated else []
    if name and folder.parent.parent.name == "track_output":
        candidates.insert(0, folder.parents[2] / "inference_output" / folder.parent.name / str(name))
    for candidate in candidates:
        try:
            return open_detections(candidate)
        except InputError:
            continue
    return None


def model_of_tracks(tracks: Path, manifest: Manifest) -> str:
    """Return the name of the model whose detections a track run uses, empty where it is not known."""
    run = detections_of_tracks(tracks, manifest)
    return Path(str(run.manifest.inputs.get("model", ""))).name if run is not None else ""


def finished_chunks(folder: Path, stride: int) -> list[Chunk]:
    """Return the chunks whose table of frames is in ``folder``, by frame."""
    found = (Chunk.of_name(path.name, stride) for path in folder.glob("frames_*.parquet"))
    return sorted(chunk for chunk in found if chunk is not None)
