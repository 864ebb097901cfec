"""Show or export what inference or tracking found: a video with birds drawn in, masks, tables for other programs.

    python -m backend.visualize --detections data/inference_output/lek/night-1 --to mp4 --from-frame 0 --to-frame 500
    python -m backend.visualize --detections data/inference_output/lek/night-1 --to coco mot csv yolo masks
    python -m backend.visualize --detections RUN --tracks data/track_output/lek/night-1 --zones zones/lek.json --to mp4

Writes into a folder of its own, by default ``visualize/`` in the run's folder (``visualize-tracks/`` with tracks).
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from backend.detectors.score_threshold import SHOWN_SCORE
from backend.jobs.progress import Progress
from backend.jobs.script import Option, ScriptParser, ScriptSettings, run_script
from backend.pipeline.detections import DetectionsRun, open_detections
from backend.pipeline.export_pictures import write_masks, write_video
from backend.pipeline.export_tables import WRITERS
from backend.pipeline.frame_views import FrameView, frame_views
from backend.project.atomic import remove_temporary
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import Manifest, begin_manifest, finished_file, now, read_manifest
from backend.tracking.tracks.track_folder import open_tracks
from backend.tracking.tracks.video_of_run import open_video_of


class VisualizeSettings(ScriptSettings):
    """What to show. Frames ``[from_frame, to_frame)``, 0-based; ``width`` in px."""

    detections: Path = Field(description="folder of a detections run")
    to: tuple[Literal["mp4", "masks", "coco", "mot", "csv", "yolo"], ...] = Field(
        min_length=1, description="one or more formats"
    )
    tracks: Path | None = Field(default=None, description="folder of a track run made from these detections")
    zones: Path | None = Field(default=None, description="zone file to draw")
    out_dir: Path | None = Field(default=None, description="folder to write to")
    video_path: Path | None = Field(default=None, description="the video, if it was moved since")
    from_frame: Annotated[int, Option(also_called="--frame-start")] = Field(
        default=0, ge=0, description="first frame, counted from 0"
    )
    to_frame: Annotated[int | None, Option(also_called="--frame-end")] = Field(
        default=None, description="frame after the last one; by default to the end"
    )
    score_threshold: float = Field(default=SHOWN_SCORE, ge=0, le=1, description="minimum score of the detections shown")
    width: int | None = Field(
        default=None, ge=64, le=8192, description="width of the video written, px; by default that of the original"
    )


def main(argv: list[str]) -> None:
    """Run the script."""
    settings = ScriptParser("backend.visualize", __doc__).settings(VisualizeSettings, argv)
    run = open_detections(settings.detections.resolve())
    start, end = frame_range(settings, run)
    tracks = None if settings.tracks is None else open_tracks(settings.tracks.resolve())
    folder = out_folder(settings, run)
    with output_lock(folder), Progress() as progress:
        manifest = begin(settings, run, folder)
        remove_temporary(folder)
        total = int(((run.frames().frame >= start) & (run.frames().frame < end)).sum())
        for kind in settings.to:
            progress.stage(f"writing {kind}", total)
            views = frame_views(run, start, end, settings.score_threshold, tracks)
            names = write(kind, folder, counted(views, progress), run, settings)
            manifest.files |= {name: finished_file(folder / name) for name in names}
        manifest.counts = {"frames": total, "files": len(manifest.files)}
        manifest.complete, manifest.finished = True, now()
        manifest.write(folder)
    print(folder)


def frame_range(settings: VisualizeSettings, run: DetectionsRun) -> tuple[int, int]:
    """Return the range to show; InputError if nothing of it was looked at."""
    facts = run.facts
    start, end = settings.from_frame, facts.frame_end if settings.to_frame is None else settings.to_frame
    if not run.chunks:
        raise InputError(f"{run.folder} has no finished chunk yet")
    if not max(start, facts.frame_start) < min(end, facts.frame_end):
        raise InputError(f"frames {start} to {end}: the run looked at {facts.frame_start} to {facts.frame_end}")
    return start, end


def out_folder(settings: VisualizeSettings, run: DetectionsRun) -> Path:
    """Return where to write."""
    name = "visualize" if settings.tracks is None else "visualize-tracks"
    return (settings.out_dir or run.folder / name).resolve()


def begin(settings: VisualizeSettings, run: DetectionsRun, folder: Path) -> Manifest:
    """Return the folder's manifest; InputError if the folder holds something else."""
    inputs = {"detections": str(run.folder), "tracks": str(settings.tracks or ""), "zones": str(settings.zones or "")}
    found = read_manifest(folder)
    for key, path in inputs.items():  # VIDEO/RUN of a project that was moved is the same run
        there = str(found.inputs.get(key, "")) if found is not None else ""
        if Path(there).parts[-2:] == Path(path).parts[-2:]:
            inputs[key] = there
    chosen = settings.model_dump(mode="json", exclude={"detections", "tracks", "zones", "out_dir", "video_path", "to"})
    manifest = begin_manifest(folder, "visualize", inputs, chosen)
    manifest.complete = False
    manifest.write(folder)
    return manifest


def write(
    kind: str, folder: Path, views: Iterable[FrameView], run: DetectionsRun, settings: VisualizeSettings
) -> list[str]:
    """Write one kind of output and return the names of its files."""
    if kind == "masks":
        return write_masks(folder, views, run.facts)
    if kind != "mp4":
        return WRITERS[kind](folder, views, run.facts)
    zones = [] if settings.zones is None else read_zones(settings.zones, run)
    with open_video_of(run, settings.video_path) as reader:
        return write_video(folder, views, run.facts, reader, settings.width, zones)


def counted(views: Iterable[FrameView], progress: Progress) -> Iterator[FrameView]:
    """Pass views on and report each."""
    for done, view in enumerate(views):
        progress.update(done)
        yield view


def read_zones(path: Path, run: DetectionsRun) -> list[np.ndarray]:
    """Return the polygons of a zone file, each (V, 2) px; InputError if it is none or for frames of another size."""
    try:
        content = json.loads(path.read_bytes())
        size = tuple(content["image_size"])
        polygons = [np.asarray(zone["shape"], np.float64).reshape(-1, 2) for zone in content["zones"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no zone file: {type(error).__name__} {error}") from error
    if size != (run.facts.width, run.facts.height):
        raise InputError(
            f"{path} is for frames of {size[0]}x{size[1]} px, the video has {run.facts.width}x{run.facts.height}"
        )
    return polygons


if __name__ == "__main__":
    run_script("visualize", main)
