"""Open a board: a track run with its corrections log, video, masks and zones."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.pipeline.detections import DetectionsRun, open_detections
from backend.project.errors import InputError
from backend.project.locks import file_lock
from backend.project.paths import Project
from backend.tracking.review.effects import effects, zone_of_rows
from backend.tracking.tracks.schemas import DOUBT_COLUMNS, DOUBTS, TRACKLET_COLUMNS, TRACKLETS
from backend.tracking.tracks.track_folder import (
    corrections_log,
    open_tracks,
    read_doubts,
    read_tracklets,
    track_manifest,
)
from backend.tracking.tracks.tracks import Tracks
from backend.video.frame_cache import CachedFrames
from backend.video.library import VideoRecord, get_video, open_video
from backend.video.proxies import open_proxy
from backend.web.page_identity import work_id
from backend.zones.video_zones import zones_of_video
from backend.zones.zone_file import Zones, read_zones
from board.anchored_doubts import Doubt, anchor_doubts
from board.clips import DetectionMasks
from board.corrections_log import CorrectionsLog
from board.other_cameras import OtherVideos
from board.session import Session

GIB = 1024**3
OWN_GIB = 0.75  # Python, tracks and decoder; the rest of --memory-gb caches frames
PROXY_SHARE = 0.125  # of that, for the proxy video
OTHERS_SHARE = 0.125  # of that, for other cameras


@dataclass(frozen=True, eq=False)
class Board:
    """Everything that a board displays and changes."""

    name: str
    video: str
    run: str
    work: str  # see `backend.web.page_identity`
    session: Session
    frames: CachedFrames
    proxy: CachedFrames | None  # for jumps and play, where the video has a proxy video
    others: OtherVideos
    masks: DetectionMasks
    zones: Zones | None


@contextmanager
def open_board(project: Project, folder: Path, memory_gb: float = 2.0, threads: int = 2) -> Iterator[Board]:
    """Open the board of a track run of a project; the corrections log stays locked until the block ends.

    Raises
    ------
    InputError
        If the folder is no finished track run of a video of the project, or another board has its corrections open.
    """
    folder = folder.resolve()
    manifest = track_manifest(folder)
    if folder.parent.parent != project.root.resolve() / "track_output":
        raise InputError(f"{folder} is not a track run of the project {project.root}")
    video = folder.parent.name
    log_path = corrections_log(folder, manifest)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(log_path):
        tracks = open_tracks(folder, corrections=False)
        zones = zones_of(project, video)
        session = Session(tracks, read_doubts_of(folder, tracks, zones), CorrectionsLog(log_path))
        record, cache_bytes = get_video(project, video), int((memory_gb - OWN_GIB) * GIB)
        proxy_bytes, others_bytes = int(cache_bytes * PROXY_SHARE), int(cache_bytes * OTHERS_SHARE)
        own_bytes = cache_bytes - proxy_bytes - others_bytes
        frames = CachedFrames(lambda: open_video(project, video, threads=threads), own_bytes)
        proxy = _open_proxy(project, record, len(frames), proxy_bytes)
        others = OtherVideos(project, video, others_bytes)
        masks = DetectionMasks(_detections(project, video, str(manifest.inputs.get("detections_run", ""))))
        try:
            work = work_id("board", folder, manifest.started, record.identity)
            yield Board(record.name, video, folder.name, work, session, frames, proxy, others, masks, zones)
        finally:
            frames.close()
            others.close()
            if proxy is not None:
                proxy.close()
            session.close()


@contextmanager
def _exclusive(log_path: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(log_path.with_suffix(".lock")))
        except BlockingIOError as error:
            raise InputError(f"{log_path} is in use by another board; open that one, or stop it") from error
        yield


def _open_proxy(project: Project, record: VideoRecord, n_frames: int, cache_bytes: int) -> CachedFrames | None:
    reader = open_proxy(project, record, n_frames)
    return None if reader is None else CachedFrames(lambda: reader, cache_bytes)


def read_doubts_of(folder: Path, tracks: Tracks, zones: Zones | None = None) -> tuple[Doubt, ...]:
    """Return the doubts of a run with their effects; () where tracking wrote none."""
    if not (folder / DOUBTS).exists():
        return ()
    table = read_doubts(folder)
    tracklets = read_tracklets(folder) if (folder / TRACKLETS).exists() else TRACKLET_COLUMNS.empty_table()
    effects_s = effects(tracks, table.cast(DOUBT_COLUMNS), None if zones is None else zone_of_rows(tracks, zones))
    return anchor_doubts(table, tracklets, tracks, effects_s)


def zones_of(project: Project, video: str) -> Zones | None:
    """Return the zones of a video's camera, None if none were drawn."""
    path = zones_of_video(project, get_video(project, video))
    return read_zones(path) if path.exists() else None


def _detections(project: Project, video: str, run: str) -> DetectionsRun | None:
    folder = project.root / "inference_output" / video / run
    try:
        return open_detections(folder) if run else None
    except InputError:
        return None  # the tracks were imported, or the detections were deleted


def zone_outlines(zones: Zones | None) -> list[dict[str, Any]]:
    """Return name and corners (px of the frame) of each zone, for the page."""
    return [{"name": zone.name, "shape": zone.polygon.tolist()} for zone in (zones.zones if zones else ())]
