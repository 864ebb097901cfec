"""From who is who to track files: rows, gaps filled where that is safe, tracklets and doubts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from backend.project.kernels import kernel
from backend.tracking.linking.gibbs_moves import NOBODY
from backend.tracking.linking.link import Linked
from backend.tracking.linking.linking_input import Gathered, free_rows
from backend.tracking.tracks.schemas import TRACKLET_COLUMNS, State
from backend.tracking.tracks.track_folder import name_column
from backend.tracking.tracks.tracks import NONE, Tracks, lost_rows, sorted_tracks

INTERPOLATE_S = 1.0  # longer gaps stay open
FILL_S, TURNS = 6.0, 5  # gaps in which detections that nobody has are looked for, and how often
FAR = 2.0  # body sizes that a bird may have gone meanwhile
TAKEN_IOU = 0.2  # with a guessed box: then a detection that nobody has is the bird


@dataclass(frozen=True)
class Assigned:
    """Who is who with names and calibrated probabilities; the bird of each part counts from 0, -1: not told apart."""

    bird: np.ndarray  # (M,) int64
    p: np.ndarray  # (M,) float64, that the bird is right
    second: np.ndarray  # (M,) int64, the next likely bird, -1: none
    p_second: np.ndarray  # (M,) float64
    names: tuple[str, ...]
    chain: np.ndarray | None = None  # (M,) int64, track of a part that is nobody's; None: its tracklet

    def only(self, keep: np.ndarray) -> "Assigned":
        """Return the same of the parts in ``keep`` (M,) bool."""
        chain = None if self.chain is None else self.chain[keep]
        return Assigned(self.bird[keep], self.p[keep], self.second[keep], self.p_second[keep], self.names, chain)


def assigned(linked: Linked, names: Sequence[str], calibrate) -> Assigned:
    """Return names and probabilities. ``calibrate`` turns shares of samples into probabilities."""
    m, n = linked.p.shape[0], len(names)
    p = linked.p[:, :n].copy()
    own = np.where(linked.bird >= 0, p[np.arange(m), linked.bird], 0.0)
    told = linked.bird >= 0
    p[np.flatnonzero(told), linked.bird[told]] = -1.0
    second = p.argmax(1) if n else np.full(m, NOBODY)
    p_second = np.maximum(0.0, p[np.arange(m), second]) if n else np.zeros(m)
    raw = calibrate(own)
    return Assigned(
        linked.bird, np.where(told, raw, 0.0), np.where(p_second > 0, second, NOBODY), np.minimum(p_second, 1 - raw),
        tuple(names), linked.chain,
    )  # fmt: skip


def tracklet_of(gathered: Gathered, who: Assigned) -> np.ndarray:
    """Return (M,) int64 from 0: neighbouring parts of one tracklet with one bird, or chain, are a tracklet again."""
    whose = who.bird if who.chain is None else np.where(who.bird >= 0, who.bird, len(who.names) + who.chain)
    order = np.lexsort((gathered.parts.first, gathered.parent))
    same = (np.diff(gathered.parent[order]) == 0) & (np.diff(whose[order]) == 0)
    number = np.empty(len(order), np.int64)
    number[order] = np.concatenate([[0], np.cumsum(~same)]) if len(order) else 0
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)  # parts are sorted by first frame
    return np.argsort(np.argsort(first, kind="stable"), kind="stable")[inverse]


def track_of(gathered: Gathered, who: Assigned) -> np.ndarray:
    """Return (M,) int64 from 1: one track a bird, then those that are nobody's."""
    chain = tracklet_of(gathered, who) if who.chain is None else who.chain
    return np.where(who.bird >= 0, who.bird, len(who.names) + chain) + 1


