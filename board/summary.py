"""Progress of the review of a track run, read without opening its board."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.project.errors import InputError
from backend.project.paths import Project
from backend.tracking.tracks.corrections import Replay
from backend.tracking.tracks.edits import active_edits, read_log
from backend.tracking.tracks.track_folder import corrections_log, open_tracks, track_manifest
from board.load_board import read_doubts_of, zones_of
from board.session import View, agreement, audit, reviewed_share


@dataclass(frozen=True)
class Review:
    """Progress of the review of a run. ``problems``: corrections that do not apply to these tracks, a line each."""

    doubts: int
    open: int
    corrections: int
    reviewed: float  # share of frames, 0 to 1
    audit: dict[str, Any]
    agreement: dict[str, Any]
    problems: tuple[str, ...]


def tracked_runs(project: Project, video: str) -> list[Path]:
    """Return the folders of the finished track runs of a video, newest first."""
    parent = project.track_output(video, "run").parent
    folders = [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    return sorted(filter(_is_finished, folders), key=lambda path: path.stat().st_mtime, reverse=True)


def log_of(folder: Path) -> Path:
    """Return the path of a run's corrections log; the file need not exist."""
    return corrections_log(folder, track_manifest(folder))


def review_of(project: Project, folder: Path) -> Review:
    """Read a run and its corrections; InputError if one of them is damaged."""
    tracks, acts = open_tracks(folder, corrections=False), read_log(log_of(folder))
    replaying = Replay(tracks)
    for act in active_edits(acts):
        replaying.apply(act)
    doubts = read_doubts_of(folder, tracks, zones_of(project, folder.parent.name))
    view = View(acts, replaying, {doubt.number: doubt for doubt in doubts})
    return Review(
        doubts=len(doubts), open=len(view.open), corrections=len(view.active_acts), reviewed=reviewed_share(view),
        audit=audit(view), agreement=agreement(view),
        problems=tuple(f"act {number}: {why}" for number, why in view.problems.items()),
    )  # fmt: skip


def _is_finished(folder: Path) -> bool:
    try:
        track_manifest(folder)
    except InputError:
        return False
    return True
