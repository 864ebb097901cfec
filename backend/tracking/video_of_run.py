"""The video that a detections run is of."""

from pathlib import Path

from backend.pipeline.detections import DetectionsRun
from backend.project.errors import InputError
from backend.video import VideoReader, load_index


def open_video_of(run: DetectionsRun, moved_to: Path | None = None) -> VideoReader:
    """Open the video that the detections are of, where it was or ``moved_to``.

    Raises
    ------
    InputError
        If it is not there, or another one is.
    """
    path = moved_to or Path(run.manifest.inputs.get("video_path", ""))
    if not path.is_file():
        raise InputError(f"the video {path} is not there; say where it is with --video-path")
    index = load_index(path)
    expected = run.manifest.inputs.get("video_identity")
    if expected is not None and index.identity != expected:
        raise InputError(f"{path} is not the video that was looked at (its content differs)")
    reader = VideoReader(path, index=index)
    if reader.size != (run.facts.width, run.facts.height) or len(reader) < run.facts.frame_end:
        reader.close()
        raise InputError(f"{path} is not the video that was looked at (its size or length differs)")
    return reader
