"""The input of linking: tracklets of a detections run, split into segments, with their endpoints and embeddings."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from backend.pipeline.detections import ChunkDetections, DetectionsRun
from backend.project.errors import InputError
from backend.tracking.appearance.store import embeddings_file, read_embeddings
from backend.tracking.linking.appearance_model import Embeddings
from backend.tracking.linking.link_cost import Endpoints
from backend.tracking.linking.motion_model import learn_motion
from backend.tracking.linking.segments import CONTACT_OVERLAP, box_overlaps, split_rows
from backend.tracking.online.association import OnlineTracker, chunk_arrays, default_settings
from backend.tracking.online.track_state import FRAGMENT, AssociationSettings
from backend.tracking.online.tracklets import Sightings, Tracklets, build_tracklets, summarise

MAX_DIMENSIONS = 24  # longer embeddings are reduced to their principal components
# The online tracker without embeddings: ambiguous matches end a tracklet less often, as linking has motion alone, too.
MOTION_ONLY_MARGIN, MOTION_ONLY_LEAST_NEAR = 1.0, 0.0
MIN_EMBEDDINGS = 5  # of a segment; where fewer detections are unoccluded, occluded ones count, too
MAX_OVERLAP_FRAMES = 12  # that an animal may be in two segments at once, at most a quarter of the later segment


@dataclass(frozen=True)
class Detections:
    """Every detection of a run in columns, without masks; sorted by frame."""

    at: np.ndarray  # (N,) int32, index of the frame
    frame: np.ndarray  # (N,) int32
    detection: np.ndarray  # (N,) int32
    boxes: np.ndarray  # (N, 4) float32
    score: np.ndarray  # (N,) float32
    tracklet: np.ndarray  # (N,) int64, of the online tracker; 0: none
    kind: np.ndarray  # (N,) int8
    overlap: np.ndarray  # (N,) float32, share of the box that lies in another box
    embeddings: np.ndarray | None  # (N, D) float32, NaN where unknown
    reduced: bool = False  # whether ``embeddings`` are principal components of longer ones


@dataclass(frozen=True)
class LinkingInput:
    """What linking works on. ``sightings`` and ``segments`` are sorted by segment; segments by first frame."""

    detections: Detections
    rows: np.ndarray  # (S,) int64, row of each sighting in ``detections``
    sightings: Sightings
    segments: Tracklets
    parent: np.ndarray  # (M,) int64, tracklet that a segment was split from
    endpoints: Endpoints
    embeddings: Embeddings | None
    frames: np.ndarray  # (F,) int32
    times: np.ndarray  # (F,) float64 s
    frame_s: float


def linking_input_of(
    run: DetectionsRun,
    appearance: Path | None,
    report: Callable[[int], None] = lambda done: None,
    motion: np.ndarray | None = None,
) -> LinkingInput:
    """Run the online tracker over a detections run chunk by chunk and return the input of linking.

    Parameters
    ----------
    run
        The detections.
    appearance
        Folder of the embeddings (`appearance.store`); None: motion alone.
    report
        Called with the number of frames done.
    motion
        (F, 6) camera motion of each frame (`camera_motion`); None: the camera stands still.

    Raises
    ------
    InputError
        If the run has no finished chunk, or embeddings of one chunk differ in length from those of another.
    """
    frames = run.frames()
    if not len(frames):
        raise InputError(f"{run.folder} has no frames yet; wait until inference has finished a chunk")
    frame_s = float(np.median(np.diff(frames.time_s))) if len(frames) > 1 else 1 / run.facts.fps
    tracker, columns, endings, done = None, [], [], 0
    for part in run:
        if tracker is None:
            widths = part.detections.boxes[:, 2] - part.detections.boxes[:, 0]
            settings = default_settings(run.facts.height, frame_s, widths)
            with_embeddings = appearance is not None and (appearance / embeddings_file(part.chunk)).exists()
            if motion is None:  # camera motion would be mistaken for the animals'
                settings = settings._replace(damping_s=_damping_of(part, settings))
            alone = settings._replace(min_margin=MOTION_ONLY_MARGIN, min_affinity_near=MOTION_ONLY_LEAST_NEAR)
            tracker = OnlineTracker(settings if with_embeddings else alone)
        followed = tracker.update(chunk_arrays(part, None if motion is None else motion[done : done + len(part.seen)]))
        columns.append(_columns(part, followed, done, appearance))
        endings.append(followed.endings)
        done += len(part.seen)
        report(done)
    detections = _concatenated(columns)
    sightings, tracklets = _tracklets(detections, np.concatenate(endings), frames.time_s)
    image_area = run.facts.width * run.facts.height
    return split_tracklets(detections, sightings, tracklets, frames.frame, frames.time_s, frame_s, image_area)


def _tracklets(detections: Detections, endings: np.ndarray, times: np.ndarray) -> tuple[Sightings, Tracklets]:
    columns = (getattr(detections, name) for name in ("at", "frame", "detection", "boxes", "score", "tracklet", "kind"))
    return build_tracklets(*columns, endings, times)


def _damping_of(part: ChunkDetections, settings: AssociationSettings) -> float:
    """Return the damping time, s, learnt from the first chunk's tracklets under the usual settings."""
    followed, times = OnlineTracker(settings).update(chunk_arrays(part)), part.seen.time_s.astype(np.float64)
    sightings, _ = _tracklets(_columns(part, followed, 0, None), followed.endings, times)
    return learn_motion(sightings, times).damping_s


