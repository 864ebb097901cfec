"""From one video's rows to its tables. `TABLES` says what each is; `backend.zones.columns` explains every column.

Errors are kept apart by name in every table: ``sampling_*`` (time), ``identity_*`` (names), and of the detector
``least_s`` and ``most_s`` (birds that are lost), ``detection_*`` (stated shares of missed and false birds).
"""

from datetime import datetime

import numpy as np
import pandas as pd

from backend.pipeline.detections import DetectionsRun
from backend.project.errors import InputError
from backend.tracking.tracks.schemas import State
from backend.zones.bird_sequences import NOT_TOLD_APART, Recording
from backend.zones.bouts import find_bouts, find_displacements, find_transitions, transition_matrix
from backend.zones.cells import (
    INTERPOLATED,
    MISSING,
    MOVING_S,
    REST_S,
    SEEN,
    WAY,
    WAY_S,
    Bins,
    Cells,
    fill_cells,
    make_bins,
    mean_distances,
)
from backend.zones.counts import add_clock, count_tables
from backend.zones.membership import Membership, find_membership
from backend.zones.movement import Movement, border_distances, find_movement, zone_distances
from backend.zones.settings import Measures, VideoFacts
from backend.zones.social import find_social
from backend.zones.uncertainty import block_bootstrap, identity_draws, identity_interval
from backend.zones.zone_file import Zones

TABLES = {
    "birds": "one row a bird and zone, over the whole range",
    "birds_by_time": "one row a bird, zone and time bin (tidy)",
    "counts": "mean number of birds in each zone, without identities",
    "counts_by_time": "the same by time bin",
    "bouts": "every stay in a zone",
    "transitions": "changes of place in order",
    "transition_matrix": "passages from zone to zone",
    "contacts": "every contact of two birds",
    "pairs": "proximity network and nearest neighbours, one row an ordered pair",
    "displacements": "one bird leaves a zone as another comes in",
    "videos": "what was measured: one row a video",
}
Tables = dict[str, pd.DataFrame]


def measure(
    recording: Recording, zones: Zones, facts: VideoFacts, measures: Measures, masks: DetectionsRun | None = None
) -> Tables:
    """Return the tables of one video, by the names of `TABLES`. Bare detections give counts only.

    Raises
    ------
    InputError
        If no frame of the range was looked at, or membership cannot be decided; see `find_membership`.
    """
    whole, fine = (make_bins(recording, width, measures.from_s, measures.to_s) for width in (None, measures.bin_s))
    if not (whole.of_frame >= 0).any():
        begin, end = recording.times[0], recording.times[-1] + recording.seconds[-1]
        until = "" if measures.to_s is None else f" to {measures.to_s:.1f} s"
        raise InputError(
            f"{facts.video}: no frame of the range was looked at (from {measures.from_s:.1f} s{until}); the run begins "
            f"at {begin:.1f} s and ends at {end:.1f} s"
        )
    membership = find_membership(recording, zones, measures.by, measures.lost_after, measures.together, masks)
    found = count_tables(recording, membership, whole, fine, facts, measures)
    movement = find_movement(recording, zones, measures.smooth_s)
    lengths = measures.lengths(movement.unit, movement.body)
    if recording.names:
        found |= _bird_tables(recording, membership, movement, zones, (whole, fine), facts, measures)
        found |= _event_tables(recording, membership, movement, whole, measures.displacement_s, lengths)
    found["videos"] = _video_row(recording, whole, facts, movement, lengths, facts.clock(0, measures.time_zone))
    for name, table in found.items():
        if name != "videos":
            table.insert(0, "camera", facts.camera)
            table.insert(0, "video", facts.video)
    return found


def _bird_tables(
    recording: Recording,
    membership: Membership,
    movement: Movement,
    zones: Zones,
    bins: tuple[Bins, Bins],
    facts: VideoFacts,
    measures: Measures,
) -> Tables:
    whole, fine = bins
    rest_below = measures.lengths(movement.unit, movement.body)[0]
    by_time = _cells_table(recording, membership, fill_cells(recording, membership, movement, fine, rest_below), fine)
    birds = _cells_table(recording, membership, fill_cells(recording, membership, movement, whole, rest_below), whole)
    _identity_bounds(by_time, birds, recording, membership, fine, measures)
    birds = birds.drop(columns=["start_s", "end_s"])
    _sampling_bounds(birds, recording, membership, whole)
    inside = membership.inside[:, : membership.n_zones]
    distances = mean_distances(recording, zone_distances(movement, zones, inside), whole)
    border = mean_distances(recording, border_distances(movement, zones)[:, None], whole)
    places = len(membership.places)
    shown = len(birds) // places
    padded = np.full((shown, places), np.nan)
    padded[:, : membership.n_zones] = distances[:shown]
    birds["distance_to_zone"] = padded.ravel()
    birds["distance_to_border"] = np.repeat(border[:shown, 0], places)
    bouts = find_bouts(recording, membership, whole)
    birds = _add_bouts(birds, bouts, whole.edges[0])
    birds["identity_error"] = birds["bird"].map(_identity_error(recording, whole))
    birds["unit"] = by_time["unit"] = movement.unit
    add_clock(by_time, facts, measures.time_zone)
    return {"birds": birds, "birds_by_time": by_time, "bouts": bouts}


