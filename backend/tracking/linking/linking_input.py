"""Stage 1 over a whole detections run, and what stage 2 needs of it: sightings, parts of tracklets, descriptors."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from backend.pipeline.detections import ChunkDetections, DetectionsRun
from backend.project.errors import InputError
from backend.tracking.appearance.store import embeddings_file, read_embeddings
from backend.tracking.linking.appearance_model import Look
from backend.tracking.linking.learn_motion import learn_ways
from backend.tracking.linking.motion_model import Ends
from backend.tracking.linking.segments import CONTACT, cut, hidden_shares
from backend.tracking.online.association import OnlineTracker, chunk_arrays, default_settings
from backend.tracking.online.track_state import FRAGMENT, AssociationSettings
from backend.tracking.online.tracklets import Sightings, Tracklets, build_tracklets, summarise

MOST_NUMBERS = 24  # a longer descriptor is reduced to its main directions
ALONE_MARGIN, ALONE_NEAR = 1.0, 0.0  # of stage 1 without descriptors: what it leaves in doubt, motion alone decides
LEAST_LOOKS = 5  # of a part; where it has fewer in full sight, hidden ones count, too
CORE_FRAMES = 12  # a bird may be in two parts at once for so many frames, at most a quarter of the later part


@dataclass(frozen=True)
class Detections:
    """Every detection of a run in columns, without masks; sorted by frame. ``at`` is the index of the frame."""

    at: np.ndarray  # (N,) int32
    frame: np.ndarray  # (N,) int32
    detection: np.ndarray  # (N,) int32
    boxes: np.ndarray  # (N, 4) float32
    score: np.ndarray  # (N,) float32
    tracklet: np.ndarray  # (N,) int64, of stage 1; 0: none
    kind: np.ndarray  # (N,) int8
    hidden: np.ndarray  # (N,) float32, share of the box in other boxes
    x: np.ndarray | None  # (N, D) float32 descriptors, NaN where unknown
    turned: bool = False  # whether ``x`` are the main directions of longer ones


@dataclass(frozen=True)
class Gathered:
    """What stage 2 works on. ``sightings`` and ``parts`` are tracklets cut in contacts, by first frame."""

    detections: Detections
    rows: np.ndarray  # (S,) int64, row of each sighting in ``detections``
    sightings: Sightings
    parts: Tracklets
    parent: np.ndarray  # (M,) int64, tracklet that a part was cut from
    ends: Ends
    look: Look | None
    frames: np.ndarray  # (F,) int32
    times: np.ndarray  # (F,) float64
    frame_s: float


def gather_run(
    run: DetectionsRun,
    appearance: Path | None,
    report: Callable[[int], None] = lambda done: None,
    motion: np.ndarray | None = None,
) -> Gathered:
    """Follow the birds of a run chunk by chunk (stage 1) and return what stage 2 works on.

    ``appearance`` is the folder with the descriptors (`appearance_files`), None to go by motion alone; ``report`` is
    told the frames that are done; ``motion`` (F, 6) is what the camera did (`camera_motion`), None: it stood still.

    Raises
    ------
    InputError
        If the run has no finished chunk, or descriptors of one chunk differ in length from those of another.
    """
    frames = run.frames()
    if not len(frames):
        raise InputError(f"{run.folder} has no frames yet; wait until inference has finished a chunk")
    frame_s = float(np.median(np.diff(frames.time_s))) if len(frames) > 1 else 1 / run.facts.fps
    tracker, columns, endings, done = None, [], [], 0
    for part in run:
        if tracker is None:
            widths = part.found.boxes[:, 2] - part.found.boxes[:, 0]
            settings = default_settings(run.facts.height, frame_s, widths)
            described = appearance is not None and (appearance / embeddings_file(part.chunk)).exists()
            if motion is None:  # what moves with the camera does not tell how birds do
                settings = settings._replace(damping_s=_damping_of(part, settings))
            tracker = OnlineTracker(
                settings if described else settings._replace(min_margin=ALONE_MARGIN, min_affinity_near=ALONE_NEAR)
            )
        followed = tracker.update(chunk_arrays(part, None if motion is None else motion[done : done + len(part.seen)]))
        columns.append(_columns(part, followed, done, appearance))
        endings.append(followed.endings)
        done += len(part.seen)
        report(done)
    found = _joined(columns)
    sightings, tracklets = build_tracklets(
        found.at, found.frame, found.detection, found.boxes, found.score, found.tracklet, found.kind,
        np.concatenate(endings), frames.time_s,
    )  # fmt: skip
    room = run.facts.width * run.facts.height
    return make_parts(found, sightings, tracklets, frames.frame, frames.time_s, frame_s, room)


def _damping_of(part: ChunkDetections, settings: AssociationSettings) -> float:
    """Return in which time velocities die away, from the tracklets of the first chunk, followed with usual settings."""
    followed, times = OnlineTracker(settings).update(chunk_arrays(part)), part.seen.time_s.astype(np.float64)
    found = _columns(part, followed, 0, None)
    sightings, _ = build_tracklets(
        found.at, found.frame, found.detection, found.boxes, found.score, found.tracklet, found.kind,
        followed.endings, times,
    )  # fmt: skip
    return learn_ways(sightings, times).damping_s


def _columns(part: ChunkDetections, followed, done: int, appearance: Path | None) -> Detections:
    found = part.found
    at = (done + np.repeat(np.arange(len(part.seen)), part.seen.n)).astype(np.int32)
    x = None if appearance is None else _descriptors(appearance, part)
    hidden = hidden_shares(part.starts, found.boxes).astype(np.float32)
    return Detections(
        at, found.frame, found.detection, found.boxes, found.score, followed.tracklet, followed.kind, hidden, x
    )


def _descriptors(folder: Path, part: ChunkDetections) -> np.ndarray | None:
    read = read_embeddings(folder, part.chunk)
    if read is None:
        return None
    frame, detection, vectors = read
    key = part.found.frame.astype(np.int64) << 32 | part.found.detection
    wanted = frame.astype(np.int64) << 32 | detection
    place = np.searchsorted(key, wanted)
    known = np.append(key, -1)[place] == wanted
    if not known.all():
        raise InputError(f"{folder}: descriptors of {part.chunk} are of other detections; make them again")
    x = np.full((len(key), vectors.shape[1]), np.nan, np.float32)
    x[place] = vectors
    return x


def _joined(columns: list[Detections]) -> Detections:
    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(each, name) for each in columns])

    sizes = {each.x.shape[1] for each in columns if each.x is not None}
    if len(sizes) > 1:
        raise InputError(f"descriptors differ in length from chunk to chunk ({sorted(sizes)}); make them again")
    x, turned = None, False
    if sizes:
        size = sizes.pop()
        x = np.concatenate([np.full((len(c.at), size), np.nan, np.float32) if c.x is None else c.x for c in columns])
        x = _main_directions(x)
        turned = size > MOST_NUMBERS
    names = ("at", "frame", "detection", "boxes", "score", "tracklet", "kind", "hidden")
    return Detections(*map(column, names), x, turned)


def _main_directions(x: np.ndarray) -> np.ndarray:
    """Return descriptors of at most `MOST_NUMBERS` numbers."""
    if x.shape[1] <= MOST_NUMBERS:
        return x
    known = np.flatnonzero(np.isfinite(x).all(axis=1))
    some = x[known[:: max(1, len(known) // 20000)]].astype(np.float64)
    if not len(some):
        return x[:, :MOST_NUMBERS]
    _, _, directions = np.linalg.svd(some - some.mean(0), full_matrices=False)
    return x @ directions[:MOST_NUMBERS].T.astype(np.float32)


def make_parts(
    found: Detections,
    sightings: Sightings,
    tracklets: Tracklets,
    frames: np.ndarray,
    times: np.ndarray,
    frame_s: float,
    room: float,
) -> Gathered:
    """Cut tracklets in contacts and describe the parts; ``room`` is the picture's area, px^2."""
    key = found.frame.astype(np.int64) << 32 | found.detection
    rows = np.searchsorted(key, sightings.frame.astype(np.int64) << 32 | sightings.detection)
    ways = learn_ways(sightings, times)
    begins = cut(sightings, found.hidden[rows].astype(np.float64), times[sightings.at])
    order = np.argsort(sightings.at[begins[:-1]], kind="stable")
    n = np.diff(begins)[order]
    picked = np.concatenate([np.zeros(0, np.int64), *(np.arange(begins[k], begins[k + 1]) for k in order)])
    parent = sightings.tracklet[begins[:-1]][order].astype(np.int64)
    cuts = Sightings(
        np.repeat(np.arange(len(n), dtype=np.int32), n),
        sightings.at[picked],
        sightings.frame[picked],
        sightings.detection[picked],
        sightings.boxes[picked],
        sightings.score[picked],
        np.concatenate([[0], np.cumsum(n)]).astype(np.int64),
    )
    parts = summarise(cuts, times, tracklets.reason[parent], tracklets.crowd[parent])
    first = parts.first.astype(np.int64)
    ends = Ends(
        first=first,
        last=parts.last.astype(np.int64),
        core=first + np.minimum(CORE_FRAMES, n // 4),
        begin_s=parts.begin_s,
        end_s=parts.end_s,
        begin_xy=parts.begin_xy,
        end_xy=parts.end_xy,
        end_v=parts.end_v,
        size=np.column_stack([parts.begin_size, parts.end_size]),
        zone=np.zeros((len(parts), 2), np.int64),
        zone_room=np.zeros(1),
        before=np.full(len(parts), -1),
        after=np.full(len(parts), -1),
        ways=ways,
        room=float(room),
    )
    rows = rows[picked]
    look = None if found.x is None else _look(found, rows, cuts, times, frame_s)
    return Gathered(found, rows, cuts, parts, parent, ends, look, frames, times, frame_s)


def only_parts(gathered: Gathered, keep: np.ndarray) -> Gathered:
    """Return the same without the parts that are not in ``keep`` (M,) bool; what people said of them is not kept."""
    n = gathered.parts.n[keep]
    of_kept = np.repeat(keep, np.diff(gathered.sightings.starts))
    old = gathered.sightings
    sightings = Sightings(
        np.repeat(np.arange(len(n), dtype=np.int32), n),
        *(column[of_kept] for column in (old.at, old.frame, old.detection, old.boxes, old.score)),
        np.concatenate([[0], np.cumsum(n)]).astype(np.int64),
    )
    parts = Tracklets(*(getattr(gathered.parts, field.name)[keep] for field in fields(Tracklets)))
    whole = {"zone_room", "ways", "room"}
    ends = Ends(**{name: value if name in whole else value[keep] for name, value in gathered.ends._asdict().items()})
    ends = ends._replace(before=np.full(len(n), -1), after=np.full(len(n), -1))
    parent = gathered.parent[keep]
    return replace(gathered, rows=gathered.rows[of_kept], sightings=sightings, parts=parts, parent=parent, ends=ends,
                   look=None)  # fmt: skip


def _look(found: Detections, rows: np.ndarray, sightings: Sightings, times: np.ndarray, frame_s: float) -> Look | None:
    """Return the descriptors that are used: of birds in full sight, or, where there are few of these, of all."""
    known = np.isfinite(found.x[rows]).all(axis=1)
    used = known & (found.hidden[rows] < CONTACT)
    m = len(sightings.starts) - 1
    used |= known & (np.bincount(sightings.tracklet[used], minlength=m) < LEAST_LOOKS)[sightings.tracklet]
    if not used.any():
        return None
    kept = np.flatnonzero(used)
    starts = np.searchsorted(sightings.tracklet[kept], np.arange(m + 1))
    x = found.x[rows[kept]].astype(np.float64)
    tracklet, seconds = sightings.tracklet[kept].astype(np.int64), times[sightings.at[kept]]
    apart = np.diff(seconds)[np.diff(tracklet) == 0]
    return Look(x, tracklet, seconds, starts, float(np.median(apart)) if len(apart) else frame_s)


def free_rows(gathered: Gathered) -> np.ndarray:
    """Return (N,) bool: detections that are in no part and are no second piece of a bird."""
    free = gathered.detections.kind != FRAGMENT
    free[gathered.rows] = False
    return free
