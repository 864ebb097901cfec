"""Put a video's pictures, unchanged, into a file that allows exact jumps, and add that file to the project.

    python -m backend.remux --video lek-north

Meant for the transport streams (.ts, .mts) of camcorders and recorders. The new file is
PROJECT/remuxed_videos/VIDEO.mkv; it keeps camera and start time. The old file and its record stay.
"""

from pathlib import Path

from backend.jobs.progress import Progress
from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.project.disk import check_space
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.paths import Project
from backend.project.settings import load_settings
from backend.video.library import add_video, get_video
from backend.video.remux import remux


class RemuxSettings(ScriptSettings):
    """Which video of the project to copy."""

    video: str
    project: Path | None = None


def main(argv: list[str]) -> None:
    """Copy one video; see the module's text."""
    parser = ScriptParser("backend.remux", __doc__)
    parser.add_argument("--video", required=True, help="slug of the video in the project")
    parser.add_argument("--project", type=Path, help="project folder (settings: project_folder)")
    settings = parser.settings(RemuxSettings, argv)
    project = Project(settings.project or load_settings().project_folder)
    record = get_video(project, settings.video)
    source = Path(record.path)
    target = project.root / "remuxed_videos" / f"{record.slug}.mkv"
    with output_lock(target.parent), Progress() as progress:
        if target.exists():
            raise InputError(f"{target} is there already; remove it first to make it again")
        if not source.is_file():
            raise InputError(f"{source} is not there any more")
        check_space(target.parent, source.stat().st_size)
        progress.stage("copying pictures", total=record.info.n_frames if record.info else None)
        remux(source, target, progress.update)
        progress.stage("looking at the copy")
        slug = add_video(project, target, [project.root], camera=record.camera, start_time=record.start_time)
    print(f"{target} is in the project as {slug}")


if __name__ == "__main__":
    run_script("remux", main)
