"""Plots of statistics, and comparisons of videos, days, hours, cameras."""

import json

import altair as alt
import pandas as pd
import streamlit as st

from backend.zones.plots import SINGLE, zone_colours
from backend.zones.statistics_library import StatisticsRun
from backend.zones.zone_file import LOST, OUTSIDE
from gui.widgets.statistics_tables import table_of

MOST_POINTS = 4000  # a browser draws no more smoothly
HEIGHT, SHORT_S = 360, 300
LEGEND = alt.Legend(title=None, orient="top", columns=5, symbolOpacity=1)
LEVELS = {"videos": "video", "days": "day", "hours of the day": "hour", "cameras": "camera"}


def show_plots(run: StatisticsRun) -> tuple[str, float] | None:
    """Draw occupancy over time and time budgets of one video; return video and time of the point that was clicked."""
    counts = table_of(run, "counts_by_time")
    videos = list(dict.fromkeys(counts["video"]))
    video = st.selectbox("Video", videos, key=f"plots-{run.folder.name}") if len(videos) > 1 else videos[0]
    chosen = _occupancy(run, counts[counts["video"] == video])
    if "birds" in run.tables:
        birds = table_of(run, "birds")
        _budgets(birds[birds["video"] == video])
    return video, chosen


def zone_scale(table: pd.DataFrame) -> alt.Scale:
    """Return the colours of zones, outside and lost, the same in all plots and in the report."""
    colours = zone_colours(list(dict.fromkeys(table.loc[table["kind"].isin(SINGLE), "zone"])))
    return alt.Scale(domain=list(colours), range=list(colours.values()))


def _single(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["kind"].isin(SINGLE) | table["zone"].isin([OUTSIDE, LOST])]


