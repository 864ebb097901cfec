"""Embeddings of a detections run, a chunk at a time: by colour, or by a network trained on this video."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from backend.jobs.progress import Progress
from backend.pipeline.chunk_tables import AnalysedFrames
from backend.pipeline.detections import ChunkDetections, DetectionsRun
from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.tracking.appearance import colour_embedding
from backend.tracking.appearance.crops import frame_crops
from backend.tracking.appearance.store import NETWORK
from backend.tracking.online.association import OnlineTracker, chunk_arrays, default_settings
from backend.tracking.online.track_state import SINGLE
from backend.video import VideoReader

TRAINING_FRAMES = 600  # of a video, at most
MIN_TRAINING_TRACKLET_S = 1.0  # shorter tracklets are not trained on


class NoTrainingPairsError(InputError):
    """The video has no two birds tracked at the same time, so there are no negative pairs to train on."""


class Embedder(Protocol):
    """Computes embeddings of detections."""

    def embed(
        self, reader: VideoReader, part: ChunkDetections, frames: np.ndarray, beat: Callable[[], None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Embed the detections of some frames of a chunk; ``beat`` is called after every frame.

        Returns
        -------
        np.ndarray, np.ndarray
            Rows in the chunk (n,), ascending, and embeddings (n, D) float32.
        """


class ColourEmbedder:
    """Embeddings by `colour_embedding`."""

    def embed(
        self, reader: VideoReader, part: ChunkDetections, frames: np.ndarray, beat: Callable[[], None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Embedder`."""
        rows, vectors = [], [np.zeros((0, colour_embedding.SIZE), np.float32)]
        for mean_rgb, crops in frame_crops(reader, part, frames):
            rows += [crop.row for crop in crops]
            vectors += [colour_embedding.colour_embedding(crop, mean_rgb)[None] for crop in crops]
            beat()
        return np.array(rows, np.int64), np.concatenate(vectors)


class NetworkEmbedder:
    """Embeddings by an `EmbeddingNetwork`."""

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
    ) -> "NetworkEmbedder":
        """Load the network in ``folder``; where there is none, train it on this video and write it there.

        Raises
        ------
        NoTrainingPairsError
            If no two birds are tracked at the same time.
        """
        from safetensors.torch import load, save  # noqa: PLC0415 - torch takes seconds to import

        from backend.tracking.appearance.embedding_network import EmbeddingNetwork, train  # noqa: PLC0415

        path = folder / NETWORK
        if path.exists():
            network = EmbeddingNetwork()
            network.load_state_dict(load(path.read_bytes()))
            return cls(network.to(device).eval(), device)
        images, frame, tracklet = training_images(run, reader, per_second, progress)
        progress.stage("learning the birds of this video", steps)
        try:
            network = train(
                images, frame, tracklet, steps, seed, device, lambda n, loss: progress.update(n, f"loss {loss:.2f}")
            )
        except ValueError as error:
            raise NoTrainingPairsError(f"{run.folder}: {error}; use --kind colour") from error
        atomic_write(path, save({name: value.cpu() for name, value in network.state_dict().items()}))
        return cls(network, device)

    def embed(
        self, reader: VideoReader, part: ChunkDetections, frames: np.ndarray, beat: Callable[[], None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Embedder`."""
        from backend.tracking.appearance.embedding_network import SIZE, embed, network_image  # noqa: PLC0415

        rows, vectors = [], [np.zeros((0, SIZE), np.float32)]
        for _, crops in frame_crops(reader, part, frames):
            rows += [crop.row for crop in crops]
            if crops:
                vectors.append(embed(self._network, np.stack([network_image(crop) for crop in crops]), self._device))
            beat()
        return np.array(rows, np.int64), np.concatenate(vectors)


def sampled_frames(seen: AnalysedFrames, per_second: float) -> np.ndarray:
    """Return the frames of a chunk to embed: the first of each interval of 1 / ``per_second`` s from time 0."""
    interval = np.floor(seen.time_s * per_second + 1e-6)
    return seen.frame[np.diff(interval, prepend=-1.0) > 0]


def training_images(
    run: DetectionsRun, reader: VideoReader, per_second: float, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images (n, SIDE, SIDE, 3) uint8 for training, and the index of the frame and the tracklet of each, (n,).

    They show birds in tracklets of a single bird, in up to `TRAINING_FRAMES` frames spread evenly over the video.
    """
    from backend.tracking.appearance.embedding_network import SIDE, network_image  # noqa: PLC0415 - brings torch

    frames = np.concatenate([sampled_frames(run.load(chunk, masks=False).seen, per_second) for chunk in run.chunks])
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, min(TRAINING_FRAMES, len(frames))).astype(int))]
    tracklets = _single_bird_tracklets(run, progress)
    images, frame, tracklet = [np.zeros((0, SIDE, SIDE, 3), np.uint8)], [], []
    progress.stage("cutting out birds to learn from", len(chosen))
    done = 0
    for chunk, own in zip(run.chunks, tracklets, strict=True):
        here = chosen[(chosen >= chunk.from_frame) & (chosen < chunk.to_frame)]
        if not len(here):
            continue
        for _, crops in frame_crops(reader, run.load(chunk), here):
            crops = [crop for crop in crops if own[crop.row] > 0]
            images += [network_image(crop)[None] for crop in crops]
            frame += [done] * len(crops)
            tracklet += [int(own[crop.row]) for crop in crops]
            done += 1
            progress.update(done)
    return np.concatenate(images), np.array(frame, np.int64), np.array(tracklet, np.int64)


def _single_bird_tracklets(run: DetectionsRun, progress: Progress) -> list[np.ndarray]:
    """Return for each chunk the tracklet of each detection (N,) int32; 0: none, too short, or perhaps several birds."""
    progress.stage("following birds", len(run.chunks))
    tracker, tracklets, n_detections = None, [], np.zeros(1, np.int64)
    for k, part in enumerate(run):
        if tracker is None:
            boxes = part.detections.boxes
            tracker = OnlineTracker(default_settings(run.facts.height, 1 / run.facts.fps, boxes[:, 2] - boxes[:, 0]))
        result = tracker.update(chunk_arrays(part))
        own = np.where(result.kind == SINGLE, result.tracklet, 0).astype(np.int32)
        tracklets.append(own)
        counts = np.bincount(own)
        n_detections = np.pad(n_detections, (0, max(0, len(counts) - len(n_detections))))
        n_detections[: len(counts)] += counts
        progress.update(k + 1)
    n_detections[0] = 0
    minimum = MIN_TRAINING_TRACKLET_S * run.facts.fps
    return [np.where(n_detections[own] >= minimum, own, 0) for own in tracklets]
