"""Find and open the video of a detections run."""

from pathlib import Path

from backend.pipeline.detections import DetectionsRun
from backend.project.errors import InputError
from backend.project.paths import Project
from backend.video import VideoReader, load_index
from backend.video.library import list_videos


def open_video_of(run: DetectionsRun, moved_to: Path | None = None) -> VideoReader:
    """Open the video of a detections run, checked by its content identity, size and length.

    It is ``moved_to`` if given, else where the project has it now, else the path at the time of inference.

    Raises
    ------
    InputError
        If there is no such file, or it is another video.
    """
    expected = run.manifest.inputs.get("video_identity")
    path = moved_to or _in_project(run, expected) or Path(run.manifest.inputs.get("video_path", ""))
    if path == Path():
        raise InputError(f"{run.folder} does not say where its video is; say it with --video-path")
    if not path.is_file():
        raise InputError(f"the video {path} is not there; say where it is with --video-path")
    index = load_index(path)
    if expected is not None and index.identity != expected:
        raise InputError(f"{path} is not the video of these detections (its content differs)")
    reader = VideoReader(path, index=index)
    if reader.size != (run.facts.width, run.facts.height) or len(reader) < run.facts.frame_end:
        reader.close()
        raise InputError(f"{path} is not the video of these detections (its size or length differs)")
    return reader


def _in_project(run: DetectionsRun, expected: dict[str, object] | None) -> Path | None:
    """Return the video's path in the project of a run: by content identity, else by slug; None outside of projects."""
    video = run.folder.parent
    if video.parent.name != "inference_output":
        return None
    for record in list_videos(Project(video.parent.parent)):
        is_meant = record.slug == video.name if expected is None else record.identity == expected
        if is_meant and not record.problem:
            return Path(record.path)
    return None
