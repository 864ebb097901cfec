"""The video that a detections run is of."""

from pathlib import Path

from backend.pipeline.detections import DetectionsRun
from backend.project.errors import InputError
from backend.project.paths import Project
from backend.video import VideoReader, load_index
from backend.video.video_library import list_videos


def open_video_of(run: DetectionsRun, moved_to: Path | None = None) -> VideoReader:
    """Open the video that the detections are of: ``moved_to``, or where the project has it now, or where it was.

    Raises
    ------
    InputError
        If it is not there, or another one is.
    """
    expected = run.manifest.inputs.get("video_identity")
    path = moved_to or _in_project(run, expected) or Path(run.manifest.inputs.get("video_path", ""))
    if path == Path():
        raise InputError(f"{run.folder} does not say where its video is; say it with --video-path")
    if not path.is_file():
        raise InputError(f"the video {path} is not there; say where it is with --video-path")
    index = load_index(path)
    if expected is not None and index.identity != expected:
        raise InputError(f"{path} is not the video that was looked at (its content differs)")
    reader = VideoReader(path, index=index)
    if reader.size != (run.facts.width, run.facts.height) or len(reader) < run.facts.frame_end:
        reader.close()
        raise InputError(f"{path} is not the video that was looked at (its size or length differs)")
    return reader


def _in_project(run: DetectionsRun, expected: dict[str, object] | None) -> Path | None:
    """Return where the project of a run, if it lies in one, has the video: by its content, or else by its slug."""
    video = run.folder.parent
    if video.parent.name != "inference_output":
        return None
    for record in list_videos(Project(video.parent.parent)):
        is_meant = record.slug == video.name if expected is None else record.identity == expected
        if is_meant and not record.problem:
            return Path(record.path)
    return None
