"""Small tracked videos with doubts, whose truth is known, in a project of their own."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from backend.masks.rle import encode
from backend.pipeline.chunk_tables import AnalysedFrames, Instances, write_chunk
from backend.pipeline.chunks import Chunk
from backend.project.manifest import begin_manifest
from backend.project.paths import Project
from backend.project.settings import Settings, save_settings
from backend.tracking.tracks.schemas import DOUBT_COLUMNS, DOUBTS, TRACKLET_COLUMNS, TRACKLETS, State
from backend.tracking.tracks.track_folder import write_table, write_tracks
from backend.tracking.tracks.tracks import Tracks, lost_rows, sorted_tracks
from backend.video.library import add_video, list_videos
from tests.ports import unused_port
from tests.videos import write_video
from tests.web.servers import Server

SIZE = (160, 96)
N_FRAMES, BIRDS = 60, 3
DETECTIONS_RUN = "detections-a"

# (frame, the two birds that meet, whether tracking exchanged them there)
MEETINGS = ((12, (0, 1), True), (24, (1, 2), False), (36, (0, 2), True), (48, (0, 1), False))


def box_of(bird: int, frame: int) -> tuple[float, float, float, float]:
    """Return the box of a bird: each keeps to a lane and walks right."""
    x, y = 10 + 2 * frame, 6 + 30 * bird
    return (x, y, x + 20, y + 16)


def named_at(frame: int) -> list[int]:
    """Return what tracking calls each true bird in a frame."""
    names = list(range(BIRDS))
    for at, (a, b), wrong in MEETINGS:
        if wrong and frame >= at:
            names[a], names[b] = names[b], names[a]
    return names


def tracked() -> Tracks:
    """Return the automatic tracks: detection ``k`` is true bird ``k``, with the names of `named_at`."""
    frame = np.repeat(np.arange(N_FRAMES, dtype=np.int32), BIRDS)
    bird = np.tile(np.arange(BIRDS, dtype=np.int32), N_FRAMES)
    code = np.array([named_at(int(f))[b] for f, b in zip(frame, bird, strict=True)], np.int16)
    seen = {
        "frame": frame,
        "detection": bird,
        "track_id": code.astype(np.int32) + 1,
        "identity": code,
        "state": np.full(len(frame), State.DETECTED, np.int8),
        "p_identity": np.full(len(frame), 0.9, np.float32),
        "boxes": np.array([box_of(int(b), int(f)) for f, b in zip(frame, bird, strict=True)], np.float32),
    }
    frames = np.arange(N_FRAMES, dtype=np.int32)
    whole = {k: (0, N_FRAMES - 1) for k in range(BIRDS)}
    missing = lost_rows(seen, frames, {k: k + 1 for k in range(BIRDS)}, whole)
    rows = {name: np.concatenate([seen[name], missing[name]]) for name in seen}
    names = tuple(f"bird {k + 1:02d}" for k in range(BIRDS))
    return sorted_tracks(**rows, names=names, frames=frames, times=frames / 25)


def doubt_tables(tracks: Tracks) -> tuple[pa.Table, pa.Table]:
    """Return tracklets and doubts: at each meeting the tracklets of both tracks end and begin anew."""
    cuts: dict[int, list[int]] = {track: [0] for track in range(1, BIRDS + 1)}
    for at, (a, b), _ in MEETINGS:
        for bird in (a, b):
            cuts[named_at(at)[bird] + 1].append(at)
    tracklets, place = [], {}
    for track, starts in cuts.items():
        for first, last in zip(starts, [*(start - 1 for start in starts[1:]), N_FRAMES - 1], strict=True):
            place[track, first] = len(tracklets) + 1
            tracklets.append((len(tracklets) + 1, track, first, last))
    rows = []
    for k, (at, (a, b), _) in enumerate(MEETINGS):
        involved = [named_at(at)[a] + 1, named_at(at)[b] + 1]
        before = [next(n for n, track, _, last in tracklets if track == each and last == at - 1) for each in involved]
        rows.append(
            (k + 1, "crossing", at, at, involved, before, [place[each, at] for each in involved], 0.3, N_FRAMES)
        )
    facts = [
        (n, track, f"bird {track:02d}", 0.9, first, last, last - first + 1, 0.9, "crossing", "crossing", None, None)
        for n, track, first, last in tracklets
    ]
    return plain_table(facts, TRACKLET_COLUMNS), plain_table(rows, DOUBT_COLUMNS)


def plain_table(rows: list[tuple], schema: pa.Schema) -> pa.Table:
    """Return rows as a table of ``schema``."""
    kinds = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in schema]
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in kinds]
    arrays = [pa.array(list(map(_own, column)), kind) for column, kind in zip(columns, kinds, strict=True)]
    return pa.table(arrays, names=schema.names).cast(schema)


def _own(value: Any) -> Any:
    if isinstance(value, list):
        return [int(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def write_tracked(folder: Path, tracks: Tracks, tracklets: pa.Table, doubts: pa.Table, run: str) -> None:
    """Write a finished track run with doubts."""
    folder.mkdir(parents=True)
    write_tracks(folder, tracks)
    write_table(folder / TRACKLETS, tracklets)
    write_table(folder / DOUBTS, doubts)
    manifest = begin_manifest(folder, "track", {"detections_run": run}, {})
    manifest.complete = True
    manifest.write(folder)


def small_project(root: Path) -> Project:
    """Return a project with the video "lek" and its track run "tracks-a"; kept where it is there already."""
    root.mkdir(parents=True, exist_ok=True)
    project = Project(root)
    if list_videos(project):
        return project
    add_video(project, write_video(root / "lek.mp4", N_FRAMES, size=SIZE), [root])
    tracks = tracked()
    write_tracked(project.track_output("lek", "tracks-a"), tracks, *doubt_tables(tracks), DETECTIONS_RUN)
    folder = project.inference_output("lek", DETECTIONS_RUN)
    folder.mkdir(parents=True)
    facts = {
        "video": "lek", "width": SIZE[0], "height": SIZE[1], "fps": 25.0, "frame_start": 0, "frame_end": N_FRAMES,
        "chunk_frames": N_FRAMES, "class_names": ["bird"],
    }  # fmt: skip
    manifest = begin_manifest(folder, "inference", {}, facts)
    codes = []
    for box in tracks.boxes:
        mask = np.zeros(SIZE[::-1], bool)
        x1, y1, x2, y2 = box.astype(int)
        mask[y1:y2, x1:x2] = True
        codes.append(encode(mask))
    n = len(tracks)
    order = np.lexsort((tracks.detection, tracks.frame))
    found = Instances(
        tracks.frame[order], tracks.detection[order], np.ones(n, np.int32), np.full(n, 0.9, np.float32),
        tracks.boxes[order], np.full(n, 320, np.int32), pa.array([codes[k] for k in order], pa.binary()),
    )  # fmt: skip
    per_frame = np.full(N_FRAMES, BIRDS, np.int32)
    write_chunk(folder, Chunk(0, N_FRAMES, 1), AnalysedFrames(tracks.frames, tracks.times, per_frame), found)
    manifest.complete = True
    manifest.write(folder)
    return project


def board_server(project: Project, run: str = "tracks-a", video: str = "lek") -> Server:
    """Return the board of a run, not started yet."""
    state = project.root.parent / "state"
    if not state.exists():
        state.mkdir(mode=0o700)
        save_settings(Settings(project_folder=project.root), state)
    port = unused_port()
    tracks = str(project.track_output(video, run))
    return Server([sys.executable, "-m", "board", "--tracks", tracks, "--port", str(port)], state, port)


def post(server: Server, path: str, **body: Any) -> Any:
    """Send a change on the present version, unless one is given, and return the answer."""
    body = {"version": state_of(server)["version"], **body} if "version" not in body else body
    return server.ask_signed_in("POST", f"/api/{path}", body=json.dumps(body).encode())


def state_of(server: Server) -> dict[str, Any]:
    """Return the board's state."""
    return server.ask_signed_in(path="/api/state").json


def identity_errors(tracks: Tracks) -> int:
    """Return the number of sightings in `tracked` tracks, corrected, that do not have the true name."""
    names = np.array([*tracks.names, "nobody"])[tracks.identity]
    right = np.array([f"bird {k + 1:02d}" for k in tracks.detection])
    return int((names != right).sum())
