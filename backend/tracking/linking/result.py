"""Results of linking, and the rows of track files made from them: detections, filled gaps, tracklets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from backend.project.kernels import kernel
from backend.tracking.linking.appearance_model import AppearanceModel
from backend.tracking.linking.gibbs_moves import UNASSIGNED
from backend.tracking.linking.linking_input import LinkingInput, unused_detections
from backend.tracking.tracks.schemas import TRACKLET_COLUMNS, State
from backend.tracking.tracks.track_folder import name_column
from backend.tracking.tracks.tracks import NONE, Tracks, lost_rows, sorted_tracks

MAX_INTERPOLATED_S = 1.0  # longer gaps are not interpolated
MAX_FILLED_S, FILL_ROUNDS = 6.0, 5  # longest gap that is filled with unused detections; passes over all gaps
MAX_DISPLACEMENT = 2.0  # body sizes that a bird may move over a gap
MIN_IOU = 0.2  # of an unused detection with the interpolated box


@dataclass(frozen=True)
class BirdAppearances:
    """Posterior of each bird's embedding: mean (N, D) and covariance (N, D, D)."""

    model: AppearanceModel
    centres: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class LinkingResult:
    """The identities of M segments.

    Attributes
    ----------
    bird
        (M,) int64, of each segment in the best assignment; -1: unassigned.
    samples
        (samples, M) int16, assignments drawn from the posterior.
    p
        (M, N + 1) shares of ``samples`` in which a segment is each bird; the last column: unassigned. Not calibrated.
    appearances
        Of the birds; None without embeddings.
    chain
        (M,) int64, track of each unassigned segment; None: each tracklet is one of its own.
    """

    bird: np.ndarray
    samples: np.ndarray
    p: np.ndarray
    appearances: BirdAppearances | None
    chain: np.ndarray | None = None


@dataclass(frozen=True)
class Identities:
    """The identity of each segment, with names and calibrated probabilities."""

    bird: np.ndarray  # (M,) int64 from 0; -1: unassigned
    p: np.ndarray  # (M,) float64, calibrated probability of the bird
    second: np.ndarray  # (M,) int64, the second most likely bird; -1: none
    p_second: np.ndarray  # (M,) float64
    names: tuple[str, ...]
    chain: np.ndarray | None = None  # (M,) int64, track of an unassigned segment; None: its tracklet

    def only(self, keep: np.ndarray) -> "Identities":
        """Return the identities of the segments ``keep`` (M,) bool alone."""
        chain = None if self.chain is None else self.chain[keep]
        return Identities(self.bird[keep], self.p[keep], self.second[keep], self.p_second[keep], self.names, chain)


def identities_of(
    linked: LinkingResult, names: Sequence[str], calibrate: Callable[[np.ndarray], np.ndarray]
) -> Identities:
    """Return identities with the ``names`` of the birds; ``calibrate`` turns shares of samples into probabilities."""
    m, n = linked.p.shape[0], len(names)
    p = linked.p[:, :n].copy()
    own = np.where(linked.bird >= 0, p[np.arange(m), linked.bird], 0.0)
    assigned = linked.bird >= 0
    p[np.flatnonzero(assigned), linked.bird[assigned]] = -1.0
    second = p.argmax(1) if n else np.full(m, UNASSIGNED)
    p_second = np.maximum(0.0, p[np.arange(m), second]) if n else np.zeros(m)
    p_bird = calibrate(own)
    return Identities(
        bird=linked.bird,
        p=np.where(assigned, p_bird, 0.0),
        second=np.where(p_second > 0, second, UNASSIGNED),
        p_second=np.minimum(p_second, 1 - p_bird),
        names=tuple(names),
        chain=linked.chain,
    )


def tracklet_numbers(inputs: LinkingInput, identities: Identities) -> np.ndarray:
    """Return (M,) int64 from 0, tracklets of the result.

    Neighbouring segments of one tracklet of the online tracker with the same bird, or chain, are one tracklet again.
    """
    owner = identities.bird
    if identities.chain is not None:
        owner = np.where(owner >= 0, owner, len(identities.names) + identities.chain)
    order = np.lexsort((inputs.segments.first, inputs.parent))
    joined = (np.diff(inputs.parent[order]) == 0) & (np.diff(owner[order]) == 0)
    number = np.empty(len(order), np.int64)
    number[order] = np.concatenate([[0], np.cumsum(~joined)]) if len(order) else 0
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)  # sorted by first frame
    return np.argsort(np.argsort(first, kind="stable"), kind="stable")[inverse]


def track_ids(inputs: LinkingInput, identities: Identities) -> np.ndarray:
    """Return (M,) int64 from 1: one track for each bird, then those of unassigned segments."""
    chain = tracklet_numbers(inputs, identities) if identities.chain is None else identities.chain
    return np.where(identities.bird >= 0, identities.bird, len(identities.names) + chain) + 1


