"""What people would have to do to tracks until no bird has a wrong identity: the simulated reviewer.

The reviewer watches the video from the first frame on. A track that shows a bird first seen gets that bird's name;
that is no correction, as every tracker needs it. Where later a track shows another bird than its name says, or a new
track shows a bird that has a name, one act corrects it from there to the end: the track gets the right name. A track
that had this name and from now on shows the other's bird gets the other's name by the same act (a swap repairs both);
else it keeps it, as a bird may be shown by several tracks in turn. So a broken track costs one act, as does a swap;
what nobody follows costs nothing here, but shows as a lower share of matched birds. All trackers are counted in this
one way.

Where birds touch, their boxes fit either, and even faultless tracks match the wrong bird for a few frames. So a stretch
in which a track shows one bird counts only if it lasts `LASTS_S`.

Where there are doubts, the reviewer looks at them first, those with the most bird-time at stake first, and does the
acts that belong there; what no doubt points to has to be found by watching.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from backend.project.kernels import kernel
from backend.tracking.evaluation.correspondence import Compared

NOBODY = -1
LASTS_S = 1.0
NEAR_S = 1.0  # an error this far from a doubt is still seen when the doubt is looked at
POINTS = 40  # of the curve of what is left wrong


@dataclass(frozen=True)
class Acts:
    """Changes of a track's name. ``act`` counts from 0; the free first names have -1. Sorted by track, then place."""

    at: np.ndarray  # (n,) place of the frame
    track: np.ndarray  # (n,)
    bird: np.ndarray  # (n,) name from there on, -1: none
    act: np.ndarray  # (n,)

    @property
    def number(self) -> int:
        """How many acts there are."""
        return int(self.act.max(initial=-1)) + 1


def lasting(at: np.ndarray, bird: np.ndarray, track: np.ndarray, least: float) -> np.ndarray:
    """Return (N,) bool: matches in stretches, of one track with one bird, of at least ``least`` frames."""
    order = np.lexsort((at, track))
    changes = (np.diff(track[order]) != 0) | (np.diff(bird[order]) != 0)
    stretch = np.concatenate([[0], np.cumsum(changes)])[: len(at)]
    first = np.searchsorted(stretch, stretch)
    last = np.searchsorted(stretch, stretch, side="right") - 1
    keep = np.zeros(len(at), bool)
    keep[order] = at[order][last] - at[order][first] + 1 >= least
    return keep


