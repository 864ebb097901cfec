"""The measures of one video, as tables. `TABLES` lists the tables; `backend.zones.columns` explains every column.

Each kind of error has its own columns: ``sampling_*`` (limited observation time), ``identity_*`` (wrong identities),
and for the detector ``least_s`` and ``most_s`` (lost birds), ``detection_*`` (given shares of missed and false birds).
"""

from datetime import datetime

import numpy as np
import pandas as pd

from backend.pipeline.detections import DetectionsRun
from backend.project.errors import InputError
from backend.tracking.tracks.schemas import State
from backend.zones.bird_sequences import UNIDENTIFIED, Recording
from backend.zones.bouts import find_bouts, find_displacements, find_transitions, transition_matrix
from backend.zones.counts import add_clock, count_tables, evenly_sampled
from backend.zones.membership import Membership, find_membership
from backend.zones.movement import Movement, border_distances, find_movement, zone_distances
from backend.zones.settings import StatisticsSettings, VideoFacts
from backend.zones.social import find_contacts
from backend.zones.time_budgets import (
    INTERPOLATED,
    MISSING,
    MOVING_S,
    PATH_LENGTH,
    PATH_S,
    REST_S,
    SEEN,
    Bins,
    TimeBudgets,
    hourly_bins,
    make_bins,
    mean_distances,
    sum_time_budgets,
)
from backend.zones.uncertainty import block_bootstrap, identity_draws, identity_interval
from backend.zones.zone_file import Zones

TABLES = {
    "birds": "one row per bird and zone, over the whole range",
    "birds_by_time": "one row per bird, zone and time bin (tidy)",
    "counts": "mean number of birds in each zone, without identities",
    "counts_by_time": "the same by time bin",
    "bouts": "every stay in a zone",
    "transitions": "transitions between zones, outside and lost, in order of time",
    "transition_matrix": "number of transitions from zone to zone",
    "contacts": "every contact of two birds",
    "pairs": "proximity network and nearest neighbours, one row per ordered pair",
    "displacements": "one bird leaves a zone as another comes in",
    "videos": "what was measured: one row per video",
}
HOURLY = ("birds_by_hour", "counts_by_hour")  # bins of clock hours, for the sums over videos; not written
Tables = dict[str, pd.DataFrame]


def measure(
    recording: Recording,
    zones: Zones,
    facts: VideoFacts,
    settings: StatisticsSettings,
    masks: DetectionsRun | None = None,
) -> Tables:
    """Return the tables of one video, by the names of `TABLES`. Detections without tracks give counts only.

    Raises
    ------
    InputError
        If the range has no analysed frame, or membership cannot be computed; see `find_membership`.
    """
    whole, fine = (make_bins(recording, width, settings.from_s, settings.to_s) for width in (None, settings.bin_s))
    if not (whole.of_frame >= 0).any():
        begin, end = recording.times[0], recording.times[-1] + recording.seconds[-1]
        until = "" if settings.to_s is None else f" to {settings.to_s:.1f} s"
        raise InputError(
            f"{facts.video}: no analysed frame in the range (from {settings.from_s:.1f} s{until}); the run covers "
            f"{begin:.1f} to {end:.1f} s"
        )
    membership = find_membership(recording, zones, settings.by, settings.lost_after, settings.together, masks)
    hourly = hourly_bins(recording, whole, lambda second: facts.clock(second, settings.time_zone))
    bins = whole, fine, hourly
    tables = count_tables(recording, membership, bins, facts, settings)
    movement = find_movement(recording, zones, settings.smooth_s)
    lengths = settings.lengths(movement.unit, movement.body)
    if recording.names:
        tables |= _bird_tables(recording, membership, movement, zones, bins, facts, settings)
        tables |= _event_tables(recording, membership, movement, whole, settings.displacement_s, lengths)
    tables["videos"] = _video_row(recording, whole, facts, movement, lengths, facts.clock(0, settings.time_zone))
    for name, table in tables.items():
        if name != "videos":
            table.insert(0, "camera", facts.camera)
            table.insert(0, "video", facts.video)
    return tables


def _bird_tables(
    recording: Recording,
    membership: Membership,
    movement: Movement,
    zones: Zones,
    bins: tuple[Bins, Bins, Bins],
    facts: VideoFacts,
    settings: StatisticsSettings,
) -> Tables:
    whole, fine, hourly = bins
    rest_below = settings.lengths(movement.unit, movement.body)[0]
    birds, by_time, by_hour = (
        _budgets_table(recording, membership, sum_time_budgets(recording, membership, movement, used, rest_below), used)
        for used in bins
    )
    _identity_bounds(by_time, birds, recording, membership, fine, settings)
    birds = birds.drop(columns=["start_s", "end_s"])
    _sampling_bounds(birds, recording, membership, whole)
    inside = membership.inside[:, : membership.n_zones]
    distances = mean_distances(recording, zone_distances(movement, zones, inside), whole)
    border = mean_distances(recording, border_distances(movement, zones)[:, None], whole)
    n_locations = len(membership.locations)
    n_rows = len(birds) // n_locations
    padded = np.full((n_rows, n_locations), np.nan)
    padded[:, : membership.n_zones] = distances[:n_rows]
    birds["distance_to_zone"] = padded.ravel()
    birds["distance_to_border"] = np.repeat(border[:n_rows, 0], n_locations)
    bouts = find_bouts(recording, membership, whole)
    birds = _add_bouts(birds, bouts, whole.edges[0])
    birds["identity_error"] = birds["bird"].map(_identity_error(recording, whole))
    birds["unit"] = by_time["unit"] = movement.unit
    for table in (by_time, by_hour):
        add_clock(table, facts, settings.time_zone)
    return {"birds": birds, "birds_by_time": by_time, "birds_by_hour": by_hour, "bouts": bouts}


