"""Simulated reviewer: the edits that people would make to tracks until no bird has a wrong identity.

The reviewer watches the video from the first frame on. A track of a bird first seen gets that bird's name; that is no
correction, as every tracker needs it. Where later a track is on another bird than its name says, or a new track is on a
bird that has a name, one edit corrects the name from there to the end. A track that had this name and from now on is
on the other's bird gets the other's name by the same edit (a swap repairs both); else it keeps it, as a bird may have
several tracks in turn. So a fragmented track costs one edit, as does a swap. What no track follows costs nothing here,
but lowers the share of matched birds. All trackers are counted in this way.

Where birds touch, the boxes of both fit either, and even faultless tracks match the wrong bird for a few frames. So a
stretch of one track on one bird counts only if it lasts `MIN_DURATION_S`.

Where there are doubts, the reviewer works through them first, those with the most bird-time at stake first, and makes
the edits that belong there; what no doubt points to has to be found by watching.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from backend.project.kernels import kernel
from backend.tracking.evaluation.correspondence import Correspondence

UNASSIGNED = -1
MIN_DURATION_S = 1.0
NEAR_DOUBT_S = 1.0  # an error this far from a doubt is still seen when it is reviewed
CURVE_POINTS = 40  # of the curve of remaining errors


@dataclass(frozen=True)
class RequiredEdits:
    """Changes of a track's name, sorted by track, then frame.

    ``edit`` counts from 0; first names, which cost nothing, have -1.
    """

    at: np.ndarray  # (n,) index of the frame
    track: np.ndarray  # (n,)
    bird: np.ndarray  # (n,) name from there on, -1: none
    edit: np.ndarray  # (n,)

    @property
    def number(self) -> int:
        """Number of edits."""
        return int(self.edit.max(initial=-1)) + 1


def long_enough(at: np.ndarray, bird: np.ndarray, track: np.ndarray, least: float) -> np.ndarray:
    """Return (N,) bool: matches in stretches, of one track on one bird, of at least ``least`` frames."""
    order = np.lexsort((at, track))
    changes = (np.diff(track[order]) != 0) | (np.diff(bird[order]) != 0)
    stretch = np.concatenate([[0], np.cumsum(changes)])[: len(at)]
    first = np.searchsorted(stretch, stretch)
    last = np.searchsorted(stretch, stretch, side="right") - 1
    keep = np.zeros(len(at), bool)
    keep[order] = at[order][last] - at[order][first] + 1 >= least
    return keep


def lasting_matches(
    correspondence: Correspondence, truth_rows: np.ndarray, track_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return index of the frame, bird, the track_ids that occur, and track of the matches that count."""
    at = np.searchsorted(correspondence.frames, correspondence.truth.frame[truth_rows])
    bird, track = correspondence.truth.ids[truth_rows], correspondence.tracks.ids[track_rows]
    keep = long_enough(at, bird, track, MIN_DURATION_S * correspondence.fps)
    tracks, track = np.unique(track[keep], return_inverse=True)
    return at[keep], np.unique(bird[keep], return_inverse=True)[1], tracks, track


def required_edits(at: np.ndarray, bird: np.ndarray, track: np.ndarray) -> RequiredEdits:
    """Return the edits that make all names right.

    Parameters
    ----------
    at, bird, track
        (N,) int64 of every match of a bird with a track: index of the frame (ascending), bird, track; birds and tracks
        count from 0 without holes.
    """
    n_birds, n_tracks = int(bird.max(initial=-1)) + 1, int(track.max(initial=-1)) + 1
    changes = _walk(at, bird, track, n_birds, n_tracks)
    order = np.lexsort((np.arange(len(changes)), changes[:, 0], changes[:, 1]))
    return RequiredEdits(*changes[order].T.copy())


def review(at: np.ndarray, bird: np.ndarray, track: np.ndarray, n_frames: int) -> dict[str, Any]:
    """Return the number of corrections, and the share of matches that are wrong before any."""
    edits = required_edits(at, bird, track)
    return {
        "corrections": edits.number,
        "corrections_per_1000_frames": 1000 * edits.number / max(1, n_frames),
        "wrong_before": _wrong(edits, np.zeros(edits.number, bool), at, bird, track),
    }


