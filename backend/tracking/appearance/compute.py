"""Descriptors of a detections run, a chunk at a time, by colour or by a network that this video has taught."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from backend.jobs.progress import Progress
from backend.pipeline.chunk_tables import FramesSeen
from backend.pipeline.detections import ChunkDetections, DetectionsRun
from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.tracking.appearance import colour_embedding as appearance_colour
from backend.tracking.appearance.crops import cutouts
from backend.tracking.appearance.store import NETWORK
from backend.tracking.online.association import OnlineTracker, chunk_arrays, default_settings
from backend.tracking.online.track_state import SINGLE
from backend.video import VideoReader

MOMENTS = 600  # of a video, to learn from
LEAST_LENGTH_S = 1.0  # of a tracklet, to learn from


class NothingToLearn(InputError):
    """A video in which no two birds are followed at the same time teaches nothing of what tells birds apart."""


class Describer(Protocol):
    """Describes the birds of some frames of a chunk."""

    def describe(
        self, reader: VideoReader, part: ChunkDetections, frames: np.ndarray, beat: Callable[[], None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows (n,), ascending, and vectors (n, D) float32; ``beat`` is called at every frame."""


class Colour:
    """Colour of body parts, and shape."""

    def describe(
        self, reader: VideoReader, part: ChunkDetections, frames: np.ndarray, beat: Callable[[], None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Describer`."""
        rows, vectors = [], [np.zeros((0, appearance_colour.SIZE), np.float32)]
        for light, birds in cutouts(reader, part, frames):
            rows += [bird.row for bird in birds]
            vectors += [appearance_colour.describe(bird, light)[None] for bird in birds]
            beat()
        return np.array(rows, np.int64), np.concatenate(vectors)


class Learnt:
    """A network that this video has taught."""

    def __init__(self, network, device: str):
        self._network, self._device = network, device

    @classmethod
    def of_video(
        cls,
        folder: Path,
        run: DetectionsRun,
        reader: VideoReader,
        per_second: float,
        steps: int,
        seed: int,
        device: str,
        progress: Progress,
    ) -> "Learnt":
        """Return the network in ``folder``; where there is none it is trained and put there.

        Raises
        ------
        NothingToLearn
            If no two birds are followed at the same time.
        """
        from safetensors.torch import load, save  # noqa: PLC0415 - torch takes seconds to import

        from backend.tracking.appearance.embedding_network import Describer as Network  # noqa: PLC0415
        from backend.tracking.appearance.embedding_network import train  # noqa: PLC0415

        path = folder / NETWORK
        if path.exists():
            network = Network()
            network.load_state_dict(load(path.read_bytes()))
            return cls(network.to(device).eval(), device)
        pictures, moment, tracklet = lessons(run, reader, per_second, progress)
        progress.stage("learning the birds of this video", steps)
        try:
            network = train(
                pictures, moment, tracklet, steps, seed, device, lambda n, loss: progress.update(n, f"loss {loss:.2f}")
            )
        except ValueError as error:
            raise NothingToLearn(f"{run.folder}: {error}; use --kind colour") from error
        atomic_write(path, save({name: value.cpu() for name, value in network.state_dict().items()}))
        return cls(network, device)

    def describe(
        self, reader: VideoReader, part: ChunkDetections, frames: np.ndarray, beat: Callable[[], None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Describer`."""
        from backend.tracking.appearance.embedding_network import SIZE, describe, picture_of  # noqa: PLC0415

        rows, vectors = [], [np.zeros((0, SIZE), np.float32)]
        for _, birds in cutouts(reader, part, frames):
            rows += [bird.row for bird in birds]
            if birds:
                vectors.append(describe(self._network, np.stack([picture_of(bird) for bird in birds]), self._device))
            beat()
        return np.array(rows, np.int64), np.concatenate(vectors)


def sampled(seen: FramesSeen, per_second: float) -> np.ndarray:
    """Return the frames of a chunk to describe: the first of each span of 1 / ``per_second`` s, spans from time 0."""
    span = np.floor(seen.time_s * per_second + 1e-6)
    return seen.frame[np.diff(span, prepend=-1.0) > 0]


def lessons(
    run: DetectionsRun, reader: VideoReader, per_second: float, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what there is to learn from: pictures (n, SIDE, SIDE, 3) uint8, moment and tracklet (n,).

    Birds in tracklets of one bird, at up to `MOMENTS` moments that are spread over the video.
    """
    from backend.tracking.appearance.embedding_network import SIDE, picture_of  # noqa: PLC0415 - brings torch

    frames = np.concatenate([sampled(run.load(chunk, masks=False).seen, per_second) for chunk in run.chunks])
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, min(MOMENTS, len(frames))).astype(int))]
    tracklets = _tracklets(run, progress)
    pictures, moment, tracklet = [np.zeros((0, SIDE, SIDE, 3), np.uint8)], [], []
    progress.stage("cutting out birds to learn from", len(chosen))
    done = 0
    for chunk, own in zip(run.chunks, tracklets, strict=True):
        here = chosen[(chosen >= chunk.from_frame) & (chosen < chunk.to_frame)]
        if not len(here):
            continue
        for _, birds in cutouts(reader, run.load(chunk), here):
            birds = [bird for bird in birds if own[bird.row] > 0]
            pictures += [picture_of(bird)[None] for bird in birds]
            moment += [done] * len(birds)
            tracklet += [int(own[bird.row]) for bird in birds]
            done += 1
            progress.update(done)
    return np.concatenate(pictures), np.array(moment, np.int64), np.array(tracklet, np.int64)


def _tracklets(run: DetectionsRun, progress: Progress) -> list[np.ndarray]:
    """Return for each chunk the tracklet of each detection; 0: none, a short one, or perhaps of several birds."""
    progress.stage("following birds", len(run.chunks))
    tracker, found, n = None, [], np.zeros(1, np.int64)
    for k, part in enumerate(run):
        if tracker is None:
            boxes = part.found.boxes
            tracker = OnlineTracker(default_settings(run.facts.height, 1 / run.facts.fps, boxes[:, 2] - boxes[:, 0]))
        told = tracker.update(chunk_arrays(part))
        own = np.where(told.kind == SINGLE, told.tracklet, 0).astype(np.int32)
        found.append(own)
        counts = np.bincount(own)
        n = np.pad(n, (0, max(0, len(counts) - len(n))))
        n[: len(counts)] += counts
        progress.update(k + 1)
    n[0] = 0
    least = LEAST_LENGTH_S * run.facts.fps
    return [np.where(n[own] >= least, own, 0) for own in found]