def _columns(part: ChunkDetections, followed, done: int, appearance: Path | None) -> Detections:
    found = part.detections
    at = (done + np.repeat(np.arange(len(part.seen)), part.seen.n)).astype(np.int32)
    embeddings = None if appearance is None else _embeddings_of_chunk(appearance, part)
    overlap = box_overlaps(part.starts, found.boxes).astype(np.float32)
    return Detections(
        at, found.frame, found.detection, found.boxes, found.score, followed.tracklet, followed.kind, overlap,
        embeddings,
    )  # fmt: skip


def _embeddings_of_chunk(folder: Path, part: ChunkDetections) -> np.ndarray | None:
    read = read_embeddings(folder, part.chunk)
    if read is None:
        return None
    frame, detection, vectors = read
    key = part.detections.frame.astype(np.int64) << 32 | part.detections.detection
    wanted = frame.astype(np.int64) << 32 | detection
    rows = np.searchsorted(key, wanted)
    known = np.append(key, -1)[rows] == wanted
    if not known.all():
        raise InputError(f"{folder}: descriptors of {part.chunk} are of other detections; make them again")
    embeddings = np.full((len(key), vectors.shape[1]), np.nan, np.float32)
    embeddings[rows] = vectors
    return embeddings


def _concatenated(columns: list[Detections]) -> Detections:
    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(chunk, name) for chunk in columns])

    sizes = {chunk.embeddings.shape[1] for chunk in columns if chunk.embeddings is not None}
    if len(sizes) > 1:
        raise InputError(f"descriptors differ in length from chunk to chunk ({sorted(sizes)}); make them again")
    embeddings, reduced = None, False
    if sizes:
        size = sizes.pop()
        rows = [
            np.full((len(c.at), size), np.nan, np.float32) if c.embeddings is None else c.embeddings for c in columns
        ]
        embeddings = _principal_components(np.concatenate(rows))
        reduced = size > MAX_DIMENSIONS
    names = ("at", "frame", "detection", "boxes", "score", "tracklet", "kind", "overlap")
    return Detections(*map(column, names), embeddings, reduced)


