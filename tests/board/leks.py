"""A rendered lek in a project: detections from its truth, and tracks in which birds were exchanged where they met."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.recording import record
from backend.lek.simulated_run import ORIGIN, detect
from backend.pipeline.detections import open_detections
from backend.project.paths import Project
from backend.tracking.tracks.edits import Anchor
from backend.tracking.tracks.schemas import DOUBT_COLUMNS, TRACKLET_COLUMNS, State
from backend.tracking.tracks.track_folder import open_tracks
from backend.tracking.tracks.tracks import NONE, Tracks, lost_rows, sorted_tracks
from backend.video.library import add_video
from board.anchored_doubts import rows_of
from board.load_board import read_doubts_of
from tests.board.boards import plain_table, write_tracked

RUN = "detections-a"
APART = 15  # frames between two meetings of the same birds


def rendered_project(root: Path, birds: int = 6, seconds: float = 8.0, seed: int = 5, size=(640, 360)) -> Project:
    """Return a project with the video "video", its detections and its tracks "tracks-a"."""
    project = Project(root)
    lek = root.parent / "film"
    record(lek, LekSettings(birds=birds, seconds=seconds, seed=seed, size=size, difficulty=difficulty("hard")))
    film = next(lek.glob("*.mp4"))
    root.mkdir(exist_ok=True)
    video = add_video(project, film, [lek])
    detect(lek, project.inference_output(video, RUN), "none")
    truth = true_tracks(project, video)
    tracks, tracklets, doubts = confused(truth, np.random.default_rng(seed))
    write_tracked(project.track_output(video, "tracks-a"), tracks, tracklets, doubts, RUN)
    return project


def true_tracks(project: Project, video: str) -> Tracks:
    """Return the tracks of a faultless tracker on the detections of `rendered_project`."""
    folder = project.inference_output(video, RUN)
    run = open_detections(folder)
    origin = pq.read_table(folder / ORIGIN).to_pandas()
    found = [part.detections for part in run.without_masks()]
    frame, detection = (np.concatenate([getattr(f, name) for f in found]) for name in ("frame", "detection"))
    bird = origin["bird"].to_numpy().astype(np.int16)
    assert (origin["frame"] == frame).all() and (origin["detection"] == detection).all()
    one = (bird > 0) & (~origin.duplicated(["frame", "bird"])).to_numpy()
    seen = {
        "frame": frame[one], "detection": detection[one], "track_id": bird[one].astype(np.int32),
        "identity": bird[one] - 1, "state": np.full(one.sum(), State.DETECTED, np.int8),
        "p_identity": np.full(one.sum(), 0.9, np.float32), "boxes": np.concatenate([f.boxes for f in found])[one],
    }  # fmt: skip
    frames = run.frames()
    return with_lost(seen, int(bird.max()), frames.frame, frames.time_s)


def wrong_meetings(project: Project, video: str = "video") -> set[int]:
    """Return the numbers of the doubts at which tracking exchanged birds."""
    truth, folder = true_tracks(project, video), project.track_output(video, "tracks-a")
    found = read_doubts_of(folder, open_tracks(folder, corrections=False))

    def birds(anchors: tuple[Anchor, ...]) -> list[int]:
        return truth.identity[rows_of(truth, anchors)].tolist()

    return {doubt.number for doubt in found if [birds(doubt.before)[i] for i in doubt.followed] != birds(doubt.after)}


def wrong_rows(tracks: Tracks, truth: Tracks) -> int:
    """Return the number of sightings that do not have the name of their true bird, or are missing."""
    called = dict(zip(*_sightings(tracks), strict=True))
    return sum(called.get(place) != name for place, name in zip(*_sightings(truth), strict=True))


def _sightings(tracks: Tracks) -> tuple[list[tuple[int, int]], list[str]]:
    rows = np.flatnonzero((tracks.detection != NONE) & (tracks.identity != NONE))
    places = list(zip(tracks.frame[rows].tolist(), tracks.detection[rows].tolist(), strict=True))
    return places, [tracks.names[code] for code in tracks.identity[rows]]


def with_lost(seen: dict[str, np.ndarray], birds: int, frames: np.ndarray, times: np.ndarray) -> Tracks:
    """Return tracks with a lost row wherever a bird is not seen."""
    spans = {code: (int(frames[0]), int(frames[-1])) for code in range(birds)}
    missing = lost_rows(seen, frames, {code: code + 1 for code in range(birds)}, spans)
    rows = {name: np.concatenate([seen[name], missing[name].astype(seen[name].dtype)]) for name in seen}
    names = tuple(f"bird {code + 1:02d}" for code in range(birds))
    return sorted_tracks(**rows, names=names, frames=frames, times=times)


def confused(truth: Tracks, dice: np.random.Generator) -> tuple[Tracks, pa.Table, pa.Table]:
    """Exchange birds in half of their meetings; return tracks, tracklets and a doubt for each meeting."""
    meetings = _meetings(truth)
    birds = len(truth.names)
    wrong = dice.permutation(len(meetings)) % 2 == 0
    name = np.tile(np.arange(birds), (int(truth.frames[-1]) + 1, 1))  # what tracking calls each true bird, by frame
    for (at, a, b), exchanged in zip(meetings, wrong, strict=True):
        if exchanged:
            name[at:, [a, b]] = name[at:, [b, a]]
    kept = truth.state == State.DETECTED
    seen = {each: getattr(truth, each)[kept] for each in ("frame", "detection", "state", "p_identity", "boxes")}
    code = name[seen["frame"], truth.identity[kept]]
    seen |= {"track_id": code.astype(np.int32) + 1, "identity": code.astype(np.int16)}
    tracks = with_lost(seen, birds, truth.frames, truth.times)
    return tracks, *_tables(tracks, [(at, name[at, a] + 1, name[at, b] + 1) for at, a, b in meetings])


def _meetings(truth: Tracks) -> list[tuple[int, int, int]]:
    """Return frame and birds of the moments at which two boxes begin to overlap, both birds being seen around."""
    last: dict[tuple[int, int], int] = {}
    found = []
    for frame in truth.frames[5:-5].tolist():
        rows = np.arange(len(truth))[truth.rows_at(frame)]
        rows = rows[truth.detection[rows] != NONE]
        for i, first in enumerate(rows):
            for second in rows[i + 1 :]:
                a, b = sorted((int(truth.identity[first]), int(truth.identity[second])))
                box, other = truth.boxes[first], truth.boxes[second]
                overlap = (np.minimum(box[2:], other[2:]) > np.maximum(box[:2], other[:2])).all()
                if overlap and frame - last.get((a, b), -APART) >= APART and _seen(truth, frame, a, b):
                    found.append((frame, a, b))
                if overlap:
                    last[a, b] = frame
    return found


def _seen(truth: Tracks, frame: int, *codes: int) -> bool:
    before, after = (truth.identity[truth.rows_at(f)][truth.detection[truth.rows_at(f)] != NONE]
                     for f in (frame - 1, frame))  # fmt: skip
    return all(code in before and code in after for code in codes)


def _tables(tracks: Tracks, meetings: list[tuple[int, int, int]]) -> tuple[pa.Table, pa.Table]:
    starts: dict[int, set[int]] = {track: {0} for track in tracks.track_of_name}
    for at, a, b in meetings:
        starts[a].add(at)
        starts[b].add(at)
    end = int(tracks.frames[-1]) + 1
    tracklets = []
    for track, cuts in starts.items():
        bounds = [*sorted(cuts), end]
        for first, last in zip(bounds, bounds[1:], strict=False):
            tracklets.append((len(tracklets) + 1, track, first, last - 1))
    doubts = []
    for k, (at, a, b) in enumerate(meetings):
        before = [n for track in (a, b) for n, t, _, last in tracklets if t == track and last == at - 1]
        after = [n for track in (a, b) for n, t, first, _ in tracklets if t == track and first == at]
        doubts.append((k + 1, "crossing", at, at, [a, b], before, after, 0.5, end))
    facts = [
        (n, t, f"bird {t:02d}", 0.9, first, last, last - first + 1, 0.9, "crossing", "crossing", None, None)
        for n, t, first, last in tracklets
    ]
    return plain_table(facts, TRACKLET_COLUMNS), plain_table(doubts, DOUBT_COLUMNS)