def track_rows(inputs: LinkingInput, identities: Identities, whole_video: bool) -> Tracks:
    """Return the rows of ``tracks.parquet``.

    With ``whole_video`` (the number of birds is known) an identity has a row in every frame, else from its first to its
    last detection.
    """
    n = len(identities.names)
    track = track_ids(inputs, identities)
    segment = inputs.sightings.tracklet
    size = np.diff(inputs.sightings.starts)
    order = np.lexsort((-size[segment], inputs.sightings.at, track[segment]))
    repeated = np.zeros(len(segment), bool)
    repeats = (np.diff(track[segment][order]) == 0) & (np.diff(inputs.sightings.at[order]) == 0)
    repeated[order[1:]] = repeats
    seen = ~repeated
    rows = {
        "frame": inputs.sightings.frame[seen],
        "detection": inputs.sightings.detection[seen],
        "track_id": track[segment[seen]].astype(np.int32),
        "identity": identities.bird[segment[seen]].astype(np.int16),
        "state": np.full(int(seen.sum()), State.DETECTED, np.int8),
        "p_identity": np.where(identities.bird >= 0, identities.p, np.nan)[segment[seen]].astype(np.float32),
        "boxes": inputs.sightings.boxes[seen],
    }
    filled = _fill_gaps(inputs, identities, rows)
    rows = {name: np.concatenate([column, filled[name]]) for name, column in rows.items()}
    last = len(inputs.frames) - 1
    ends = (int(inputs.frames[0]), int(inputs.frames[last]))
    spans = {code: ends for code in range(n)} if whole_video else {}
    lost = lost_rows(rows, inputs.frames, {code: code + 1 for code in range(n)}, spans)
    rows = {name: np.concatenate([column, lost[name].astype(column.dtype)]) for name, column in rows.items()}
    timing = {"frames": inputs.frames, "times": inputs.times, "rate": 1 / inputs.frame_s}
    return sorted_tracks(**rows, names=identities.names, **timing)


def _fill_gaps(inputs: LinkingInput, identities: Identities, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return rows for short gaps: unused detections where they overlap the interpolated box, else that box.

    Detections are added in several passes, because each one improves the interpolation.
    """
    detections = inputs.detections
    free = np.flatnonzero(unused_detections(inputs))
    starts = np.searchsorted(detections.at[free], np.arange(len(inputs.frames) + 1))
    boxes = detections.boxes.astype(np.float64)
    used = np.zeros(len(free), bool)
    assigned = np.flatnonzero((rows["identity"] >= 0) | (identities.chain is not None))
    track_boxes = {
        "at": np.searchsorted(inputs.frames, rows["frame"][assigned]),
        "track": rows["track_id"][assigned].astype(np.int64),
        "boxes": rows["boxes"][assigned].astype(np.float64),
        "p": rows["p_identity"][assigned].astype(np.float64),
        "row": np.full(len(assigned), NONE),
    }
    for _ in range(FILL_ROUNDS):
        interpolated = _interpolate(track_boxes, inputs.times, MAX_FILLED_S)
        matched = _match_free(interpolated["at"], interpolated["boxes"], starts, boxes[free], used, MIN_IOU)
        is_detection = np.flatnonzero(matched != NONE)
        used[matched[is_detection]] = True
        new = {name: column[is_detection] for name, column in interpolated.items()}
        new["row"] = free[matched[is_detection]]
        new["boxes"] = boxes[new["row"]]
        track_boxes = {name: np.concatenate([column, new[name]]) for name, column in track_boxes.items()}
        if not len(is_detection):
            break
    interpolated = _interpolate(track_boxes, inputs.times, MAX_INTERPOLATED_S)
    seen = track_boxes["row"] != NONE
    filled = {name: np.concatenate([track_boxes[name][seen], interpolated[name]]) for name in track_boxes}
    is_detection = filled["row"] != NONE
    detection = np.full(len(is_detection), NONE, np.int32)
    detection[is_detection] = detections.detection[filled["row"][is_detection]]
    named = filled["track"] <= len(identities.names)
    return {
        "frame": inputs.frames[filled["at"]].astype(np.int32),
        "detection": detection,
        "track_id": filled["track"].astype(np.int32),
        "identity": np.where(named, filled["track"] - 1, UNASSIGNED).astype(np.int16),
        "state": np.where(is_detection, State.DETECTED, State.INTERPOLATED).astype(np.int8),
        "p_identity": filled["p"].astype(np.float32),
        "boxes": filled["boxes"].astype(np.float32),
    }


def _interpolate(track_boxes: dict[str, np.ndarray], times: np.ndarray, longest_s: float) -> dict[str, np.ndarray]:
    """Return an interpolated box for each frame of a track's short gaps, sorted by frame."""
    order = np.lexsort((track_boxes["at"], track_boxes["track"]))
    at, track, boxes, p = (track_boxes[name][order] for name in ("at", "track", "boxes", "p"))
    seconds = times[at]
    size = np.sqrt(np.maximum(1.0, np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)))
    step = np.abs(np.diff(boxes, axis=0)).max(axis=1, initial=0)
    gaps = (np.diff(track) == 0) & (np.diff(at) > 1) & (np.diff(seconds) <= longest_s)
    gaps &= step <= MAX_DISPLACEMENT * size[:-1]
    before = np.flatnonzero(gaps)
    n = at[before + 1] - at[before] - 1
    before_gap = np.repeat(before, n)
    at_between = at[before_gap] + 1 + np.arange(len(before_gap)) - np.repeat(np.cumsum(n) - n, n)
    share = ((times[at_between] - seconds[before_gap]) / (seconds[before_gap + 1] - seconds[before_gap]))[:, None]
    interpolated = {
        "at": at_between,
        "track": track[before_gap],
        "boxes": (1 - share) * boxes[before_gap] + share * boxes[before_gap + 1],
        "p": np.minimum(p[before_gap], p[before_gap + 1]),
        "row": np.full(len(before_gap), NONE),
    }
    sort = np.argsort(at_between, kind="stable")
    return {name: column[sort] for name, column in interpolated.items()}


