"""Putting a board together: a track run, its log, its video, its masks and zones."""

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
from backend.video.frame_cache import ShownFrames
from backend.video.library import VideoRecord, get_video, open_video
from backend.video.proxies import open_proxy
from backend.web.page_identity import work_id
from backend.zones.zone_file import Zones, read_zones, zones_path
from board import anchored_doubts as doubts
from board.clips import Masks
from board.corrections_log import CorrectionsLog
from board.other_cameras import OtherVideos
from board.session import Session

GIB = 1024**3
OWN_GIB = 0.75  # Python, tracks and decoder; the rest of what the server may take holds pictures
QUICK_SHARE = 0.125  # of that, for small ones of the video's proxy
OTHERS_SHARE = 0.125  # of that, for other videos beside it


@dataclass(frozen=True, eq=False)
class Board:
    """All that a board shows and changes."""

    name: str
    video: str
    run: str
    work: str  # see `backend.web.page_identity`
    session: Session
    pictures: ShownFrames
    quick: ShownFrames | None  # small pictures for jumps and play, where the video has a proxy
    others: OtherVideos
    masks: Masks
    zones: Zones | None


@contextmanager
def opened_board(project: Project, folder: Path, memory_gb: float = 2.0, threads: int = 2) -> Iterator[Board]:
    """Open the board of a track run of a project; the corrections log is ours until the end.

    Raises
    ------
    InputError
        If the folder holds no finished tracks of a video of the project, or another board has its corrections open.
    """
    folder = folder.resolve()
    manifest = track_manifest(folder)
    if folder.parent.parent != project.root.resolve() / "track_output":
        raise InputError(f"{folder} is not a track run of the project {project.root}")
    video = folder.parent.name
    log_path = corrections_log(folder, manifest)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(log_path):
        tracks = open_tracks(folder, corrections=False)
        zones = zones_of(project, video)
        session = Session(tracks, read_doubts_of(folder, tracks, zones), CorrectionsLog(log_path))
        record, room = get_video(project, video), int((memory_gb - OWN_GIB) * GIB)
        quick_room, others_room = int(room * QUICK_SHARE), int(room * OTHERS_SHARE)
        own_room = room - quick_room - others_room
        pictures = ShownFrames(lambda: open_video(project, video, threads=threads), own_room)
        quick = _quick(project, record, len(pictures), quick_room)
        others = OtherVideos(project, video, others_room)
        masks = Masks(_detections(project, video, str(manifest.inputs.get("detections_run", ""))))
        try:
            work = work_id("board", folder, manifest.started, record.identity)
            yield Board(record.name, video, folder.name, work, session, pictures, quick, others, masks, zones)
        finally:
            pictures.close()
            others.close()
            if quick is not None:
                quick.close()
            session.close()


@contextmanager
def _alone(log_path: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(log_path.with_suffix(".lock")))
        except BlockingIOError as error:
            raise InputError(f"{log_path} is in use by another board; open that one, or stop it") from error
        yield


def _quick(project: Project, record: VideoRecord, n_frames: int, room: int) -> ShownFrames | None:
    reader = open_proxy(project, record, n_frames)
    return None if reader is None else ShownFrames(lambda: reader, room)


def read_doubts_of(folder: Path, tracks: Tracks, zones: Zones | None = None) -> tuple[doubts.Doubt, ...]:
    """Return the doubts of a run with their effects; none where tracking wrote none."""
    if not (folder / DOUBTS).exists():
        return ()
    table = read_doubts(folder)
    tracklets = read_tracklets(folder) if (folder / TRACKLETS).exists() else TRACKLET_COLUMNS.empty_table()
    found = effects(tracks, table.cast(DOUBT_COLUMNS), None if zones is None else zone_of_rows(tracks, zones))
    return doubts.read(table, tracklets, tracks, found)


def zones_of(project: Project, video: str) -> Zones | None:
    """Return the zones of a video's camera, None where none were drawn."""
    path = zones_path(project, get_video(project, video).camera or video)
    return read_zones(path) if path.exists() else None


def _detections(project: Project, video: str, run: str) -> DetectionsRun | None:
    folder = project.root / "inference_output" / video / run
    try:
        return open_detections(folder) if run else None
    except InputError:
        return None  # the tracks were brought from elsewhere, or the detections were deleted


def zone_outlines(zones: Zones | None) -> list[dict[str, Any]]:
    """Return id, name and corners of zones, as the page draws them."""
    return [{"name": zone.name, "shape": zone.polygon.tolist()} for zone in (zones.zones if zones else ())]
