"""Write tracks, with people's corrections applied, in the formats of other programs.

    python -m backend.export_tracks --tracks data/track_output/lek/night-1 --to csv netcdf --out /tmp/night-1
    python -m backend.export_tracks --tracks data/track_output/lek/night-1 --to mot --automatic --out /tmp/uncorrected

Formats: csv, parquet, mot, npy (as from idtracker.ai), netcdf (for movement), coco (with masks), slp and sleap_h5 (for
SLEAP); backend/tracking/io/export.py describes them. What was there is replaced. For pictures see
backend.visualize; tracks of other programs are read by backend.import_tracks.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from backend.jobs.progress import Progress
from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.pipeline.detections import detections_of_tracks
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import Manifest, begin_manifest, finished_file, manifest_path, now, read_manifest, sha256
from backend.project.paths import Project
from backend.tracking.io.export import FORMATS, TracksToExport
from backend.tracking.tracks.schemas import TRACKS
from backend.tracking.tracks.track_folder import corrections_log, open_tracks, track_manifest
from backend.video.library import get_video


class ExportSettings(ScriptSettings):
    """The arguments of this script; the names are the options."""

    tracks: Path = Field(description="folder of a track run")
    to: tuple[Literal["csv", "parquet", "mot", "npy", "netcdf", "coco", "slp", "sleap_h5"], ...] = Field(
        min_length=1, description="one or more formats"
    )
    out: Path = Field(description="folder to write to")
    automatic: bool = Field(default=False, description="without people's corrections")


def main(argv: list[str]) -> None:
    """Run the script."""
    settings = ScriptParser("backend.export_tracks", __doc__).settings(ExportSettings, argv)
    source = track_manifest(settings.tracks)
    if settings.out.resolve() == settings.tracks.resolve():
        raise InputError(f"--out {settings.out} is the run itself; choose another folder")
    exported = found(settings, source)
    log = corrections_log(settings.tracks, source)
    corrected = log.exists() and not settings.automatic
    inputs = {
        "tracks_sha256": sha256(settings.tracks / TRACKS),
        "corrections_sha256": sha256(log) if corrected else None,
    }
    with output_lock(settings.out), Progress() as progress:
        older = read_manifest(settings.out)
        if older is not None and older.script == "export_tracks":
            manifest_path(settings.out).unlink()  # corrections grow: an export is made anew, never mixed
        manifest = begin_manifest(settings.out, "export_tracks", inputs, {"to": sorted(set(settings.to))})
        manifest.write(settings.out)
        progress.stage("writing", len(settings.to), limit_s=1800)  # a long video's CSV has no steps in between
        for done, name in enumerate(settings.to, 1):
            form = FORMATS[name]
            form.write(settings.out / form.file, exported)
            manifest.files[form.file] = finished_file(settings.out / form.file)
            progress.update(done)
        manifest.counts = {"rows": len(exported.tracks), "frames": exported.tracks.n_frames}
        manifest.complete, manifest.finished = True, now()
        manifest.write(settings.out)
    print(settings.out)


def found(settings: ExportSettings, source: Manifest) -> TracksToExport:
    """Return the tracks with what is known of their video; outside of a project that is little."""
    tracks = open_tracks(settings.tracks, corrections=not settings.automatic)
    folder = settings.tracks.resolve()
    video, size = folder.parent.name, (source.settings.get("width"), source.settings.get("height"))
    project = Project(folder.parents[2])
    in_project = folder.parent.parent == project.root / "track_output" and project.video(video).exists()
    record = get_video(project, video) if in_project else None
    if record is not None and record.info is not None:
        size = record.info.size
    path = record.path if record is not None else video
    return TracksToExport(tracks, video, path, None if None in size else size, detections_of_tracks(folder, source))


if __name__ == "__main__":
    run_script("export_tracks", main)
