"""Statistics of a project: the runs that can be measured, and the finished statistics."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import pandas as pd

from backend.project.errors import InputError
from backend.project.manifest import Manifest, read_manifest
from backend.project.paths import Project
from backend.video.library import VideoRecord, list_videos
from backend.zones.inputs import INFERENCE_OUTPUT, TRACK_OUTPUT
from backend.zones.table_files import ABOUT
from backend.zones.video_zones import zones_of_video

SCRIPTS = {TRACK_OUTPUT: ("track",), INFERENCE_OUTPUT: ("inference", "lek_detector")}


@dataclass(frozen=True)
class Measurable:
    """A finished run on a video of the project. ``has_zones``: zones were drawn for its camera."""

    record: VideoRecord
    folder: Path
    started: datetime
    has_zones: bool


@dataclass(frozen=True)
class StatisticsRun:
    """A finished folder of statistics."""

    folder: Path
    manifest: Manifest

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables in the folder, in the order of `ABOUT`."""
        return tuple(name for name in ABOUT if (self.folder / f"{name}.parquet").is_file())

    def table(self, name: str) -> pd.DataFrame:
        """Read one table; InputError where it is damaged."""
        try:
            return pd.read_parquet(self.folder / f"{name}.parquet")
        except (OSError, ValueError) as error:
            raise InputError(f"{self.folder / name}.parquet cannot be read: {error}") from error


def list_measurable(project: Project, kind: str) -> list[Measurable]:
    """Return the finished runs of ``kind`` (`SCRIPTS`), by video, newest first."""
    measurable = []
    for record in list_videos(project):
        parent = project.root / kind / record.slug
        runs = []
        for folder in parent.iterdir() if parent.is_dir() else ():
            try:
                manifest = read_manifest(folder) if folder.is_dir() else None
            except InputError:
                continue
            if manifest is not None and manifest.complete and manifest.script in SCRIPTS[kind]:
                zones = zones_of_video(project, record)
                runs.append(Measurable(record, folder, manifest.started, zones.exists()))
        measurable += sorted(runs, key=lambda run: run.started, reverse=True)
    return measurable


def statistics_folder(project: Project) -> Path:
    """Return the folder of all statistics."""
    return project.root / "statistics"


def list_statistics(project: Project) -> list[StatisticsRun]:
    """Return the finished statistics, newest first."""
    folder = statistics_folder(project)
    runs = []
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            manifest = read_manifest(path) if path.is_dir() else None
        except InputError:
            continue
        if manifest is not None and manifest.complete and manifest.script == "zone_stats":
            runs.append(StatisticsRun(path, manifest))
    return sorted(runs, key=lambda run: run.manifest.started, reverse=True)
