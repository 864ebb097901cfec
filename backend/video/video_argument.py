"""The arguments ``--video`` and ``--project`` of scripts that work on one video of a project."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from backend.jobs.script import ScriptParser, ScriptSettings
from backend.project.paths import Project
from backend.project.settings import load_settings
from backend.video.library import VideoRecord, get_video


class VideoSettings(ScriptSettings):
    """Settings of such a script; the field names are the options."""

    video: str = Field(description="short name of the video in the project")
    project: Path | None = Field(default=None, description="project folder; by default that of the settings")


def parse_video_argument(module: str, description: str | None, argv: Sequence[str]) -> tuple[Project, VideoRecord]:
    """Return the project and the record of the video that ``argv`` names.

    Raises
    ------
    InputError
        If the arguments are not those of `VideoSettings`, or the project has no such video.
    """
    settings = ScriptParser(module, description).settings(VideoSettings, argv)
    project = Project(settings.project or load_settings().project_folder)
    return project, get_video(project, settings.video)