def _principal_components(x: np.ndarray) -> np.ndarray:
    """Return embeddings (N, D) reduced to at most `MAX_DIMENSIONS` principal components."""
    if x.shape[1] <= MAX_DIMENSIONS:
        return x
    known = np.flatnonzero(np.isfinite(x).all(axis=1))
    sample = x[known[:: max(1, len(known) // 20000)]].astype(np.float64)
    if not len(sample):
        return x[:, :MAX_DIMENSIONS]
    _, _, directions = np.linalg.svd(sample - sample.mean(0), full_matrices=False)
    return x @ directions[:MAX_DIMENSIONS].T.astype(np.float32)


def split_tracklets(
    detections: Detections,
    sightings: Sightings,
    tracklets: Tracklets,
    frames: np.ndarray,
    times: np.ndarray,
    frame_s: float,
    image_area: float,
) -> LinkingInput:
    """Split tracklets into segments and return the input of linking; ``image_area`` in px^2."""
    key = detections.frame.astype(np.int64) << 32 | detections.detection
    rows = np.searchsorted(key, sightings.frame.astype(np.int64) << 32 | sightings.detection)
    motion = learn_motion(sightings, times)
    begins = split_rows(sightings, detections.overlap[rows].astype(np.float64), times[sightings.at])
    order = np.argsort(sightings.at[begins[:-1]], kind="stable")
    n = np.diff(begins)[order]
    picked = np.concatenate([np.zeros(0, np.int64), *(np.arange(begins[k], begins[k + 1]) for k in order)])
    parent = sightings.tracklet[begins[:-1]][order].astype(np.int64)
    of_segments = Sightings(
        np.repeat(np.arange(len(n), dtype=np.int32), n),
        sightings.at[picked],
        sightings.frame[picked],
        sightings.detection[picked],
        sightings.boxes[picked],
        sightings.score[picked],
        np.concatenate([[0], np.cumsum(n)]).astype(np.int64),
    )
    segments = summarise(of_segments, times, tracklets.reason[parent], tracklets.crowd[parent])
    first = segments.first.astype(np.int64)
    endpoints = Endpoints(
        first=first,
        last=segments.last.astype(np.int64),
        overlap_end=first + np.minimum(MAX_OVERLAP_FRAMES, n // 4),
        begin_s=segments.begin_s,
        end_s=segments.end_s,
        begin_xy=segments.begin_xy,
        end_xy=segments.end_xy,
        end_v=segments.end_v,
        size=np.column_stack([segments.begin_size, segments.end_size]),
        zone=np.zeros((len(segments), 2), np.int64),
        zone_area=np.zeros(1),
        before=np.full(len(segments), -1),
        after=np.full(len(segments), -1),
        motion=motion,
        image_area=float(image_area),
    )
    rows = rows[picked]
    embeddings = None if detections.embeddings is None else _used(detections, rows, of_segments, times, frame_s)
    return LinkingInput(detections, rows, of_segments, segments, parent, endpoints, embeddings, frames, times, frame_s)


def select_segments(inputs: LinkingInput, keep: np.ndarray) -> LinkingInput:
    """Return the input of the segments ``keep`` (M,) bool alone, without constraints and embeddings."""
    n = inputs.segments.n[keep]
    of_kept = np.repeat(keep, np.diff(inputs.sightings.starts))
    old = inputs.sightings
    sightings = Sightings(
        np.repeat(np.arange(len(n), dtype=np.int32), n),
        *(column[of_kept] for column in (old.at, old.frame, old.detection, old.boxes, old.score)),
        np.concatenate([[0], np.cumsum(n)]).astype(np.int64),
    )
    segments = Tracklets(*(getattr(inputs.segments, field.name)[keep] for field in fields(Tracklets)))
    whole = {"zone_area", "motion", "image_area"}
    columns = inputs.endpoints._asdict().items()
    endpoints = Endpoints(**{name: value if name in whole else value[keep] for name, value in columns})
    return replace(
        inputs,
        rows=inputs.rows[of_kept],
        sightings=sightings,
        segments=segments,
        parent=inputs.parent[keep],
        endpoints=endpoints._replace(before=np.full(len(n), -1), after=np.full(len(n), -1)),
        embeddings=None,
    )


def _used(
    detections: Detections, rows: np.ndarray, sightings: Sightings, times: np.ndarray, frame_s: float
) -> Embeddings | None:
    """Return the embeddings that are used: of unoccluded detections, or, where a segment has few of these, of all."""
    known = np.isfinite(detections.embeddings[rows]).all(axis=1)
    used = known & (detections.overlap[rows] < CONTACT_OVERLAP)
    m = len(sightings.starts) - 1
    used |= known & (np.bincount(sightings.tracklet[used], minlength=m) < MIN_EMBEDDINGS)[sightings.tracklet]
    if not used.any():
        return None
    kept = np.flatnonzero(used)
    starts = np.searchsorted(sightings.tracklet[kept], np.arange(m + 1))
    x = detections.embeddings[rows[kept]].astype(np.float64)
    segment, seconds = sightings.tracklet[kept].astype(np.int64), times[sightings.at[kept]]
    apart = np.diff(seconds)[np.diff(segment) == 0]
    return Embeddings(x, segment, seconds, starts, float(np.median(apart)) if len(apart) else frame_s)


def unused_detections(inputs: LinkingInput) -> np.ndarray:
    """Return (N,) bool: detections that are in no segment and no second fragment of an animal."""
    unused = inputs.detections.kind != FRAGMENT
    unused[inputs.rows] = False
    return unused