def track_rows(gathered: Gathered, who: Assigned, whole_video: bool) -> Tracks:
    """Return the rows of ``tracks.parquet``.

    With ``whole_video`` an identity has a row in every frame (the number of birds is known), else from its first to
    its last sighting.
    """
    n = len(who.names)
    track = track_of(gathered, who)
    part = gathered.sightings.tracklet
    size = np.diff(gathered.sightings.starts)
    order = np.lexsort((-size[part], gathered.sightings.at, track[part]))
    twice = np.zeros(len(part), bool)
    again = (np.diff(track[part][order]) == 0) & (np.diff(gathered.sightings.at[order]) == 0)
    twice[order[1:]] = again
    seen = ~twice
    rows = {
        "frame": gathered.sightings.frame[seen],
        "detection": gathered.sightings.detection[seen],
        "track_id": track[part[seen]].astype(np.int32),
        "identity": who.bird[part[seen]].astype(np.int16),
        "state": np.full(int(seen.sum()), State.DETECTED, np.int8),
        "p_identity": np.where(who.bird >= 0, who.p, np.nan)[part[seen]].astype(np.float32),
        "boxes": gathered.sightings.boxes[seen],
    }
    filled = _fill(gathered, who, rows)
    rows = {name: np.concatenate([column, filled[name]]) for name, column in rows.items()}
    last = len(gathered.frames) - 1
    ends = (int(gathered.frames[0]), int(gathered.frames[last]))
    spans = {code: ends for code in range(n)} if whole_video else {}
    lost = lost_rows(rows, gathered.frames, {code: code + 1 for code in range(n)}, spans)
    rows = {name: np.concatenate([column, lost[name].astype(column.dtype)]) for name, column in rows.items()}
    about = {"frames": gathered.frames, "times": gathered.times, "rate": 1 / gathered.frame_s}
    return sorted_tracks(**rows, names=who.names, **about)


def _fill(gathered: Gathered, who: Assigned, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return rows for short gaps: detections that nobody has where they lie on the way, else boxes in between.

    Detections are taken in several turns, because each one that is taken tells the way better.
    """
    every = gathered.detections
    free = np.flatnonzero(free_rows(gathered))
    starts = np.searchsorted(every.at[free], np.arange(len(gathered.frames) + 1))
    boxes = every.boxes.astype(np.float64)
    used = np.zeros(len(free), bool)
    told = np.flatnonzero((rows["identity"] >= 0) | (who.chain is not None))
    known = {
        "at": np.searchsorted(gathered.frames, rows["frame"][told]),
        "track": rows["track_id"][told].astype(np.int64),
        "boxes": rows["boxes"][told].astype(np.float64),
        "p": rows["p_identity"][told].astype(np.float64),
        "row": np.full(len(told), NONE),
    }
    for _ in range(TURNS):
        guess = _between(known, gathered.times, FILL_S)
        taken = _take(guess["at"], guess["boxes"], starts, boxes[free], used, TAKEN_IOU)
        real = np.flatnonzero(taken != NONE)
        used[taken[real]] = True
        new = {name: column[real] for name, column in guess.items()}
        new["row"] = free[taken[real]]
        new["boxes"] = boxes[new["row"]]
        known = {name: np.concatenate([column, new[name]]) for name, column in known.items()}
        if not len(real):
            break
    guess = _between(known, gathered.times, INTERPOLATE_S)
    seen = known["row"] != NONE
    filled = {name: np.concatenate([known[name][seen], guess[name]]) for name in known}
    real = filled["row"] != NONE
    detection = np.full(len(real), NONE, np.int32)
    detection[real] = every.detection[filled["row"][real]]
    return {
        "frame": gathered.frames[filled["at"]].astype(np.int32),
        "detection": detection,
        "track_id": filled["track"].astype(np.int32),
        "identity": np.where(filled["track"] <= len(who.names), filled["track"] - 1, NOBODY).astype(np.int16),
        "state": np.where(real, State.DETECTED, State.INTERPOLATED).astype(np.int8),
        "p_identity": filled["p"].astype(np.float32),
        "boxes": filled["boxes"].astype(np.float32),
    }


def _between(known: dict[str, np.ndarray], times: np.ndarray, longest_s: float) -> dict[str, np.ndarray]:
    """Return a guess for each frame of a track's gaps that are short and near enough, sorted by frame."""
    order = np.lexsort((known["at"], known["track"]))
    at, track, boxes, p = (known[name][order] for name in ("at", "track", "boxes", "p"))
    seconds = times[at]
    size = np.sqrt(np.maximum(1.0, np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)))
    step = np.abs(np.diff(boxes, axis=0)).max(axis=1, initial=0)
    gaps = (np.diff(track) == 0) & (np.diff(at) > 1) & (np.diff(seconds) <= longest_s) & (step <= FAR * size[:-1])
    before = np.flatnonzero(gaps)
    n = at[before + 1] - at[before] - 1
    left = np.repeat(before, n)
    guess_at = at[left] + 1 + np.arange(len(left)) - np.repeat(np.cumsum(n) - n, n)
    share = ((times[guess_at] - seconds[left]) / (seconds[left + 1] - seconds[left]))[:, None]
    guess = {
        "at": guess_at,
        "track": track[left],
        "boxes": (1 - share) * boxes[left] + share * boxes[left + 1],
        "p": np.minimum(p[left], p[left + 1]),
        "row": np.full(len(left), NONE),
    }
    sort = np.argsort(guess_at, kind="stable")
    return {name: column[sort] for name, column in guess.items()}