def review_doubts(
    at: np.ndarray,
    bird: np.ndarray,
    track: np.ndarray,
    tracks: np.ndarray,
    doubts: pa.Table,
    frames: np.ndarray,
    fps: float,
) -> dict[str, Any]:
    """Return what working through the doubts, most bird-time at stake first, corrects.

    Parameters
    ----------
    at, bird, track
        As for `required_edits`.
    tracks
        (n_tracks,) the track_id of each track.
    doubts
        `DOUBT_COLUMNS`.
    frames
        (F,) the frames that were tracked.
    fps
        Frames per second of these.
    """
    edits = required_edits(at, bird, track)
    doubt_of_edit = _doubt_of_edit(edits, tracks, _in_order(doubts), frames, fps)
    points = np.unique(np.linspace(0, len(doubts), CURVE_POINTS).astype(int))
    return {
        "doubts": len(doubts),
        "corrections_at_doubts": int((doubt_of_edit < len(doubts)).sum()),
        "curve": [[int(k), _wrong(edits, doubt_of_edit < k, at, bird, track)] for k in points],
    }


def _in_order(doubts: pa.Table) -> list[dict[str, Any]]:
    rows = doubts.select(["from_frame", "to_frame", "tracks", "p_error", "until_frame"]).to_pylist()
    return sorted(rows, key=lambda row: -row["p_error"] * max(1, row["until_frame"] - row["to_frame"]))


def _doubt_of_edit(
    edits: RequiredEdits, tracks: np.ndarray, doubts: list, frames: np.ndarray, fps: float
) -> np.ndarray:
    """Return the index of the first doubt that shows each edit; the number of doubts where none does."""
    found = np.full(edits.number, len(doubts), np.int64)
    own = np.flatnonzero(edits.edit >= 0)
    near = round(NEAR_DOUBT_S * fps)
    for k, doubt in enumerate(doubts):
        first, last = np.searchsorted(frames, [doubt["from_frame"], doubt["to_frame"]])
        here = (edits.at[own] >= first - near) & (edits.at[own] <= last + near)
        here &= np.isin(tracks[edits.track[own]], doubt["tracks"])
        np.minimum.at(found, edits.edit[own[here]], k)
    return found


def _wrong(edits: RequiredEdits, done: np.ndarray, at: np.ndarray, bird: np.ndarray, track: np.ndarray) -> float:
    """Return the share of matches whose name is wrong when only the edits ``done`` (n,) bool were made."""
    if not len(at):
        return 0.0
    counts = np.append(done, True)[edits.edit]  # first names, -1, always count
    last = np.maximum.accumulate(np.where(counts, np.arange(len(counts)), -1))
    key = edits.track * (int(at.max()) + 1) + edits.at
    last_edit = last[np.searchsorted(key, track * (int(at.max()) + 1) + at, side="right") - 1]
    name = np.where((last_edit >= 0) & (edits.track[last_edit] == track), edits.bird[last_edit], UNASSIGNED)
    return float(np.mean(name != bird))


@kernel
def _walk(at, bird, track, n_birds, n_tracks):
    """Return (n, 4) int64 changes of names, in order: index of the frame, track, bird, edit."""
    following = np.full(len(at), -1, np.int64)  # the next match of the same track
    upcoming = np.full(n_tracks, -1, np.int64)  # the next match of each track
    for row in range(len(at) - 1, -1, -1):
        following[row] = upcoming[track[row]]
        upcoming[track[row]] = row
    name = np.full(n_tracks, UNASSIGNED, np.int64)
    known = np.zeros(n_birds, np.bool_)
    changes, n, edits = np.zeros((64, 4), np.int64), 0, 0
    for row in range(len(at)):
        t, b = track[row], bird[row]
        if name[t] != b:
            free = name[t] == UNASSIGNED and not known[b]
            number = -1 if free else edits
            edits += not free
            if n + n_tracks > len(changes):
                changes = np.concatenate((changes, np.zeros((len(changes) + n_tracks, 4), np.int64)))
            for other in range(n_tracks):  # tracks with this name that are on the other's bird from here on
                next_match = upcoming[other]
                if name[other] == b and name[t] != UNASSIGNED and next_match >= 0 and bird[next_match] == name[t]:
                    name[other] = name[t]
                    changes[n] = at[row], other, name[t], number
                    n += 1
            changes[n] = at[row], t, b, number
            n += 1
            name[t], known[b] = b, True
        upcoming[t] = following[row]
    return changes[:n]
