"""Inputs of zone statistics: a run of tracks or detections, the zones of its camera, and the facts of its video."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from backend.pipeline.detections import DetectionsRun, open_detections
from backend.project.errors import InputError
from backend.project.manifest import read_manifest, sha256
from backend.project.paths import Project
from backend.tracking.tracks.corrections import replay
from backend.tracking.tracks.edits import active_edits, read_log
from backend.tracking.tracks.schemas import FRAMES, TRACKS
from backend.tracking.tracks.track_folder import corrections_log, open_tracks, track_manifest
from backend.video.library import VideoRecord, get_video
from backend.zones.bird_sequences import Recording, recording_from_detections, recording_from_tracks
from backend.zones.settings import StatisticsSettings, VideoFacts
from backend.zones.video_zones import camera_of, zones_of_video
from backend.zones.zone_file import Zones, read_zones, zones_path

MAX_OVERLAP_S = 10.0  # cameras that record in a loop begin a file a little before the last one ends
TRACK_OUTPUT, INFERENCE_OUTPUT = "track_output", "inference_output"


@dataclass(frozen=True)
class Source:
    """One run on one video and its zone file. ``project`` and ``record`` are None outside of a project."""

    folder: Path
    tracked: bool
    video: str
    camera: str
    start_time: datetime | None
    zones_file: Path
    project: Project | None = None
    record: VideoRecord | None = None

    def identity(self) -> dict[str, Any]:
        """Return what the statistics depend on, for the manifest: folders, versions and checksums."""
        log = corrections_log(self.folder, track_manifest(self.folder)) if self.tracked else None
        manifest = read_manifest(self.folder)
        known = manifest.files.get(TRACKS) if manifest else None
        if self.tracked:
            content = known.sha256 if known else sha256(self.folder / TRACKS)
        else:
            content = sha256(self.folder / "manifest.json")  # it lists the checksums of all chunks
        return {
            "video": self.video,
            "folder": str(self.folder),
            "sha256": content,
            "corrections_sha256": sha256(log) if log is not None and log.exists() else None,
            "zones": str(self.zones_file),
            "zones_version": read_zones(self.zones_file).version,
            "zones_sha256": sha256(self.zones_file),
            "start_time": self.start_time.isoformat() if self.start_time else None,
            "video_identity": self.record.identity if self.record else None,
        }


def find_source(
    folder: Path, zones: Path | None, camera: str | None = None, start_time: datetime | None = None
) -> Source:
    """Return the source for a run's folder; camera, start time and zones come from the project unless they are given.

    Raises
    ------
    InputError
        If the folder holds neither tracks nor detections, or no zones are known for its camera.
    """
    folder = folder.resolve()
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(
            f"{folder} holds no tracks and no detections that Lektrack made; choose a track or inference run"
        )
    tracked = manifest.script == "track"
    in_project = folder.parent.parent.name in (TRACK_OUTPUT, INFERENCE_OUTPUT)
    project = Project(folder.parents[2]) if in_project else None
    video = folder.parent.name if in_project else folder.name
    record = get_video(project, video) if project and project.video(video).exists() else None
    name = camera if camera is not None else camera_of(record) if record else video
    if zones is None:
        if project is None:
            raise InputError(f"{folder} is not in a project; name the zone file with --zones FILE")
        own = record is not None and camera is None
        zones = zones_of_video(project, record) if own else zones_path(project, name)
        if not zones.exists():
            raise InputError(f"camera {name!r} has no zones ({zones}); draw them on the Zones page or use --zones FILE")
    start = start_time if start_time is not None else (record.start_time if record else None)
    return Source(folder, tracked, video, name, start, zones.resolve(), project, record)


def refuse_overlaps(sources: Sequence[Source]) -> None:
    """Refuse recordings of one camera that overlap: a start time is wrong, and sums by hour would be, too.

    Raises
    ------
    InputError
        With both videos, their times, and what to do.
    """
    spans: dict[tuple[str, bool], list[tuple[datetime, datetime, str]]] = {}
    for source in sources:
        if source.start_time is not None and source.camera:
            first, last = (timedelta(seconds=second) for second in _observed_range(source))
            span = source.start_time + first, source.start_time + last, source.video
            spans.setdefault((source.camera, source.tracked), []).append(span)
    for (camera, _), recordings in spans.items():
        recordings.sort()
        for (begin, end, video), (later, later_end, other) in itertools.pairwise(recordings):
            if (end - later).total_seconds() > MAX_OVERLAP_S:
                raise InputError(
                    f"recordings of camera {camera} overlap: {video} from {_moment(begin)} to {_moment(end)} and "
                    f"{other} from {_moment(later)} to {_moment(later_end)}; correct a start time or the camera of one "
                    "of them on the Videos page"
                )


def _observed_range(source: Source) -> tuple[float, float]:
    """Return the times in s of the first and the last analysed frame of a run."""
    if source.tracked:
        times = pq.read_table(source.folder / FRAMES, columns=["time_s"])["time_s"].to_numpy()
    else:
        times = open_detections(source.folder).frames().time_s
    return (float(times[0]), float(times[-1])) if len(times) else (0.0, 0.0)


def _moment(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="seconds")


@dataclass(frozen=True, eq=False)
class SourceData:
    """A source in memory. ``masks``: the detections run that the tracks were made from, None where it is not there."""

    recording: Recording
    zones: Zones
    facts: VideoFacts
    masks: DetectionsRun | None


def open_source(source: Source, settings: StatisticsSettings) -> SourceData:
    """Read a source; InputError where it is damaged, or its zones were drawn for frames of another size."""
    zones = read_zones(source.zones_file)
    reviewed, corrections, masks = (), 0, None
    if source.tracked:
        manifest = track_manifest(source.folder)
        acts = read_log(corrections_log(source.folder, manifest))
        replayed = replay(open_tracks(source.folder, corrections=False), acts)
        reviewed, corrections = replayed.reviewed, len(active_edits(acts))
        recording = recording_from_tracks(replayed.tracks)
        masks = _masks_of_tracks(source, manifest.inputs.get("detections_run")) if settings.by == "mask" else None
    else:
        masks = open_detections(source.folder)
        recording = recording_from_detections(masks, settings.score)
    _same_size(source, zones, masks)
    facts = VideoFacts(
        source.video, source.camera, source.start_time, reviewed, corrections, zones.version,
        {"source": "tracks" if source.tracked else "detections", "run": source.folder.name},
    )  # fmt: skip
    return SourceData(recording, zones, facts, masks)


def _masks_of_tracks(source: Source, run: str | None) -> DetectionsRun | None:
    if source.project is None or not run:
        return None
    folder = source.project.inference_output(source.video, run)
    return open_detections(folder) if folder.is_dir() else None


def _same_size(source: Source, zones: Zones, masks: DetectionsRun | None) -> None:
    size = source.record.info.size if source.record and source.record.info else None
    if size is None and masks is not None:
        size = (masks.facts.width, masks.facts.height)
    if size is not None and tuple(size) != tuple(zones.image_size):
        raise InputError(
            f"{source.video} is {size[0]}x{size[1]} px, but {source.zones_file} is for "
            f"{zones.image_size[0]}x{zones.image_size[1]}; draw zones on a frame of this camera"
        )
