"""Put a video's pictures, unchanged, into a file that allows exact jumps, and add that file to the project.

    python -m backend.remux --video lek-north

Meant for the transport streams (.ts, .mts) of camcorders and recorders. The new file is
PROJECT/remuxed_videos/VIDEO.mkv; it keeps camera and start time. The old file and its record stay.
"""

from pathlib import Path

from backend.jobs.progress import Progress
from backend.jobs.script import run_script
from backend.project.disk import check_space
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.video.library import add_video
from backend.video.remux import remux
from backend.video.video_argument import parse_video_argument


def main(argv: list[str]) -> None:
    """Copy one video; see the module's text."""
    project, record = parse_video_argument("backend.remux", __doc__, argv)
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
