"""The methods paragraph for a paper, written from the settings and data of a statistics run."""

from pathlib import Path

import numpy as np
import pandas as pd

from backend.project.manifest import Manifest
from backend.zones.measures import Tables
from backend.zones.settings import StatisticsSettings

BY = {
    "ground point": "its ground point (the middle of the lower side of its box)",
    "centre": "the centre of its box",
    "mask": "the share of its mask",
}


def methods(tables: Tables, manifest: Manifest) -> str:
    """Return the paragraph, plain text."""
    settings = StatisticsSettings(**manifest.settings)
    videos = tables["videos"]
    parts = [_material(videos, manifest), _membership(settings, videos)]
    if "birds" in tables:
        parts += [_birds(settings, videos), _names(videos, settings)]
    parts += [_sampling(tables["counts"]), _detector(settings), _cite(manifest)]
    return " ".join(parts)


def _material(videos: pd.DataFrame, manifest: Manifest) -> str:
    hours = videos["watched_s"].sum() / 3600
    kinds = " and ".join(sorted(set(videos["source"])))
    rates = ", ".join(f"{rate:g}" for rate in sorted(set(videos["frame_rate"].round(3))))
    runs = manifest.inputs["runs"]
    clock = (
        f" Days and hours are those of {manifest.settings['time_zone']}." if (videos["start_time"] != "").any() else ""
    )
    versions = sorted({f"{Path(run['zones']).name} version {run['zones_version']}" for run in runs})
    return (
        f"{len(videos)} video{'s' if len(videos) > 1 else ''} ({hours:.2f} h, {rates} frames/s analysed) were "
        f"measured with Lektrack {manifest.versions['lektrack']} from {kinds}; zones: {', '.join(versions)}.{clock}"
    )


def _membership(settings: StatisticsSettings, videos: pd.DataFrame) -> str:
    share = (
        ", in from the zone's in_share on and out below its out_share (as stated in the file of zones)"
        if settings.by == "mask"
        else ""
    )
    tracked = (videos["source"] == "tracks").any()
    lost = (
        f" A bird not seen for fewer than {settings.lost_after} samples stayed where it was; otherwise it was lost "
        "(zone 0), which is not the same as seen outside every zone, or in a hidden zone if it was last seen in that "
        "zone or its entry, until it was seen again. Stays shorter than a zone's min_stay_s were not counted."
    )
    return f"A bird was in a zone by {BY[settings.by]}{share}.{lost if tracked else ''}"


def _birds(settings: StatisticsSettings, videos: pd.DataFrame) -> str:
    def used(column: str) -> str:
        values = sorted({(round(value, 3), unit) for value, unit in zip(videos[column], videos["unit"], strict=True)})
        return ", ".join(f"{value:g} {unit}" for value, unit in values)

    return (
        f"Positions were averaged over {settings.smooth_s:g} s before path lengths were measured. Birds slower than "
        f"{used('rest_below')}/s were at rest; contacts began below {used('contact')} and ended beyond 1.25 times "
        f"that; near, in the network, is below {used('near')}; a displacement is one bird entering a zone and another "
        f"leaving it within {settings.displacement_s:g} s."
    )


def mean_share(videos: pd.DataFrame, column: str, digits: int) -> str:
    """Return the mean over time of a share, in %, of the videos where it is known; ``not known`` where of none."""
    known = videos[videos[column].notna()]
    if known.empty:
        return "not known"
    return f"{np.average(known[column], weights=known['watched_s']):.{digits}%}"


def _names(videos: pd.DataFrame, settings: StatisticsSettings) -> str:
    return (
        f"{mean_share(videos, 'reviewed_share', 0)} of the time was reviewed by a person "
        f"({videos['corrections'].sum()} corrections). Named birds were not seen for "
        f"{mean_share(videos, 'not_seen_share', 1)} of the time. Identity error: the expected share of time under a "
        f"wrong name is {mean_share(videos, 'identity_error', 2)} (mean of 1 - p_identity); intervals of times are "
        f"basic bootstrap intervals from {settings.draws} draws in which each stretch followed without a break "
        "exchanged names with a random other bird with probability (1 - p_identity) / 2."
    )


def _sampling(counts: pd.DataFrame) -> str:
    blocks = counts["block_s"].dropna()
    length = f" (blocks of {blocks.min():.0f} to {blocks.max():.0f} s)" if len(blocks) else ""
    return (
        "Sampling error (time): standard errors and 95 % intervals come from a circular block bootstrap"
        f"{length}, block length by Politis and White (2004) from the autocorrelation, Student's t with the number of "
        "blocks less one degrees of freedom. They say how far the mean may be from that of a much longer recording of "
        "the same kind."
    )


def _detector(settings: StatisticsSettings) -> str:
    if settings.missed is None and settings.false is None:
        return "Detection error (missed and false birds) was not stated and is in none of these intervals."
    missed = "not stated" if settings.missed is None else f"{settings.missed:.1%}"
    false = "not stated" if settings.false is None else f"{settings.false:.1%}"
    return (
        f"Detection error is kept apart: share of birds missed {missed}, share of detections that are no bird {false}."
    )


def _cite(manifest: Manifest) -> str:
    return (
        f"Cite as: Lektrack {manifest.versions['lektrack']}, statistics of {manifest.started:%Y-%m-%d}; inputs by "
        "checksum in manifest.json."
    )
