"""The jobs of the page Correct mistakes: boards, tracking with corrections, outlines, exports, imports."""

from pathlib import Path

from backend.jobs import Job, JobSpec
from backend.jobs.job_states import Slot
from backend.project.errors import InputError
from backend.project.manifest import Manifest
from backend.project.paths import slug
from backend.tracking.tracks.track_folder import track_manifest
from backend.video.library import VideoRecord, get_video
from backend.zones.video_zones import zones_of_video
from gui.widgets.context import active_jobs, project, submit

BOARD = "board"


def title_of(folder: Path) -> str:
    """Return the title of a run's board, by which it is known."""
    return f"Board of {folder.parent.name}, {folder.name}"


def board_job(folder: Path) -> Job | None:
    """Return the running board of a run."""
    return next((job for job in active_jobs(BOARD, folder.parent.name) if job.title == title_of(folder)), None)


def start_board(folder: Path) -> Job:
    """Start the board of a run; InputError if it is running already."""
    if board_job(folder) is not None:
        raise InputError(f"the board of {folder.name} is already open; its link is on this page")
    return submit(
        JobSpec(
            kind=BOARD,
            title=title_of(folder),
            command=("-m", "board", "--tracks", str(folder)),
            project=project().root,
            videos=(folder.parent.name,),
            slot=Slot.NONE,
            service=True,
        )
    )


def track_again(folder: Path) -> Job:
    """Queue tracking of the same detections with the same options and the corrections, as a run of its own."""
    video, manifest = folder.parent.name, track_manifest(folder)
    detections = str(manifest.inputs["detections_run"])
    source = project().inference_output(video, detections)
    if not source.is_dir():
        raise InputError(f"the detections of {folder.name} no longer exist ({source}), so they cannot be tracked again")
    number = 2
    while project().track_output(video, f"{detections}-corrected-{number}").exists():
        number += 1
    output = project().track_output(video, f"{detections}-corrected-{number}")
    command = ("-m", "backend.track", "--detections", str(source), "--run", output.name, *_options(video, manifest))
    return submit(
        JobSpec(
            kind="track",
            title=f"Track {video} again with corrections",
            command=command,
            output=output,
            project=project().root,
            videos=(video,),
        )
    )


def _options(video: str, manifest: Manifest) -> list[str]:
    """Return the options that a track run was made with; the zones are those that the camera has now."""
    settings, options = manifest.settings, []
    for name in ("n_birds", "seed", "camera_motion", "least_probability", "appearance"):
        if settings.get(name) not in (None, ""):
            options += [f"--{name.replace('_', '-')}", str(settings[name])]
    if settings.get("no_appearance"):
        options.append("--no-appearance")
    zones = zones_of_video(project(), get_video(project(), video))
    if manifest.inputs.get("zones") and zones.is_file():
        options += ["--zones", str(zones)]
    return options


def export(folder: Path, formats: list[str]) -> Job:
    """Queue an export of a run's corrected tracks into ``exports/`` of its folder."""
    out = folder / "exports"
    return submit(
        JobSpec(
            kind="export_tracks",
            title=f"Export tracks of {folder.parent.name}, {folder.name}",
            command=("-m", "backend.export_tracks", "--tracks", str(folder), "--out", str(out), "--to", *formats),
            output=out,
            project=project().root,
            videos=(folder.parent.name,),
        )
    )


def hand_back(folder: Path, most: int) -> Job:
    """Queue a job that adds outlines of up to ``most`` frames of a run to the annotation of its video."""
    video = folder.parent.name
    if active_jobs("segannot", video):
        raise InputError(f"{video} is open in SegAnnot; stop it on the Annotation page first")
    return submit(
        JobSpec(
            kind="from_tracks",
            title=f"Outlines of {video} from {folder.name}",
            command=("-m", "segannot.from_tracks", "--tracks", str(folder), "--most", str(most)),
            project=project().root,
            videos=(video,),
        )
    )


def import_tracks(record: VideoRecord, source: Path) -> Job:
    """Queue an import of tracks from another program; the run is named after the file."""
    name = slug(source.stem)
    number = 1
    while (output := project().track_output(record.slug, f"{name}-{number}" if number > 1 else name)).exists():
        number += 1
    command = ("-m", "backend.import_tracks", "--from", str(source), "--video-path", record.path, "--out", str(output))
    return submit(
        JobSpec(
            kind="import_tracks",
            title=f"Import tracks of {record.slug} from {source.name}",
            command=command,
            output=output,
            project=project().root,
            videos=(record.slug,),
        )
    )
