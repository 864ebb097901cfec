"""Measure tracks against truth: HOTA, IDF1, switches, corrections people would have to make, calibration.

    python -m backend.evaluate_tracking --truth /tmp/lek --tracks data/track_output/lek/night-1 --out /tmp/figures
    python -m backend.evaluate_tracking --truth gt/gt.txt --tracks ours.txt --fps 25 --out /tmp/figures

The truth is a folder of backend.simulate, its truth.parquet, or MOT text; tracks are a folder of backend.track or MOT
text. With --detections, the run that was tracked, masks are measured, too. docs/rooms/tracking.md says what each
figure means.
"""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from backend.jobs.progress import Progress
from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import begin_manifest, file_identity, finished_file, now
from backend.tracking.evaluation.correspondence import Correspondence, compare, matches, read_tracks, read_truth
from backend.tracking.evaluation.metrics import calibration, doubt_recall, tracking_metrics
from backend.tracking.evaluation.report import table_text, write_report
from backend.tracking.evaluation.simulated_reviewer import lasting_matches, review, review_doubts
from backend.tracking.tracks.schemas import DOUBTS, TRACKS
from backend.tracking.tracks.track_folder import read_doubts

DEFAULT_FPS = 25.0


class EvaluateSettings(ScriptSettings):
    """The arguments of this script; the names are the options."""

    truth: Path = Field(description="folder of backend.simulate, truth.parquet, or MOT text")
    tracks: Path = Field(description="folder of backend.track, or MOT text")
    out: Path = Field(description="folder to write to")
    detections: Path | None = Field(default=None, description="the run that was tracked, to evaluate masks, too")
    corrected: bool = Field(default=False, description="with people's corrections instead of the automatic result")
    fps: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description=f"frames per second, for MOT text ({DEFAULT_FPS:g})"
    )


def main(argv: list[str]) -> None:
    """Run the script."""
    settings = ScriptParser("backend.evaluate_tracking", __doc__).settings(EvaluateSettings, argv)
    with output_lock(settings.out), Progress() as progress:
        chosen = {"corrected": settings.corrected, "fps": settings.fps}
        manifest = begin_manifest(settings.out, "evaluate_tracking", inputs(settings), chosen)
        manifest.complete = False
        manifest.write(settings.out)
        figures = evaluate(settings, progress)
        names = write_report(settings.out, figures)
        manifest.files = {name: finished_file(settings.out / name) for name in names}
        manifest.complete, manifest.finished = True, now()
        manifest.write(settings.out)
    print(table_text(figures))
    print(settings.out)


def inputs(settings: EvaluateSettings) -> dict[str, Any]:
    """Return what was measured against what."""
    tracks = settings.tracks / TRACKS if settings.tracks.is_dir() else settings.tracks
    for path in (settings.truth, tracks):
        if not path.exists():
            raise InputError(f"{path} is not there")
    return {"truth": str(settings.truth), "tracks": file_identity(tracks), "detections": str(settings.detections or "")}


def evaluate(settings: EvaluateSettings, progress: Progress) -> dict[str, Any]:
    """Return all figures."""
    kinds = ("boxes",) if settings.detections is None else ("boxes", "masks")
    figures: dict[str, Any] = {"truth": str(settings.truth), "tracks": str(settings.tracks)}
    progress.stage("measuring", len(kinds))
    for k, kind in enumerate(kinds):
        correspondence = side_by_side(settings, kind == "masks")
        figures |= {"frames": len(correspondence.frames), "fps": correspondence.fps}
        figures[kind] = tracking_metrics(correspondence)
        if kind == "boxes":
            figures |= what_is_wrong(settings, correspondence)
        progress.update(k + 1)
    return figures


def side_by_side(settings: EvaluateSettings, masks: bool) -> Correspondence:
    """Read truth and tracks of the frames that both have."""
    truth = read_truth(settings.truth, masks)
    tracks, frames, fps = read_tracks(settings.tracks, settings.detections if masks else None, settings.corrected)
    if not settings.tracks.is_dir():
        frames = np.arange(1 + max(truth.frame.max(initial=-1), frames.max(initial=-1)), dtype=np.int32)
    if not len(truth) or not np.isin(truth.frame, frames).any():
        raise InputError(f"{settings.truth} says nothing of the frames in {settings.tracks}")
    return compare(truth, tracks, frames, settings.fps or fps or DEFAULT_FPS, masks)


def what_is_wrong(settings: EvaluateSettings, correspondence: Correspondence) -> dict[str, Any]:
    """Return what a reviewer would have to do, and how far probabilities can be believed."""
    truth_rows, track_rows = matches(correspondence)
    at, bird, tracks, track = lasting_matches(correspondence, truth_rows, track_rows)
    found = {"review": review(at, bird, track, len(correspondence.frames))}
    if settings.tracks.is_dir() and (settings.tracks / DOUBTS).is_file():
        doubts = read_doubts(settings.tracks)
        found["review"] |= review_doubts(at, bird, track, tracks, doubts, correspondence.frames, correspondence.fps)
        found["review"] |= doubt_recall(correspondence, truth_rows, track_rows, doubts)
    return {**found, "calibration": calibration(correspondence, truth_rows, track_rows)}


if __name__ == "__main__":
    run_script("evaluate_tracking", main)
