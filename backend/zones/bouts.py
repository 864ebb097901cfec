"""Stays in zones one by one: bouts, the order of places, and who made room for whom."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from backend.tracking.tracks.schemas import State
from backend.zones.bird_sequences import NOT_TOLD_APART, Recording
from backend.zones.cells import Bins
from backend.zones.membership import Membership
from backend.zones.zone_file import LOST, OUTSIDE

ENTERED, LEFT, RECORDING, UNSEEN = "entered", "left", "recording", "not seen"
BOUT_COLUMNS = ["bird", "zone", "start_s", "end_s", "duration_s", "begins", "ends", "cut", "seen_share"]


def find_bouts(recording: Recording, membership: Membership, bins: Bins) -> pd.DataFrame:
    """Return every stay in a place within the range of ``bins``, `BOUT_COLUMNS`, by bird, zone and time.

    ``begins``: entered, recording (it was there when the range began), not seen (it appeared there). ``ends``: left,
    recording, not seen (it was lost there). ``cut`` is true unless it was entered and left: the real stay is as long
    or longer. Stays outside and lost are not bouts.
    """
    within = bins.of_frame[recording.place] >= 0
    tables = [
        _bouts_of(recording, membership, within, p)
        for p, place in enumerate(membership.places)
        if place.name not in (OUTSIDE, LOST)
    ]
    found = pd.concat(tables, ignore_index=True)
    return found.sort_values(["bird", "zone", "start_s"], kind="stable", ignore_index=True)


def _bouts_of(recording: Recording, membership: Membership, within: np.ndarray, p: int) -> pd.DataFrame:
    inside = membership.inside[:, p] & within
    gone = membership.inside[:, -1]
    opens = np.zeros(len(inside), bool)
    opens[recording.starts[:-1][recording.starts[:-1] < len(inside)]] = True
    before = np.concatenate([[False], inside[:-1]]) & ~opens
    closes = np.concatenate([opens[1:], [True]])
    after = np.concatenate([inside[1:], [False]]) & ~closes
    first, last = np.flatnonzero(inside & ~before), np.flatnonzero(inside & ~after)
    place = recording.place
    start = recording.times[place[first]]
    end = recording.times[place[last]] + recording.seconds[place[last]]
    cut_first = opens[first] | ~np.concatenate([[False], within[:-1]])[first]
    cut_last = closes[last] | ~np.concatenate([within[1:], [False]])[last]
    gone_first = np.concatenate([[False], gone[:-1]])[first] & ~cut_first
    gone_last = np.concatenate([gone[1:], [False]])[last] & ~cut_last
    seen = np.concatenate([[0.0], np.cumsum((recording.state != State.LOST) * recording.seconds[place])])
    total = np.concatenate([[0.0], np.cumsum(recording.seconds[place])])
    names = np.array([*recording.names, NOT_TOLD_APART], object)
    begins = np.select([cut_first, gone_first], [RECORDING, UNSEEN], ENTERED)
    ends = np.select([cut_last, gone_last], [RECORDING, UNSEEN], LEFT)
    seconds = total[last + 1] - total[first]
    return pd.DataFrame(
        {
            "bird": names[recording.bird[first]],
            "zone": membership.places[p].name,
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
    """Return the ordered list of changes of place of the named birds: ``bird, time_s, from, to``.

    Places are single zones, outside and lost. Where zones overlap, a bird is in the first of them in the file.
    """
    codes = place_codes(membership)
    names = [*(place.name for place in membership.places[: membership.n_zones]), OUTSIDE, LOST]
    rows = np.arange(1, recording.starts[len(recording.names)])
    within = bins.of_frame[recording.place] >= 0
    same_bird = recording.bird[rows] == recording.bird[rows - 1]
    change = rows[same_bird & within[rows] & within[rows - 1] & (codes[rows] != codes[rows - 1])]
    label = np.array(names, object)
    return pd.DataFrame(
        {
            "bird": np.array([*recording.names, ""], object)[recording.bird[change]],
            "time_s": recording.times[recording.place[change]],
            "from": label[codes[change - 1]],
            "to": label[codes[change]],
        }
    )


def place_codes(membership: Membership) -> np.ndarray:
    """Return (N,) int64: the first zone a row is in, ``n_zones`` for outside, ``n_zones + 1`` for lost."""
    zones = membership.inside[:, : membership.n_zones]
    return np.where(
        zones.any(axis=1), zones.argmax(axis=1), membership.n_zones + membership.inside[:, -1].astype(np.int64)
    )


def transition_matrix(transitions: pd.DataFrame, zones: Sequence[str]) -> pd.DataFrame:
    """Count passages from zone to zone: ``from, to, n``, all pairs. Time outside between the two is skipped.

    Where a bird was lost in between, nobody knows where it was, and the passage does not count.
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
    """Return events in which one bird left a zone as another came in: ``time_s, zone, left, came, lag_s``.

    The one that leaves was there before the other came and goes at most ``window_s`` after it came, or at most that
    long before. Both, the leaving and the coming, were seen. ``lag_s``: from coming to leaving.
    """
    found = []
    named = bouts[(bouts["bird"] != NOT_TOLD_APART) & bouts["zone"].isin(zones)]
    for zone, stays in named.groupby("zone", sort=False):
        comes = stays[stays["begins"] == ENTERED].sort_values("start_s")
        leaves = stays[stays["ends"] == LEFT].sort_values("end_s")
        ends = leaves["end_s"].to_numpy()
        for bird, start in zip(comes["bird"], comes["start_s"], strict=True):
            first, last = np.searchsorted(ends, [start - window_s - 1e-9, start + window_s + 1e-9])
            for left, began, end in leaves.iloc[first:last][["bird", "start_s", "end_s"]].itertuples(index=False):
                if left != bird and began < start:
                    found.append((start, zone, left, bird, end - start))
    table = pd.DataFrame(found, columns=["time_s", "zone", "left", "came", "lag_s"])
    return table.sort_values(["time_s", "zone"], kind="stable", ignore_index=True)