@kernel
def _take(at, boxes, starts, others, used, least):
    """Return (n,) for each guessed box (by frame) the free detection that lies on it, -1: none; best pairs first."""
    taken = np.full(len(at), NONE)
    used = used.copy()
    first = 0
    while first < len(at):
        last = first
        while last < len(at) and at[last] == at[first]:
            last += 1
        while True:
            top, top_k, top_d = least, NONE, NONE
            for k in range(first, last):
                if taken[k] != NONE:
                    continue
                for d in range(starts[at[k]], starts[at[k] + 1]):
                    if used[d]:
                        continue
                    w = min(boxes[k, 2], others[d, 2]) - max(boxes[k, 0], others[d, 0])
                    h = min(boxes[k, 3], others[d, 3]) - max(boxes[k, 1], others[d, 1])
                    if w <= 0 or h <= 0:
                        continue
                    one = (boxes[k, 2] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 1])
                    two = (others[d, 2] - others[d, 0]) * (others[d, 3] - others[d, 1])
                    iou = w * h / (one + two - w * h)
                    if iou > top:
                        top, top_k, top_d = iou, k, d
            if top_k == NONE:
                break
            taken[top_k] = top_d
            used[top_d] = True
        first = last
    return taken


def tracklet_table(gathered: Gathered, who: Assigned, begins: np.ndarray, ends: np.ndarray) -> pa.Table:
    """Return `TRACKLET_COLUMNS`; ``begins`` and ``ends`` (M,) are words for the ends of each part."""
    tracklet = tracklet_of(gathered, who)
    count = int(tracklet.max(initial=-1)) + 1
    order = np.lexsort((gathered.parts.first, tracklet))
    first = order[np.searchsorted(tracklet[order], np.arange(count))]
    last = order[np.searchsorted(tracklet[order], np.arange(count), side="right") - 1]
    seen = np.bincount(tracklet, gathered.parts.n, count)
    score = np.bincount(tracklet, gathered.parts.n * gathered.parts.score, count)
    least = np.full(count, np.inf)
    np.minimum.at(least, tracklet, who.p)
    doubtful = np.lexsort((who.p, tracklet))[np.searchsorted(np.sort(tracklet), np.arange(count))]
    bird = who.bird[first]
    told = bird >= 0
    second = np.where(told, who.second[doubtful], NOBODY)
    columns = {
        "tracklet": pa.array(np.arange(1, count + 1, dtype=np.int32)),
        "track_id": pa.array(track_of(gathered, who)[first].astype(np.int32)),
        "identity": name_column(bird, who.names),
        "p_identity": pa.array(least.astype(np.float32), mask=~told),
        "first_frame": pa.array(gathered.frames[gathered.parts.first[first]].astype(np.int32)),
        "last_frame": pa.array(gathered.frames[gathered.parts.last[last]].astype(np.int32)),
        "n_detections": pa.array(seen.astype(np.int32)),
        "mean_score": pa.array((score / np.maximum(seen, 1)).astype(np.float32)),
        "begins": pa.array(begins[first].astype(object), pa.string()).dictionary_encode().cast(WORD),
        "ends": pa.array(ends[last].astype(object), pa.string()).dictionary_encode().cast(WORD),
        "second_identity": name_column(second, who.names),
        "p_second": pa.array(who.p_second[doubtful].astype(np.float32), mask=second < 0),
    }
    return pa.Table.from_arrays([columns[name] for name in TRACKLET_COLUMNS.names], schema=TRACKLET_COLUMNS)


WORD = TRACKLET_COLUMNS.field("begins").type