@kernel
def _match_free(at, boxes, starts, free_boxes, used, min_iou):
    """Return (n,) the unused detection of each interpolated box (by frame), best IoU first; -1: none."""
    matched = np.full(len(at), NONE)
    used = used.copy()
    first = 0
    while first < len(at):
        last = first
        while last < len(at) and at[last] == at[first]:
            last += 1
        while True:
            top, top_k, top_d = min_iou, NONE, NONE
            for k in range(first, last):
                if matched[k] != NONE:
                    continue
                for d in range(starts[at[k]], starts[at[k] + 1]):
                    if used[d]:
                        continue
                    w = min(boxes[k, 2], free_boxes[d, 2]) - max(boxes[k, 0], free_boxes[d, 0])
                    h = min(boxes[k, 3], free_boxes[d, 3]) - max(boxes[k, 1], free_boxes[d, 1])
                    if w <= 0 or h <= 0:
                        continue
                    area = (boxes[k, 2] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 1])
                    other_area = (free_boxes[d, 2] - free_boxes[d, 0]) * (free_boxes[d, 3] - free_boxes[d, 1])
                    iou = w * h / (area + other_area - w * h)
                    if iou > top:
                        top, top_k, top_d = iou, k, d
            if top_k == NONE:
                break
            matched[top_k] = top_d
            used[top_d] = True
        first = last
    return matched


def tracklet_table(
    inputs: LinkingInput, identities: Identities, begin_reason: np.ndarray, end_reason: np.ndarray
) -> pa.Table:
    """Return `TRACKLET_COLUMNS`; the reasons (M,) are those of `begin_reasons` and `end_reasons`."""
    tracklet = tracklet_numbers(inputs, identities)
    count = int(tracklet.max(initial=-1)) + 1
    order = np.lexsort((inputs.segments.first, tracklet))
    first = order[np.searchsorted(tracklet[order], np.arange(count))]
    last = order[np.searchsorted(tracklet[order], np.arange(count), side="right") - 1]
    seen = np.bincount(tracklet, inputs.segments.n, count)
    score = np.bincount(tracklet, inputs.segments.n * inputs.segments.score, count)
    lowest_p = np.full(count, np.inf)
    np.minimum.at(lowest_p, tracklet, identities.p)
    doubtful = np.lexsort((identities.p, tracklet))[np.searchsorted(np.sort(tracklet), np.arange(count))]
    bird = identities.bird[first]
    assigned = bird >= 0
    second = np.where(assigned, identities.second[doubtful], UNASSIGNED)
    columns = {
        "tracklet": pa.array(np.arange(1, count + 1, dtype=np.int32)),
        "track_id": pa.array(track_ids(inputs, identities)[first].astype(np.int32)),
        "identity": name_column(bird, identities.names),
        "p_identity": pa.array(lowest_p.astype(np.float32), mask=~assigned),
        "first_frame": pa.array(inputs.frames[inputs.segments.first[first]].astype(np.int32)),
        "last_frame": pa.array(inputs.frames[inputs.segments.last[last]].astype(np.int32)),
        "n_detections": pa.array(seen.astype(np.int32)),
        "mean_score": pa.array((score / np.maximum(seen, 1)).astype(np.float32)),
        "begins": pa.array(begin_reason[first].astype(object), pa.string()).dictionary_encode().cast(WORD),
        "ends": pa.array(end_reason[last].astype(object), pa.string()).dictionary_encode().cast(WORD),
        "second_identity": name_column(second, identities.names),
        "p_second": pa.array(identities.p_second[doubtful].astype(np.float32), mask=second < 0),
    }
    return pa.Table.from_arrays([columns[name] for name in TRACKLET_COLUMNS.names], schema=TRACKLET_COLUMNS)


WORD = TRACKLET_COLUMNS.field("begins").type