def _cells_table(recording: Recording, membership: Membership, cells: Cells, bins: Bins) -> pd.DataFrame:
    """Return one row a bird, place and bin. Nameless tracks are a row of their own where there are any."""
    named = len(recording.names)
    birds = [*recording.names, NOT_TOLD_APART][: named + bool(cells.time_s[named].any())]
    shape = (len(birds), len(membership.places), len(bins))
    time, evidence, sums = cells.time_s[: shape[0]], cells.evidence_s[: shape[0]], cells.sums[: shape[0]]
    watched = np.broadcast_to(bins.watched_s, shape)
    is_named = (np.arange(shape[0]) < named)[:, None, None]
    lost = time[:, -1:, :]
    most = np.where(np.arange(shape[1])[None, :, None] == shape[1] - 1, time, time + lost)
    table = {
        "bird": np.repeat(birds, shape[1] * shape[2]),
        "zone": np.tile(np.repeat([place.name for place in membership.places], shape[2]), shape[0]),
        "kind": np.tile(np.repeat([place.kind for place in membership.places], shape[2]), shape[0]),
        "start_s": np.tile(bins.edges[:-1], shape[0] * shape[1]),
        "end_s": np.tile(bins.edges[1:], shape[0] * shape[1]),
        "watched_s": watched.ravel(),
        "time_s": time.ravel(),
        "share": np.divide(time, watched, out=np.full(shape, np.nan), where=(watched > 0) & is_named).ravel(),
        "seen_s": evidence[..., SEEN].ravel(),
        "interpolated_s": evidence[..., INTERPOLATED].ravel(),
        "missing_s": evidence[..., MISSING].ravel(),
        "least_s": (evidence[..., SEEN] + evidence[..., INTERPOLATED]).ravel(),
        "most_s": np.where(is_named, most, np.nan).ravel(),
        "visits": cells.visits[: shape[0]].ravel(),
        "distance": sums[..., WAY].ravel(),
        "speed": np.divide(
            sums[..., WAY], sums[..., WAY_S], out=np.full(shape, np.nan), where=sums[..., WAY_S] > 0
        ).ravel(),
        "rest_s": sums[..., REST_S].ravel(),
        "moving_s": sums[..., MOVING_S].ravel(),
    }
    return pd.DataFrame(table)


def _identity_bounds(
    by_time: pd.DataFrame,
    birds: pd.DataFrame,
    recording: Recording,
    membership: Membership,
    fine: Bins,
    measures: Measures,
) -> None:
    """Add the interval of time from expected errors of names; the time itself where nothing is in doubt."""
    named = [(table["bird"] != NOT_TOLD_APART).to_numpy() for table in (by_time, birds)]
    shapes = [(len(recording.names), len(membership.places), k) for k in (len(fine), 1)]
    time, watched = (by_time.loc[named[0], name].to_numpy().reshape(shapes[0]) for name in ("time_s", "watched_s"))
    whole_time, whole_watched = (
        birds.loc[named[1], name].to_numpy().reshape(shapes[1]) for name in ("time_s", "watched_s")
    )
    bounds, whole_bounds, sums = [time.copy(), time.copy()], (whole_time, whole_time), 0.0
    if measures.draws:
        for block, found in identity_draws(recording, membership, fine, measures.draws, measures.seed):
            for bound, values in zip(
                bounds, identity_interval(time[..., block], found, watched[..., block]), strict=True
            ):
                bound[..., block] = values
            sums = sums + found.sum(axis=3, keepdims=True)
        if not np.isscalar(sums):
            whole_bounds = identity_interval(whole_time, sums, whole_watched)
    for table, rows, values in zip((by_time, birds), named, (bounds, whole_bounds), strict=True):
        for name, bound in zip(("identity_low_s", "identity_high_s"), values, strict=True):
            table.loc[rows, name] = bound.ravel()


