"""The plots of the report, matplotlib figures: occupancy, time budgets, transitions, heat map, network."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
import pandas as pd
from matplotlib import dates
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon

from backend.masks.colours import as_hex, colour_of
from backend.zones.bird_sequences import UNIDENTIFIED
from backend.zones.measures import Tables
from backend.zones.occupancy_map import OccupancyMap, OccupancyMaps
from backend.zones.zone_file import LOST, OUTSIDE

INK, SOFT, FAINT, GREEN = "#22302f", "#5d6664", "#dedbd2", "#24706c"
OUTSIDE_COLOUR, LOST_COLOUR = "#c9c5b8", "#8a8f8c"
SINGLE = ("zone", "hidden zone")
MAX_VIDEOS = 6
WIDTH_IN = 9.2


def draw_plots(tables: Tables, heat: OccupancyMaps) -> Iterator[tuple[str, str, str, Figure]]:
    """Yield file stem, title, note and figure of every plot that these tables allow."""
    zones, tables = zones_of(tables), _named_birds_only(tables)
    yield ("occupancy", "Birds in each zone over time", *_occupancy(tables["counts_by_time"], zones))
    if "birds" in tables:
        yield ("time_budgets", "Where each bird spent its time", *_budgets(tables["birds"], zones))
        yield ("evidence", "What was seen of each bird", *_evidence(tables["birds"]))
    for camera, heat_map in heat.maps.items():
        stem = "heat_map" if len(heat.maps) == 1 else f"heat_map_{list(heat.maps).index(camera) + 1}"
        yield (stem, f"Where the birds were: {camera}", *_heat(heat_map))
    if "transition_matrix" in tables:
        matrix = tables["transition_matrix"].groupby(["from", "to"], sort=False)["n"].sum()
        if matrix.sum():
            yield ("transitions", "From zone to zone", *_transitions(matrix, zones))
        pairs = tables["pairs"].groupby(["bird", "other"], sort=False)[["near_s", "together_s"]].sum()
        if pairs["near_s"].sum():
            yield ("network", "Who is near whom", *_network(pairs))


def _named_birds_only(tables: Tables) -> Tables:
    """Return the tables with named birds only; with several cameras, the camera stands behind each name."""
    named = dict(tables)
    for name in {"birds", "pairs"} & set(tables):
        table = tables[name][tables[name]["bird"] != UNIDENTIFIED]
        if tables["videos"]["camera"].nunique() > 1:
            columns = [column for column in ("bird", "other") if column in table]
            table = table.assign(**{column: table[column] + ", " + table["camera"] for column in columns})
        named[name] = table
    return named


def zones_of(tables: Tables) -> list[str]:
    """Return the single zones, in their order."""
    counts = tables["counts"]
    return list(dict.fromkeys(counts.loc[counts["kind"].isin(SINGLE), "zone"]))


def zone_colours(zones: Sequence[str]) -> dict[str, str]:
    """Return a colour for each zone, and for outside and lost."""
    return {zone: as_hex(colour_of(k + 1)) for k, zone in enumerate(zones)} | {
        OUTSIDE: OUTSIDE_COLOUR,
        LOST: LOST_COLOUR,
    }


def _occupancy(table: pd.DataFrame, zones: Sequence[str]) -> tuple[str, Figure]:
    table = table[table["zone"].isin([*zones, OUTSIDE, LOST])]
    colours = zone_colours(zones)
    videos = list(dict.fromkeys(table["video"]))
    if len(videos) > MAX_VIDEOS:
        table = table.groupby(["zone", "hour"], sort=False)["birds"].mean().reset_index()
        figure, axes = _figure(1, 3.4)
        for zone, line in table.groupby("zone", sort=False):
            axes[0].plot(line["hour"], line["birds"], "o-", color=colours[zone], label=zone, lw=1.6, ms=3.5)
        axes[0].set_xlabel("hour of the day")
        _legend(figure, axes[0])
        return f"Mean of the bins of {len(videos)} videos by hour of the day; identities are not needed.", figure
    figure, axes = _figure(len(videos), 0.8 + 2.3 * len(videos))
    for axis, video in zip(axes, videos, strict=True):
        part = table[table["video"] == video]
        with_clock = (part["clock"] != "").all()
        offset = datetime.fromisoformat(part["clock"].iloc[0]).tzinfo if with_clock else None
        for zone, line in part.groupby("zone", sort=False):
            middle = (line["start_s"] + line["end_s"]) / 2
            x = middle
            if with_clock:  # with one offset, also where the clocks were changed meanwhile
                clock = pd.to_datetime(line["clock"], utc=True).dt.tz_convert(offset)
                x = clock + pd.to_timedelta(middle - line["start_s"], "s")
            width = 1.0 if zone in (OUTSIDE, LOST) else 1.8
            axis.plot(x, line["birds"], ".-", color=colours[zone], label=zone, lw=width, ms=4)
            axis.fill_between(x, line["sampling_low"], line["sampling_high"], color=colours[zone], alpha=0.15, lw=0)
        if with_clock:
            axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(axis.xaxis.get_major_locator(), tz=offset))
        else:
            axis.set_xlabel("s from the start of the video")
        axis.set_title(video, loc="left", fontsize=9, color=SOFT)
        axis.set_ylabel("birds")
        axis.set_ylim(bottom=0)
    _legend(figure, axes[0])
    note = "Mean number in each bin, without identities. Bands: 95 % sampling interval where a bin is long enough."
    return note, figure


def _budgets(birds: pd.DataFrame, zones: Sequence[str]) -> tuple[str, Figure]:
    shown = [*zones, OUTSIDE, LOST]
    shares = _shares(birds, shown, "time_s")
    figure, (axis,) = _figure(1, 1.2 + 0.27 * len(shares))
    _stacked(axis, shares, zone_colours(zones))
    axis.set_xlabel("share of the time, %")
    _legend(figure, axis)
    over = " Zones overlap, so that some bars are longer than 100 %." if (shares.sum(axis=1) > 100.5).any() else ""
    return f"Lost (zone 0) is not outside: it is not known where the bird was.{over}", figure


def _evidence(birds: pd.DataFrame) -> tuple[str, Figure]:
    whole = birds[birds["kind"].isin(["any", "outside", "lost"])].copy()
    lost = whole["kind"] == "lost"
    whole["lost"] = whole["missing_s"].where(lost, 0)
    whole["hidden or bridged"] = whole["missing_s"].where(~lost, 0)
    sums = whole.groupby("bird", sort=False)[["seen_s", "interpolated_s", "hidden or bridged", "lost"]].sum()
    shares = (100 * sums.div(sums.sum(axis=1), axis=0)).rename(
        columns={"seen_s": "seen", "interpolated_s": "interpolated"}
    )
    figure, (axis,) = _figure(1, 1.2 + 0.27 * len(shares))
    _stacked(axis, shares, dict(zip(shares.columns, (GREEN, "#7fb9b0", "#e0b64a", LOST_COLOUR), strict=True)))
    axis.set_xlabel("share of the time, %")
    _legend(figure, axis)
    return "Only time that was seen rests on a detection.", figure


def _shares(birds: pd.DataFrame, zones: Sequence[str], column: str) -> pd.DataFrame:
    part = birds[birds["zone"].isin(zones)]
    time = part.pivot_table(index="bird", columns="zone", values=column, aggfunc="sum", sort=False, fill_value=0)
    watched = part.drop_duplicates(["video", "bird"]).groupby("bird", sort=False)["watched_s"].sum()
    return 100 * time.reindex(columns=zones, fill_value=0).div(watched, axis=0)


def _stacked(axis, shares: pd.DataFrame, colours: dict[str, str]) -> None:
    left = np.zeros(len(shares))
    for column in shares.columns:
        values = shares[column].to_numpy(float)
        axis.barh(
            shares.index, values, left=left, color=colours[column], label=column, height=0.72, edgecolor="white", lw=0.4
        )
        left += values
    axis.set_ylim(len(shares) - 0.4, -0.6)
    axis.set_xlim(0, max(100, left.max(initial=0)))
    axis.grid(axis="y", visible=False)


def _heat(heat: OccupancyMap) -> tuple[str, Figure]:
    width, height = heat.zones.image_size
    figure = Figure(figsize=(WIDTH_IN, 0.88 * WIDTH_IN * height / width), layout="constrained")
    axis = figure.add_subplot()
    axis.set_axis_off()
    if heat.picture is not None:
        grey = heat.picture.mean(axis=2)
        axis.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0), interpolation="bilinear")
    top = heat.seconds.max()
    if top > 0:
        level = np.sqrt(heat.seconds / top)
        shown = axis.imshow(
            np.where(heat.seconds > 0, heat.seconds, np.nan), cmap="inferno", extent=(0, width, height, 0),
            alpha=np.clip(0.25 + level, 0, 0.85) * (heat.seconds > 0), norm="log" if top > 1 else None,
        )  # fmt: skip
        bar = figure.colorbar(shown, ax=axis, shrink=0.8, pad=0.01)
        bar.set_label("bird-seconds", color=SOFT, fontsize=8)
        bar.ax.tick_params(labelsize=8, colors=SOFT)
        bar.outline.set_visible(False)
    for zone, colour in zip(
        heat.zones.zones, zone_colours([zone.name for zone in heat.zones.zones]).values(), strict=False
    ):
        axis.add_patch(Polygon(zone.polygon, closed=True, fill=False, ec=zone.colour or colour, lw=1.6))
        x, y = zone.polygon.mean(axis=0)
        text = axis.text(x, y, zone.name, color="white", fontsize=8, ha="center", va="center")
        text.set_bbox({"facecolor": "#000000", "alpha": 0.45, "lw": 0, "pad": 1.5})
    axis.set_xlim(0, width)
    axis.set_ylim(height, 0)
    ground = (
        "over the middle frame of the camera's first video" if heat.picture is not None else "no frame could be read"
    )
    return f"Time with a place, by ground point, {ground}.", figure


def _transitions(matrix: pd.Series, zones: Sequence[str]) -> tuple[str, Figure]:
    used = [zone for zone in zones if any(n and zone in key for key, n in matrix.items())]
    colours, positions = zone_colours(zones), _ring(len(used))
    figure, axis = _ring_figure()
    top = matrix.max()
    for (start, end), n in matrix.items():
        if n:
            a, b = positions[used.index(start)], positions[used.index(end)]
            _arrow(axis, a, b, 0.6 + 4.5 * n / top, colours[start])
            middle = (a + b) / 2 + 0.13 * np.array([b[1] - a[1], a[0] - b[0]])
            axis.text(*middle, f"{n:g}", fontsize=8, color=INK, ha="center", va="center")
    _nodes(axis, positions, used, [colours[zone] for zone in used])
    return (
        "Passages of named birds. Time outside in between is skipped; passages in which a bird was lost do not count.",
        figure,
    )


def _network(pairs: pd.DataFrame) -> tuple[str, Figure]:
    birds = list(dict.fromkeys(pairs.index.get_level_values(0)))
    positions = _ring(len(birds))
    figure, axis = _ring_figure()
    weight = (pairs["near_s"] / pairs["together_s"]).fillna(0)
    top = weight.max()
    for (bird, other), value in weight.items():
        if value > 0 and birds.index(bird) < birds.index(other):
            line = np.array([positions[birds.index(bird)], positions[birds.index(other)]])
            axis.plot(*line.T, color=GREEN, lw=0.3 + 6 * value / top, alpha=0.25 + 0.6 * value / top, zorder=1)
    _nodes(axis, positions, birds, ["#e8e4da"] * len(birds))
    return (
        f"Width: share of the time both were seen that two birds were near each other; the widest is {top:.0%}.",
        figure,
    )


def _figure(rows: int, height_in: float) -> tuple[Figure, list]:
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(rows, 1)))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(FAINT)
        axis.tick_params(colors=SOFT, labelsize=8, length=0)
        axis.grid(color=FAINT, lw=0.6)
        axis.set_axisbelow(True)
        for label in (axis.xaxis.label, axis.yaxis.label):
            label.set(color=SOFT, fontsize=9)
    return figure, axes


def _legend(figure: Figure, axis) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=min(6, len(labels)), frameon=False, fontsize=8)


def _ring(n: int) -> np.ndarray:
    angle = np.pi / 2 - 2 * np.pi * np.arange(n) / max(1, n)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def _ring_figure() -> tuple[Figure, object]:
    figure = Figure(figsize=(6.6, 5.2), layout="constrained")
    axis = figure.add_subplot()
    axis.set_axis_off()
    axis.set_aspect("equal")
    axis.set_xlim(-1.7, 1.7)
    axis.set_ylim(-1.3, 1.3)
    return figure, axis


def _nodes(axis, positions: np.ndarray, names: Sequence[str], colours: Sequence[str]) -> None:
    axis.scatter(*positions.T, s=320, c=colours, edgecolors=INK, linewidths=0.8, zorder=3)
    for position, name in zip(positions, names, strict=True):
        side = "left" if position[0] > 0.2 else "right" if position[0] < -0.2 else "center"
        up = 0 if side != "center" else 0.14 * np.sign(position[1])
        axis.text(*(position * 1.12 + [0, up]), name, ha=side, va="center", fontsize=9, color=INK, zorder=4)


def _arrow(axis, a: np.ndarray, b: np.ndarray, width: float, colour: str) -> None:
    axis.add_patch(
        FancyArrowPatch(
            a, b, connectionstyle="arc3,rad=0.18", arrowstyle="-|>,head_length=5,head_width=3", shrinkA=11, shrinkB=11,
            lw=width, color=colour, alpha=0.85, zorder=2,
        )
    )  # fmt: skip