def _occupancy(run: StatisticsRun, counts: pd.DataFrame) -> float:
    """Draw birds in each zone over time; return the time of the clicked point, else the middle of the video."""
    shown = _single(counts)
    middle_s = (shown["start_s"] + shown["end_s"]) / 2
    unit, divisor = ("minutes", 60) if middle_s.max() > SHORT_S else ("seconds", 1)
    shown = shown.assign(middle_s=middle_s, time=middle_s / divisor)
    every = max(1, len(shown) // MOST_POINTS)
    bins = sorted(shown["start_s"].unique())[::every]
    shown = shown[shown["start_s"].isin(bins)]
    st.subheader("Birds in each zone over time")
    st.caption(
        "Independent of identities. Bands: 95 % sampling interval, if bins are long enough. Click a point to see it."
    )
    scale = zone_scale(counts)
    shown = shown.sort_values("zone", key=lambda zones: -zones.map(scale.domain.index), kind="stable")  # zones on top
    colour = alt.Color("zone:N", scale=scale, legend=LEGEND)
    x = alt.X("time:Q", title=f"{unit} from the start of the video")
    base = alt.Chart(shown).encode(x=x, color=colour)
    point = alt.selection_point(name="point", fields=["middle_s", "zone"], nearest=True, on="click", empty=False)
    tips = ["zone", "clock", alt.Tooltip("birds", format=".2f"), alt.Tooltip("sampling_se", format=".2f")]
    chart = alt.layer(
        base.mark_area(opacity=0.14).encode(y="sampling_low:Q", y2="sampling_high:Q"),
        base.mark_line().encode(y=alt.Y("birds:Q", title="birds")),
        base.mark_circle(size=45).encode(
            y="birds:Q", tooltip=tips, size=alt.condition(point, alt.value(160), alt.value(45))
        ).add_params(point),
    ).properties(height=HEIGHT)  # fmt: skip
    event = st.altair_chart(chart, on_select="rerun", selection_mode="point", key=f"occupancy-{run.folder.name}")
    picked = event.selection.get("point") or []
    return float(picked[0]["middle_s"]) if picked else float(shown["middle_s"].median())


def _budgets(birds: pd.DataFrame) -> None:
    st.subheader("Where each bird spent its time")
    st.caption("Lost (zone 0) is not outside: the bird's position is unknown.")
    shown = _single(birds)
    shown = shown[shown["share"].notna()].assign(percent=lambda each: 100 * each["share"])
    order = list(zone_scale(birds).domain)
    chart = (
        alt.Chart(shown.assign(place=shown["zone"].map(order.index)))
        .mark_bar()
        .encode(
            x=alt.X("percent:Q", title="share of the time, %"),
            y=alt.Y("bird:N", title=None, axis=alt.Axis(labelOverlap=False)),
            color=alt.Color("zone:N", scale=zone_scale(birds), legend=LEGEND),
            order="place:Q",
            tooltip=[
                "bird", "zone", alt.Tooltip("time_s", format=".1f"), alt.Tooltip("percent", format=".1f"),
                alt.Tooltip("identity_low_s", format=".1f"), alt.Tooltip("identity_high_s", format=".1f"),
                alt.Tooltip("seen_s", format=".1f"), alt.Tooltip("interpolated_s", format=".1f"),
                alt.Tooltip("missing_s", format=".1f"),
            ],
        )
        .properties(height=30 * shown["bird"].nunique() + 150)
    )  # fmt: skip
    st.altair_chart(chart)


def show_comparison(run: StatisticsRun) -> None:
    """Draw bars of one measure side by side for videos, days, hours or cameras."""
    left, right = st.columns(2)
    level = LEVELS[left.segmented_control("Compare", list(LEVELS), default="videos") or "videos"]
    counts = table_of(run, "counts") if level == "video" else _level(table_of(run, "counts_pooled"), level)
    subjects = ["Mean number of birds"]
    if "birds" in run.tables:
        birds = table_of(run, "birds") if level == "video" else _level(table_of(run, "birds_pooled"), level)
        subjects += sorted(birds.loc[birds["share"].notna(), "bird"].unique())
    subject = right.selectbox(
        "Of", subjects, format_func=lambda each: each if each == subjects[0] else f"Time of {each}"
    )
    if subject == subjects[0]:
        shown = _single(counts).assign(value=lambda each: each["birds"], se=lambda each: each["sampling_se"])
        label = "birds"
    else:
        shown = _single(birds[birds["bird"] == subject]).assign(value=lambda each: 100 * each["share"])
        shown["se"] = 100 * shown["sampling_se"] if "sampling_se" in shown else float("nan")
        label = "share of the time, %"
    if shown.empty:
        st.info("These videos have no start time, so days and hours are unknown.")
        return
    several = shown["camera"].nunique() > 1 and level not in ("camera", "video")
    shown = shown.assign(
        of=shown[level].astype(str) + (", " + shown["camera"] if several else ""),
        low=(shown["value"] - shown["se"]).clip(lower=0), high=shown["value"] + shown["se"],
    )  # fmt: skip
    _bars(shown, zone_scale(counts), label)
    st.caption("Lines: one standard error of sampling, for recordings that are long enough.")


def _bars(shown: pd.DataFrame, scale: alt.Scale, label: str) -> None:
    """Draw groups of bars with their errors. Places are computed here: lines beside shifted bars would miss them."""
    groups, zones = list(dict.fromkeys(shown["of"])), [zone for zone in scale.domain if zone in set(shown["zone"])]
    step = len(zones) + 1
    left = shown["of"].map(groups.index) * step + shown["zone"].map(zones.index)
    shown = shown.assign(left=left + 0.08, middle=left + 0.5, right=left + 0.92, zero=0.0)
    centres = [step * k + len(zones) / 2 for k in range(len(groups))]
    axis = alt.Axis(
        values=centres, labelExpr=f"{json.dumps(groups)}[floor(datum.value / {step})]", grid=False, ticks=False
    )
    width = alt.Scale(domain=[-0.5, step * len(groups) - 0.5], nice=False)
    base = alt.Chart(shown)
    bars = base.mark_rect().encode(
        x=alt.X("left:Q", title=None, axis=axis, scale=width),
        x2="right:Q",
        y=alt.Y("zero:Q", title=label),
        y2="value:Q",
        color=alt.Color("zone:N", scale=scale, legend=LEGEND),
        tooltip=["of", "zone", alt.Tooltip("value", format=".2f"), alt.Tooltip("se", format=".2f")],
    )
    lines = base.mark_rule(color="#8a8f8c", strokeWidth=2).encode(x="middle:Q", y="low:Q", y2="high:Q")
    st.altair_chart((bars + lines).properties(height=HEIGHT + 80))


def _level(table: pd.DataFrame, level: str) -> pd.DataFrame:
    part = table[table["by"] == level]
    return part[part["day"] != ""] if level == "day" else part[part["hour"] >= 0] if level == "hour" else part