def _sampling_bounds(birds: pd.DataFrame, recording: Recording, membership: Membership, whole: Bins) -> None:
    """Add standard error and interval of each named bird's share of time."""
    frames, used = len(recording.times), whole.of_frame >= 0
    found = [
        block_bootstrap(membership.inside[bird * frames : (bird + 1) * frames, place][used], 0.0, 1.0)
        for bird in range(len(recording.names))
        for place in range(len(membership.places))
    ]
    for name, field in (("sampling_se", "se"), ("sampling_low", "low"), ("sampling_high", "high")):
        birds[name] = np.append([getattr(mean, field) for mean in found], np.full(len(birds) - len(found), np.nan))


def _add_bouts(birds: pd.DataFrame, bouts: pd.DataFrame, start_s: float) -> pd.DataFrame:
    """Add what the stays say: latency, lengths, how many of them are cut."""
    stays = bouts.groupby(["bird", "zone"], sort=False)
    uncut = bouts[~bouts["cut"]].groupby(["bird", "zone"], sort=False)["duration_s"]
    summary = pd.DataFrame(
        {
            "latency_s": stays["start_s"].min() - start_s,
            "bouts_cut": stays["cut"].sum(),
            "bout_mean_s": stays["duration_s"].mean(),
            "bout_longest_s": stays["duration_s"].max(),
            "bout_mean_uncut_s": uncut.mean(),
        }
    )
    found = birds.merge(summary, how="left", left_on=["bird", "zone"], right_index=True)
    found["bouts_cut"] = found["bouts_cut"].fillna(0).astype(int)
    nameless = found["bird"] == NOT_TOLD_APART
    found.loc[nameless, ["latency_s"]] = np.nan
    return found


def _identity_error(recording: Recording, whole: Bins) -> dict[str, float]:
    """Return the expected share of each bird's time with a position in which the name is wrong."""
    n = len(recording.names)
    used = np.isfinite(recording.p_identity) & (whole.of_frame[recording.place] >= 0) & (recording.bird < n)
    seconds = recording.seconds[recording.place[used]]
    total = np.bincount(recording.bird[used], seconds, minlength=n)
    wrong = np.bincount(recording.bird[used], seconds * (1 - recording.p_identity[used]), minlength=n)
    with np.errstate(invalid="ignore"):
        return dict(zip(recording.names, wrong / total, strict=True))


def _event_tables(
    recording: Recording,
    membership: Membership,
    movement: Movement,
    whole: Bins,
    window_s: float,
    lengths: tuple[float, float, float],
) -> Tables:
    names = [place.name for place in membership.places[: membership.n_zones]]
    transitions = find_transitions(recording, membership, whole)
    contacts, pairs = find_social(recording, membership, movement, whole, *lengths[1:])
    return {
        "transitions": transitions,
        "transition_matrix": transition_matrix(transitions, names),
        "contacts": contacts,
        "pairs": pairs,
        "displacements": find_displacements(find_bouts(recording, membership, whole), names, window_s),
    }


def _video_row(
    recording: Recording,
    whole: Bins,
    facts: VideoFacts,
    movement: Movement,
    lengths: tuple[float, float, float],
    start: datetime | None,
) -> pd.DataFrame:
    used = whole.of_frame >= 0
    reviewed = np.zeros(len(used), bool)
    for first, end in facts.reviewed:
        reviewed |= (recording.frames >= first) & (recording.frames < end)
    seconds = recording.seconds[used]
    p = recording.p_identity
    counted = np.isfinite(p) & used[recording.place]
    doubt = (
        float(np.average(1 - p[counted], weights=recording.seconds[recording.place[counted]]))
        if counted.any()
        else np.nan
    )
    lost = (recording.state == State.LOST) & (recording.bird < len(recording.names)) & used[recording.place]
    bird_s = seconds.sum() * len(recording.names)
    return pd.DataFrame(
        [
            {
                "video": facts.video,
                "camera": facts.camera,
                "start_time": start.isoformat() if start else "",
                "from_s": whole.edges[0],
                "to_s": whole.edges[-1],
                "watched_s": seconds.sum(),
                "frames": int(used.sum()),
                "frame_rate": 1 / np.median(recording.seconds),
                "named_birds": len(recording.names),
                "not_seen_share": recording.seconds[recording.place[lost]].sum() / bird_s if bird_s else np.nan,
                "reviewed_share": seconds[reviewed[used]].sum() / seconds.sum() if recording.tracked else np.nan,
                "corrections": facts.corrections,
                "identity_error": doubt,
                "zones_version": facts.zones_version,
                "unit": movement.unit,
                "rest_below": lengths[0],
                "contact": lengths[1],
                "near": lengths[2],
                **facts.more,
            }
        ]
    )
