"""The folder of an inference run: begin or resume it, and finish it. Workers write the chunks."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from backend.pipeline.chunk_plan import VideoPlan
from backend.pipeline.chunks import Chunk, plan_chunks
from backend.pipeline.detections import finished_chunks, open_detections
from backend.pipeline.network import NetworkFacts
from backend.pipeline.regions import Region, crop_region, tile_regions
from backend.project.atomic import remove_temporary
from backend.project.disk import check_space
from backend.project.errors import InputError
from backend.project.locks import LOCK
from backend.project.manifest import Manifest, begin_manifest, finished_file, now, read_manifest
from backend.video import PacketIndex

SCRIPT = "inference"
BYTES_A_DETECTION, BYTES_A_FRAME = 110, 12  # of Parquet files, measured
BIRDS_A_FRAME = 20  # where nothing is known yet
log = logging.getLogger(__name__)


class RunSettings(BaseModel):
    """Settings that determine a run's results, apart from video and model. ``tile`` is (width, height) in px."""

    model_config = ConfigDict(frozen=True)

    frame_start: int = Field(default=0, ge=0)
    frame_end: int | None = None
    stride: int = Field(default=1, ge=1)
    chunk_frames: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    crop: tuple[int, int, int | None, int | None] = (0, 0, None, None)
    tile: tuple[int, int] | None = None
    tile_overlap: int = 0
    decoder: str = "pyav"
    compiled: bool = False


@dataclass(frozen=True)
class VideoRun:
    """One video of a run: its plan, manifest and chunks."""

    plan: VideoPlan
    manifest: Manifest
    chunks: list[Chunk]

    @property
    def todo(self) -> list[Chunk]:
        """The chunks that are not finished."""
        finished = set(finished_chunks(self.plan.folder, self.chunks[0].stride))
        return [chunk for chunk in self.chunks if chunk not in finished]


@dataclass(frozen=True)
class Source:
    """A video to be analysed, and the folder for its detections."""

    name: str
    path: Path
    folder: Path
    index: PacketIndex
    index_folder: Path | None = None


def check_source(source: Source, settings: RunSettings, resume: bool) -> None:
    """Refuse, before anything is loaded, what cannot work: range, crop, tiles, an occupied folder, a full disk.

    Raises
    ------
    InputError
        With what is wrong and what is allowed.
    """
    start, end = frame_range(source, settings)
    regions_of(source, settings)
    if not resume and source.folder.is_dir():
        held = [path.name for path in source.folder.iterdir() if path.name != LOCK]
        if held:
            raise InputError(
                f"{source.folder} is not empty ({held[0]}); "
                "choose another --run, or --resume to go on with what is there"
            )
    check_space(source.folder, estimate_bytes(len(range(start, end, settings.stride))))


def frame_range(source: Source, settings: RunSettings) -> tuple[int, int]:
    """Return the range ``[start, end)`` of frames to analyse; InputError if it is not inside the video."""
    count = len(source.index.pts)
    end = count if settings.frame_end is None else settings.frame_end
    if not settings.frame_start < end <= count:
        raise InputError(
            f"frames {settings.frame_start} to {end} are no range in {source.path}, which has {count} frames "
            f"(0 to {count})"
        )
    return settings.frame_start, end


def regions_of(source: Source, settings: RunSettings) -> tuple[Region, ...]:
    """Return the regions of the frame that are the network's input; InputError if they do not fit the video."""
    return tile_regions(crop_region(source.index.size, settings.crop), settings.tile, settings.tile_overlap)


def begin_run(source: Source, settings: RunSettings, facts: NetworkFacts, model: Path) -> VideoRun:
    """Begin the run, or resume the one in the folder. The caller holds the folder's lock.

    Raises
    ------
    InputError
        If the folder holds a run with another video, model or settings; the message names what differs.
    """
    start, end = frame_range(source, settings)
    regions = regions_of(source, settings)
    plan = VideoPlan(
        name=source.name,
        path=source.path,
        folder=source.folder,
        size=source.index.size,
        regions=regions,
        input_size=facts.settings.input_size(regions[0].size),
        batch_frames=max(1, settings.batch_size // len(regions)),
        decoder=settings.decoder,
        index_folder=source.index_folder,
    )
    inputs: dict[str, Any] = {
        "video_path": str(source.path),
        "video_identity": source.index.identity,
        "model": str(model),
        "model_identity": facts.identity,
    }
    found = read_manifest(source.folder)
    if found is not None:
        _overlook_moved_files(inputs, found.inputs)
    decided = {**settings.model_dump(mode="json"), "frame_start": start, "frame_end": end}
    width, height = source.index.size
    described = {"video": source.name, "width": width, "height": height, "fps": source.index.fps}
    network = facts.settings.model_dump(mode="json")
    manifest = begin_manifest(
        source.folder, SCRIPT, inputs, {**described, **network, **decided, "number_format": facts.number_format}
    )
    manifest.number_format = facts.number_format
    manifest.hardware = {**manifest.hardware, "device": facts.device}
    manifest.write(source.folder)
    remove_temporary(source.folder)
    return VideoRun(plan, manifest, plan_chunks(start, end, settings.chunk_frames, settings.stride))


def finish_run(run: VideoRun) -> None:
    """Write into the manifest that the run is whole, with counts and checksums of its files.

    Raises
    ------
    InputError
        If not one of its frames could be decoded.
    """
    folder, manifest = run.plan.folder, run.manifest
    frames = open_detections(folder).frames()
    planned = np.concatenate([np.array(chunk.frames) for chunk in run.chunks])
    damaged = np.setdiff1d(planned, frames.frame)
    if not len(frames):
        raise InputError(f"none of the {len(planned)} frames of {run.plan.path} can be decoded")
    if len(damaged):
        log.warning("%s: %s cannot be decoded right and are left out", run.plan.path, describe_frames(damaged))
    names = [name for chunk in run.chunks for name in (chunk.detections_file, chunk.frames_file)]
    manifest.files = {name: finished_file(folder / name) for name in names}
    manifest.counts = {
        "frames": len(frames),
        "frames_damaged": len(damaged),
        "frames_empty": int((frames.n == 0).sum()),
        "detections": int(frames.n.sum()),
        "chunks": len(run.chunks),
    }
    manifest.complete = True
    manifest.finished = now()
    manifest.write(folder)


def estimate_bytes(n_frames: int, birds_a_frame: float = BIRDS_A_FRAME) -> int:
    """Return about how many bytes the tables of ``n_frames`` frames take."""
    return round(n_frames * (BYTES_A_FRAME + birds_a_frame * BYTES_A_DETECTION))


def describe_frames(frames: Sequence[int] | np.ndarray) -> str:
    """Return ``3 frames (7, 8, 9)`` for a few ascending frame numbers, ``90 frames (between 10 and 120)`` for many."""
    count = len(frames)
    noun = "frame" if count == 1 else "frames"
    listed = ", ".join(str(frame) for frame in frames) if count <= 5 else f"between {frames[0]} and {frames[-1]}"
    return f"{count} {noun} ({listed})"


def _overlook_moved_files(inputs: dict[str, Any], found: dict[str, Any]) -> None:
    """Take the old paths of a video and model that are the same by their content: they may have been moved."""
    for path, identity in (("video_path", "video_identity"), ("model", "model_identity")):
        if found.get(identity) == inputs[identity]:
            inputs[path] = found.get(path, inputs[path])
