"""Compute appearance embeddings of the detected birds, so that tracking can tell birds apart that met.

    python -m backend.describe --detections data/inference_output/lek/night-1 --gpu-id 0
    python -m backend.describe --detections data/inference_output/lek/night-1 --kind colour

Writes appearance_A_B.parquet beside the detections, where backend.track looks for them. ``learnt`` first trains a small
network on this video, without labels: crops of one tracklet show one bird, birds in one frame are different ones.
``colour`` needs no training (colour of body parts, and shape), but depends on pose and light: on the two real sequences
of docs/benchmarks.md tracking was better without it. It is for videos too short or too empty to train on. A stopped run
goes on where it stopped.

Embeddings of different networks cannot be compared. To find birds of one video in another (backend.match_identities),
compute the embeddings of the other with the network of the first: --network FOLDER, where the first one's embeddings
are.
"""

import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from backend.jobs.progress import Progress
from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.pipeline.detections import DetectionsRun, open_detections
from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import Manifest, begin_manifest, finished_file, now, sha256
from backend.tracking.appearance.compute import ColourEmbedder, NetworkEmbedder, NoTrainingPairsError, sampled_frames
from backend.tracking.appearance.store import EMBEDDINGS_MANIFEST, NETWORK, embeddings_file, write_embeddings
from backend.tracking.tracks.video_of_run import open_video_of
from backend.video import VideoReader

SCRIPT, MANIFEST = "describe", EMBEDDINGS_MANIFEST


class DescribeSettings(ScriptSettings):
    """The arguments of this script; the names are the options."""

    detections: Path = Field(description="folder of a detections run")
    out: Path | None = Field(default=None, description="folder to write to; by default that of the detections")
    kind: Literal["learnt", "colour"] = Field(
        default="learnt", description="kind of embedding; colour needs no training and tells birds apart less well"
    )
    per_second: float = Field(default=5.0, gt=0, le=60, description="embeddings per bird and second of video")
    steps: int = Field(default=600, ge=1, le=1_000_000, description="training steps, for --kind learnt")
    seed: int = Field(default=0, ge=0, description="random seed of the training")
    network: Path | None = Field(
        default=None, description="folder with embeddings of the same birds: use its network, train none"
    )
    video_path: Path | None = Field(default=None, description="the video, if it was moved since")
    gpu_id: str = Field(
        default="cpu", pattern=r"^(cpu|\d{1,3})$", description="number of the GPU, for --kind learnt, or cpu"
    )
    if_possible: bool = Field(default=False, description="end without an error where there is too little to train on")

    @model_validator(mode="after")
    def _network_can_be_used(self) -> "DescribeSettings":
        if self.network is not None:
            if self.kind != "learnt":
                raise ValueError(f"--network goes with --kind learnt, not {self.kind}")
            if not (self.network / NETWORK).is_file():
                raise ValueError(f"{self.network} has no {NETWORK}; give the folder of a description of kind learnt")
        return self


def main(argv: list[str]) -> None:
    """Run the script."""
    settings = ScriptParser("backend.describe", __doc__).settings(DescribeSettings, argv)
    run = open_detections(settings.detections.resolve())
    if not run.complete:
        raise InputError(f"{run.folder}: inference did not finish; run it again")
    folder = (settings.out or run.folder).resolve()
    with output_lock(folder), open_video_of(run, settings.video_path) as reader, Progress() as progress:
        manifest = begin(settings, run, folder)
        if manifest.complete:
            print(f"{folder}: was there already, nothing to do")
            return
        chunks = run.chunks
        try:
            embedder = (
                ColourEmbedder() if settings.kind == "colour" else learnt(settings, run, reader, folder, progress)
            )
        except NoTrainingPairsError as error:
            if not settings.if_possible:
                raise
            print(f"describe: warning: {error}; birds stay undescribed", file=sys.stderr)
            chunks = []
        progress.stage("describing birds", len(chunks))
        for k, chunk in enumerate(chunks):
            if not (folder / embeddings_file(chunk)).exists():
                part = run.load(chunk)
                rows, vectors = embedder.embed(
                    reader, part, sampled_frames(part.seen, settings.per_second), progress.beat
                )
                write_embeddings(folder, chunk, part.detections.frame[rows], part.detections.detection[rows], vectors)
            progress.update(k + 1)
        manifest.files = {embeddings_file(chunk): finished_file(folder / embeddings_file(chunk)) for chunk in chunks}
        manifest.complete, manifest.finished = True, now()
        manifest.write(folder / MANIFEST)
    print(folder)


def begin(settings: DescribeSettings, run: DetectionsRun, folder: Path) -> Manifest:
    """Return the manifest of the embeddings; InputError if the folder holds others."""
    inputs = {"detections": str(run.folder), "started": run.manifest.started.isoformat()}
    chosen = {"kind": settings.kind, "per_second": settings.per_second}
    if settings.network is not None:
        chosen["network"] = sha256(settings.network / NETWORK)
    elif settings.kind == "learnt":
        chosen |= {"steps": settings.steps, "seed": settings.seed}
    manifest = begin_manifest(folder / MANIFEST, SCRIPT, inputs, chosen, {"detections"})
    foreign = not (folder / MANIFEST).exists() and any(
        (folder / embeddings_file(chunk)).exists() for chunk in run.chunks
    )
    if foreign:
        raise InputError(f"{folder} holds embeddings that this script did not make; choose another with --out")
    manifest.write(folder / MANIFEST)
    return manifest


def learnt(
    settings: DescribeSettings, run: DetectionsRun, reader: VideoReader, folder: Path, progress: Progress
) -> NetworkEmbedder:
    """Return the embedder with the network of --network, else of this video, which is trained unless it was before."""
    if settings.network is not None and not (folder / NETWORK).exists():
        atomic_write(folder / NETWORK, (settings.network / NETWORK).read_bytes())
    device = "cpu" if settings.gpu_id == "cpu" else f"cuda:{settings.gpu_id}"
    return NetworkEmbedder.of_video(
        folder, run, reader, settings.per_second, settings.steps, settings.seed, device, progress
    )


if __name__ == "__main__":
    run_script("describe", main)