def _budgets_table(recording: Recording, membership: Membership, budgets: TimeBudgets, bins: Bins) -> pd.DataFrame:
    """Return one row per bird, location and bin. Tracks without identity share a row where there are any."""
    named = len(recording.names)
    birds = [*recording.names, UNIDENTIFIED][: named + bool(budgets.time_s[named].any())]
    shape = (len(birds), len(membership.locations), len(bins))
    time, evidence, sums = budgets.time_s[: shape[0]], budgets.evidence_s[: shape[0]], budgets.sums[: shape[0]]
    watched = np.broadcast_to(bins.watched_s, shape)
    is_named = (np.arange(shape[0]) < named)[:, None, None]
    lost = time[:, -1:, :]
    most = np.where(np.arange(shape[1])[None, :, None] == shape[1] - 1, time, time + lost)
    table = {
        "bird": np.repeat(birds, shape[1] * shape[2]),
        "zone": np.tile(np.repeat([location.name for location in membership.locations], shape[2]), shape[0]),
        "kind": np.tile(np.repeat([location.kind for location in membership.locations], shape[2]), shape[0]),
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
        "visits": budgets.visits[: shape[0]].ravel(),
        "distance": sums[..., PATH_LENGTH].ravel(),
        "speed": np.divide(
            sums[..., PATH_LENGTH], sums[..., PATH_S], out=np.full(shape, np.nan), where=sums[..., PATH_S] > 0
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
    settings: StatisticsSettings,
) -> None:
    """Add the identity-error interval of ``time_s``; both bounds equal ``time_s`` where no identity is uncertain."""
    named = [(table["bird"] != UNIDENTIFIED).to_numpy() for table in (by_time, birds)]
    shapes = [(len(recording.names), len(membership.locations), k) for k in (len(fine), 1)]
    time, watched = (by_time.loc[named[0], name].to_numpy().reshape(shapes[0]) for name in ("time_s", "watched_s"))
    whole_time, whole_watched = (
        birds.loc[named[1], name].to_numpy().reshape(shapes[1]) for name in ("time_s", "watched_s")
    )
    bounds, whole_bounds, sums = [time.copy(), time.copy()], (whole_time, whole_time), 0.0
    if settings.draws:
        for block, drawn_s in identity_draws(recording, membership, fine, settings.draws, settings.seed):
            for bound, values in zip(
                bounds, identity_interval(time[..., block], drawn_s, watched[..., block]), strict=True
            ):
                bound[..., block] = values
            sums = sums + drawn_s.sum(axis=3, keepdims=True)
        if not np.isscalar(sums):
            whole_bounds = identity_interval(whole_time, sums, whole_watched)
    for table, rows, values in zip((by_time, birds), named, (bounds, whole_bounds), strict=True):
        for name, bound in zip(("identity_low_s", "identity_high_s"), values, strict=True):
            table.loc[rows, name] = bound.ravel()


def _sampling_bounds(birds: pd.DataFrame, recording: Recording, membership: Membership, whole: Bins) -> None:
    """Add standard error and confidence interval of each identified bird's share of time."""
    frames, used = len(recording.times), whole.of_frame >= 0
    means = [
        block_bootstrap(
            evenly_sampled(membership.inside[bird * frames : (bird + 1) * frames, location][used], recording, used)[0],
            0.0,
            1.0,
        )
        for bird in range(len(recording.names))
        for location in range(len(membership.locations))
    ]
    for name, field in (("sampling_se", "se"), ("sampling_low", "low"), ("sampling_high", "high")):
        birds[name] = np.append([getattr(mean, field) for mean in means], np.full(len(birds) - len(means), np.nan))


def _add_bouts(birds: pd.DataFrame, bouts: pd.DataFrame, start_s: float) -> pd.DataFrame:
    """Add summaries of the bouts: latency, durations, number of censored bouts."""
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
    table = birds.merge(summary, how="left", left_on=["bird", "zone"], right_index=True)
    table["bouts_cut"] = table["bouts_cut"].fillna(0).astype(int)
    nameless = table["bird"] == UNIDENTIFIED
    table.loc[nameless, ["latency_s"]] = np.nan
    return table


def _identity_error(recording: Recording, whole: Bins) -> dict[str, float]:
    """Return the expected share of each bird's time with a position in which its identity is wrong: mean 1 - p."""
    n = len(recording.names)
    used = np.isfinite(recording.p_identity) & (whole.of_frame[recording.frame_index] >= 0) & (recording.bird < n)
    seconds = recording.seconds[recording.frame_index[used]]
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
    names = [location.name for location in membership.locations[: membership.n_zones]]
    transitions = find_transitions(recording, membership, whole)
    contacts, pairs = find_contacts(recording, membership, movement, whole, *lengths[1:])
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
    counted = np.isfinite(p) & used[recording.frame_index]
    doubt = (
        float(np.average(1 - p[counted], weights=recording.seconds[recording.frame_index[counted]]))
        if counted.any()
        else np.nan
    )
    lost = (recording.state == State.LOST) & (recording.bird < len(recording.names)) & used[recording.frame_index]
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
                "frame_rate": used.sum() / seconds.sum(),
                "named_birds": len(recording.names),
                "not_seen_share": recording.seconds[recording.frame_index[lost]].sum() / bird_s if bird_s else np.nan,
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
