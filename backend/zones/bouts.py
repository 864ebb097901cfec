"""Bouts (single stays in a zone), transitions between zones, and displacements of one bird by another."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from backend.tracking.tracks.schemas import State
from backend.zones.bird_sequences import UNIDENTIFIED, Recording
from backend.zones.membership import Membership
from backend.zones.time_budgets import Bins
from backend.zones.zone_file import LOST, OUTSIDE

ENTERED, LEFT, RECORDING, UNSEEN = "entered", "left", "recording", "not seen"
BOUT_COLUMNS = ["bird", "zone", "start_s", "end_s", "duration_s", "begins", "ends", "cut", "seen_share"]


def find_bouts(recording: Recording, membership: Membership, bins: Bins) -> pd.DataFrame:
    """Return all bouts within the time range of ``bins``: `BOUT_COLUMNS`, sorted by bird, zone and time.

    ``begins``: entered, recording (in the zone when the range began), not seen (appeared there). ``ends``: left,
    recording (in the zone when the range ended), not seen (lost there). ``cut`` (censored) is true unless the bird was
    seen to enter and to leave: the true duration is then at least ``duration_s``. Time outside or lost is no bout.
    """
    within = bins.of_frame[recording.frame_index] >= 0
    tables = [
        _bouts_of(recording, membership, within, p)
        for p, location in enumerate(membership.locations)
        if location.name not in (OUTSIDE, LOST)
    ]
    bouts = pd.concat(tables, ignore_index=True)
    return bouts.sort_values(["bird", "zone", "start_s"], kind="stable", ignore_index=True)


def _bouts_of(recording: Recording, membership: Membership, within: np.ndarray, p: int) -> pd.DataFrame:
    inside = membership.inside[:, p] & within
    gone = membership.inside[:, -1]
    opens = np.zeros(len(inside), bool)
    opens[recording.starts[:-1][recording.starts[:-1] < len(inside)]] = True
    before = np.concatenate([[False], inside[:-1]]) & ~opens
    closes = np.concatenate([opens[1:], [True]])
    after = np.concatenate([inside[1:], [False]]) & ~closes
    first, last = np.flatnonzero(inside & ~before), np.flatnonzero(inside & ~after)
    frame_index = recording.frame_index
    start = recording.times[frame_index[first]]
    end = recording.times[frame_index[last]] + recording.seconds[frame_index[last]]
    cut_first = opens[first] | ~np.concatenate([[False], within[:-1]])[first]
    cut_last = closes[last] | ~np.concatenate([within[1:], [False]])[last]
    gone_first = np.concatenate([[False], gone[:-1]])[first] & ~cut_first
    gone_last = np.concatenate([gone[1:], [False]])[last] & ~cut_last
    seen = np.concatenate([[0.0], np.cumsum((recording.state != State.LOST) * recording.seconds[frame_index])])
    total = np.concatenate([[0.0], np.cumsum(recording.seconds[frame_index])])
    names = np.array([*recording.names, UNIDENTIFIED], object)
    begins = np.select([cut_first, gone_first], [RECORDING, UNSEEN], ENTERED)
    ends = np.select([cut_last, gone_last], [RECORDING, UNSEEN], LEFT)
    seconds = total[last + 1] - total[first]
    return pd.DataFrame(
        {
            "bird": names[recording.bird[first]],
            "zone": membership.locations[p].name,
            "start_s": start,
            "end_s": end,
            "duration_s": seconds,
            "begins": begins,
            "ends": ends,
            "cut": (begins != ENTERED) | (ends != LEFT),
            "seen_share": (seen[last + 1] - seen[first]) / np.maximum(seconds, 1e-12),
        },
        columns=BOUT_COLUMNS,
    )


def find_transitions(recording: Recording, membership: Membership, bins: Bins) -> pd.DataFrame:
    """Return the transitions of identified birds in order of time: ``bird, time_s, from, to``.

    Between single zones, outside and lost. Where zones overlap, the bird is in the first of them in the zone file.
    """
    codes = place_codes(membership)
    names = [*(location.name for location in membership.locations[: membership.n_zones]), OUTSIDE, LOST]
    rows = np.arange(1, recording.starts[len(recording.names)])
    within = bins.of_frame[recording.frame_index] >= 0
    same_bird = recording.bird[rows] == recording.bird[rows - 1]
    change = rows[same_bird & within[rows] & within[rows - 1] & (codes[rows] != codes[rows - 1])]
    label = np.array(names, object)
    return pd.DataFrame(
        {
            "bird": np.array([*recording.names, ""], object)[recording.bird[change]],
            "time_s": recording.times[recording.frame_index[change]],
            "from": label[codes[change - 1]],
            "to": label[codes[change]],
        }
    )


def place_codes(membership: Membership) -> np.ndarray:
    """Return (N,) int64: index of the first zone around the row, ``n_zones`` for outside, ``n_zones + 1`` for lost."""
    zones = membership.inside[:, : membership.n_zones]
    return np.where(
        zones.any(axis=1), zones.argmax(axis=1), membership.n_zones + membership.inside[:, -1].astype(np.int64)
    )


def transition_matrix(transitions: pd.DataFrame, zones: Sequence[str]) -> pd.DataFrame:
    """Count transitions from zone to zone: ``from, to, n``, all pairs. Time outside between the two is skipped.

    A transition during which the bird was lost does not count.
    """
    counts = pd.DataFrame(0, index=pd.Index(zones, name="from"), columns=pd.Index(zones, name="to"))
    for _, moves in transitions.groupby("bird", sort=False):
        last = None
        for start, end in zip(moves["from"], moves["to"], strict=True):
            last = None if start == LOST else (last if start == OUTSIDE else start)
            if end not in (OUTSIDE, LOST):
                if last is not None and last != end:
                    counts.loc[last, end] += 1
                last = end
    return counts.stack().rename("n").reset_index()


def find_displacements(bouts: pd.DataFrame, zones: Sequence[str], window_s: float) -> pd.DataFrame:
    """Return displacements, in which one bird left a zone as another came in: ``time_s, zone, left, came, lag_s``.

    The leaving bird was in the zone before the other came, and left within ``window_s`` before or after that. Both
    events were seen. ``lag_s`` is the time from coming to leaving, negative where it left first.
    """
    displacements = []
    named = bouts[(bouts["bird"] != UNIDENTIFIED) & bouts["zone"].isin(zones)]
    for zone, stays in named.groupby("zone", sort=False):
        comes = stays[stays["begins"] == ENTERED].sort_values("start_s")
        leaves = stays[stays["ends"] == LEFT].sort_values("end_s")
        ends = leaves["end_s"].to_numpy()
        for bird, start in zip(comes["bird"], comes["start_s"], strict=True):
            first, last = np.searchsorted(ends, [start - window_s - 1e-9, start + window_s + 1e-9])
            for left, began, end in leaves.iloc[first:last][["bird", "start_s", "end_s"]].itertuples(index=False):
                if left != bird and began < start:
                    displacements.append((start, zone, left, bird, end - start))
    table = pd.DataFrame(displacements, columns=["time_s", "zone", "left", "came", "lag_s"])
    return table.sort_values(["time_s", "zone"], kind="stable", ignore_index=True)