def lasting_matches(
    both: Compared, truth_rows: np.ndarray, track_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return place of the frame, bird, the track_ids that occur, and track of the matches that count."""
    at = np.searchsorted(both.frames, both.truth.frame[truth_rows])
    bird, track = both.truth.who[truth_rows], both.tracks.who[track_rows]
    keep = lasting(at, bird, track, LASTS_S * both.fps)
    tracks, track = np.unique(track[keep], return_inverse=True)
    return at[keep], np.unique(bird[keep], return_inverse=True)[1], tracks, track


def needed_acts(at: np.ndarray, bird: np.ndarray, track: np.ndarray) -> Acts:
    """Return the acts that make all names right.

    Parameters
    ----------
    at, bird, track
        (N,) int64 of every match of a bird with a track: place of the frame (ascending), bird, track; birds and
        tracks count from 0 without holes.
    """
    n_birds, n_tracks = int(bird.max(initial=-1)) + 1, int(track.max(initial=-1)) + 1
    changes = _walk(at, bird, track, n_birds, n_tracks)
    order = np.lexsort((np.arange(len(changes)), changes[:, 0], changes[:, 1]))
    return Acts(*changes[order].T.copy())


def review(at: np.ndarray, bird: np.ndarray, track: np.ndarray, n_frames: int) -> dict[str, Any]:
    """Return the number of corrections, and the share of matches that are wrong before."""
    acts = needed_acts(at, bird, track)
    return {
        "corrections": acts.number,
        "corrections_per_1000_frames": 1000 * acts.number / max(1, n_frames),
        "wrong_before": _wrong(acts, np.zeros(acts.number, bool), at, bird, track),
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
    """Return what working through the doubts, most bird-time at stake first, repairs.

    Parameters
    ----------
    at, bird, track
        As for `needed_acts`.
    tracks
        (n_tracks,) the track_id of each track.
    doubts
        `DOUBT_COLUMNS`.
    frames
        (F,) the frames that were looked at.
    fps
        Of these frames.
    """
    acts = needed_acts(at, bird, track)
    found_at = _doubt_of_act(acts, tracks, _in_order(doubts), frames, fps)
    points = np.unique(np.linspace(0, len(doubts), POINTS).astype(int))
    return {
        "doubts": len(doubts),
        "corrections_at_doubts": int((found_at < len(doubts)).sum()),
        "curve": [[int(k), _wrong(acts, found_at < k, at, bird, track)] for k in points],
    }


def _in_order(doubts: pa.Table) -> list[dict[str, Any]]:
    rows = doubts.select(["from_frame", "to_frame", "tracks", "p_error", "until_frame"]).to_pylist()
    return sorted(rows, key=lambda row: -row["p_error"] * max(1, row["until_frame"] - row["to_frame"]))


def _doubt_of_act(acts: Acts, tracks: np.ndarray, doubts: list, frames: np.ndarray, fps: float) -> np.ndarray:
    """Return for each act the place of the first doubt that shows it, the number of doubts where none does."""
    found = np.full(acts.number, len(doubts), np.int64)
    own = np.flatnonzero(acts.act >= 0)
    near = round(NEAR_S * fps)
    for k, doubt in enumerate(doubts):
        first, last = np.searchsorted(frames, [doubt["from_frame"], doubt["to_frame"]])
        here = (acts.at[own] >= first - near) & (acts.at[own] <= last + near)
        here &= np.isin(tracks[acts.track[own]], doubt["tracks"])
        np.minimum.at(found, acts.act[own[here]], k)
    return found


def _wrong(acts: Acts, done: np.ndarray, at: np.ndarray, bird: np.ndarray, track: np.ndarray) -> float:
    """Return the share of matches whose name is wrong when only the acts ``done`` (n,) were done."""
    if not len(at):
        return 0.0
    counts = np.append(done, True)[acts.act]  # the free first names, -1, always count
    last = np.maximum.accumulate(np.where(counts, np.arange(len(counts)), -1))
    key = acts.track * (int(at.max()) + 1) + acts.at
    place = last[np.searchsorted(key, track * (int(at.max()) + 1) + at, side="right") - 1]
    name = np.where((place >= 0) & (acts.track[place] == track), acts.bird[place], NOBODY)
    return float(np.mean(name != bird))


@kernel
def _walk(at, bird, track, n_birds, n_tracks):
    """Return (n, 4) int64 changes of names, in the order they are made: place, track, bird, act."""
    following = np.full(len(at), -1, np.int64)  # the next match of the same track
    upcoming = np.full(n_tracks, -1, np.int64)  # the first match of each track that was not looked at
    for row in range(len(at) - 1, -1, -1):
        following[row] = upcoming[track[row]]
        upcoming[track[row]] = row
    name = np.full(n_tracks, NOBODY, np.int64)
    known = np.zeros(n_birds, np.bool_)
    changes, n, acts = np.zeros((64, 4), np.int64), 0, 0
    for row in range(len(at)):
        t, b = track[row], bird[row]
        if name[t] != b:
            free = name[t] == NOBODY and not known[b]
            number = -1 if free else acts
            acts += not free
            if n + n_tracks > len(changes):
                changes = np.concatenate((changes, np.zeros((len(changes) + n_tracks, 4), np.int64)))
            for other in range(n_tracks):  # those that held the name and show the other's bird from here on
                place = upcoming[other]
                if name[other] == b and name[t] != NOBODY and place >= 0 and bird[place] == name[t]:
                    name[other] = name[t]
                    changes[n] = at[row], other, name[t], number
                    n += 1
            changes[n] = at[row], t, b, number
            n += 1
            name[t], known[b] = b, True
        upcoming[t] = following[row]
    return changes[:n]
