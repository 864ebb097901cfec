"""Turn tracks of another program into a track run, to be looked at, corrected and counted like our own.

    python -m backend.import_tracks --from tracks.slp --video-path lek.mp4 --out data/track_output/lek/sleap
    python -m backend.import_tracks --from mot.txt --size 2688x1520 --fps 25 --frames 90000 --out /tmp/tracks

Reads MOT text (``frame, track, x, y, w, h, score``, frames from 1; score 0: interpolated), SLEAP labels (.slp) and
SLEAP's analysis HDF5 (.h5), which backend.export_tracks writes, too. Of an animal made of points the box around all
that are visible is taken, wider by --margin-px on each side. Every track becomes a bird of that name; there are no
doubts.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from backend.jobs.progress import Progress
from backend.jobs.script import Option, ScriptParser, run_script
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import begin_manifest, file_identity
from backend.tracking.io.load_detections import ImportSettings, about_video, check_frames_option
from backend.tracking.io.load_tracks import LoadedTracks, check_video, read_mot_tracks, tracks_of, write_loaded_tracks
from backend.tracking.io.sleap import read_analysis, read_slp


class TracksSettings(ImportSettings):
    """The arguments of this script; the names are the options."""

    source: Annotated[Path, Option(name="--from")] = Field(
        description="MOT text (.txt), SLEAP labels (.slp) or analysis HDF5 (.h5)"
    )
    out: Path = Field(description="folder to write, such as track_output/VIDEO/RUN of a project")
    margin_px: float = Field(
        default=10.0, ge=0, le=1000, description="margin around an animal's points on each side of its box, px"
    )


def main(argv: list[str]) -> None:
    """Run the script."""
    settings = ScriptParser("backend.import_tracks", __doc__).settings(TracksSettings, argv)
    about = about_video(settings)
    check_frames_option(settings, about)
    found = read(settings)
    check_video(found, settings.source, about.size, None if about.times is None else len(about.times))
    frames = settings.frames or (len(about.times) if about.times is not None else int(found.frame.max(initial=0)) + 1)
    times = about.times[:frames] if about.times is not None else np.arange(frames) / about.fps
    tracks = tracks_of(found, times, settings.source)
    with output_lock(settings.out), Progress() as progress:
        # the name of detections that nobody has: corrections of these tracks are never mixed with those of others
        inputs = {"detections_run": f"{settings.out.resolve().name}-imported", "source": file_identity(settings.source)}
        width, height = about.size
        facts = {
            "video": about.name,
            "width": width,
            "height": height,
            "fps": about.fps,
            "margin_px": settings.margin_px,
        }
        manifest = begin_manifest(settings.out, "track", inputs, {**facts, "frames": len(times)})
        if manifest.complete:
            print(f"{settings.out}: these tracks are there already, nothing to do")
            return
        manifest.write(settings.out)
        progress.stage("writing", 1, limit_s=1800)
        write_loaded_tracks(settings.out, tracks, manifest)
        progress.update(1)
    if found.left_out:
        print(f"{settings.source}: {found.left_out} instances without a track or a visible point were left out")
    print(f"{settings.out}: {len(tracks.names)} tracks in {tracks.n_frames} frames")


def read(settings: TracksSettings) -> LoadedTracks:
    """Read the file in the format that its name says."""
    kind = settings.source.suffix.lower()
    if not settings.source.is_file():
        raise InputError(f"{settings.source} is not there")
    if kind == ".slp":
        return read_slp(settings.source, (settings.video_path or settings.source).name, settings.margin_px)
    if kind in (".h5", ".hdf5"):
        return read_analysis(settings.source, settings.margin_px)
    if kind in (".txt", ".csv"):
        return read_mot_tracks(settings.source)
    raise InputError(f"{settings.source}: {kind or 'no ending'} is not known; .txt, .slp and .h5 are")


if __name__ == "__main__":
    run_script("import_tracks", main)
