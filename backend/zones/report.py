"""The report: one HTML file that needs nothing else, and every plot as PNG and SVG beside it."""

import io
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from backend.project.atomic import atomic_write
from backend.project.manifest import Manifest
from backend.reports.html_page import Card, Number, bullets, html, page, png_image, table
from backend.zones.bird_sequences import UNIDENTIFIED
from backend.zones.measures import Tables
from backend.zones.methods import mean_share, methods
from backend.zones.occupancy_map import OccupancyMaps
from backend.zones.plots import draw_plots

REPORT, METHODS = "report.html", "methods.txt"
DPI = 150
RINGS = {"transitions", "network"}  # plots that are as high as wide: side by side where there are both
TEXT_COLUMNS = ("bird", "zone", "video")
FORMATS = {
    "Time, s": "{:.1f}", "Time, %": "{:.1f}", "Seen, s": "{:.1f}", "Interpolated, s": "{:.1f}", "Missing, s": "{:.1f}",
    "Latency, s": "{:.1f}", "Mean stay, s": "{:.1f}", "Distance": "{:.2f}", "Speed": "{:.3f}", "Birds": "{:.2f}",
    "Standard error": "{:.2f}",
}  # fmt: skip


def write_report(folder: Path, tables: Tables, heat: OccupancyMaps, manifest: Manifest) -> list[str]:
    """Write plots, methods and report; return the names of the files."""
    (folder / "plots").mkdir(exist_ok=True)
    names, cards = [], []
    with mpl.rc_context({"svg.hashsalt": "lektrack", "svg.fonttype": "none", "font.family": "DejaVu Sans"}):
        plots = list(draw_plots(tables, heat))
        pair = {stem for stem, *_ in plots} >= RINGS
        for stem, title, note, figure in plots:
            png = _drawn(figure, "png")
            for kind, data in (("png", png), ("svg", _drawn(figure, "svg"))):
                atomic_write(folder / "plots" / f"{stem}.{kind}", data)
                names.append(f"plots/{stem}.{kind}")
            image = png_image(png, title, "small" if stem in RINGS else "")
            cards.append(Card(title, image, note, "half" if pair and stem in RINGS else "wide"))
    text = methods(tables, manifest)
    atomic_write(folder / METHODS, text + "\n")
    cards += _cards(tables, text, manifest)
    made = f"made {manifest.started:%Y-%m-%d %H:%M} UTC with zone_stats; tables lie beside this file"
    heading = f"Zone statistics {folder.name}"
    atomic_write(folder / REPORT, page(f"{folder.name}: zone statistics", heading, made, _numbers(tables), cards))
    return [*names, METHODS, REPORT]


def _drawn(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    figure.savefig(buffer, format=kind, dpi=DPI, facecolor="white", metadata=metadata)
    return buffer.getvalue()


def _cards(tables: Tables, text: str, manifest: Manifest) -> Iterator[Card]:
    yield _counts(tables["counts"])
    if "birds" in tables:
        yield _birds(tables["birds"])
    yield _videos(tables["videos"])
    yield Card("Methods", html('<p class="methods">{}</p>', text), f"Also in {METHODS}.", "wide")
    yield _provenance(manifest)


def _numbers(tables: Tables) -> list[Number]:
    videos = tables["videos"]
    numbers: list[Number] = [(len(videos), "videos"), (f"{videos['watched_s'].sum() / 60:.1f}", "minutes looked at")]
    inside = tables["counts"].query("kind == 'any'")
    mean = (inside["birds"] * inside["watched_s"]).sum() / inside["watched_s"].sum()
    numbers.append((f"{mean:.2f}", "birds in the zones on average"))
    if "birds" in tables:
        numbers += [
            (int((tables["birds"].drop_duplicates(["camera", "bird"])["bird"] != UNIDENTIFIED).sum()), "named birds"),
            (mean_share(videos, "not_seen_share", 1), "of their time not seen"),
            (mean_share(videos, "reviewed_share", 0), "reviewed by a person"),
            (mean_share(videos, "identity_error", 2), "expected under a wrong name"),
        ]
    return numbers


def _counts(counts: pd.DataFrame) -> Card:
    shown = pd.DataFrame(
        {
            "Video": counts["video"],
            "Zone": counts["zone"],
            "Birds": counts["birds"],
            "Standard error": counts["sampling_se"],
            "95 % sampling interval": _interval(counts["sampling_low"], counts["sampling_high"], 1, 2),
            "95 % detection bounds": _interval(counts["detection_low"], counts["detection_high"], 1, 2),
        }
    )
    note = (
        "Needs no identities: it holds where tracking fails. Sampling interval: how far the mean may be from that of a "
        "much longer recording; empty where the recording is too short to tell. Detection bounds: only where the "
        "detector's errors were stated."
    )
    return Card("Mean number of birds in each zone", _table(shown), note, "wide")


def _birds(birds: pd.DataFrame) -> Card:
    shown = pd.DataFrame(
        {
            "Video": birds["video"],
            "Bird": birds["bird"],
            "Zone": birds["zone"],
            "Time, s": birds["time_s"],
            "Time, %": 100 * birds["share"],
            "95 % sampling, %": _interval(birds["sampling_low"], birds["sampling_high"], 100, 1),
            "95 % identity, s": _interval(birds["identity_low_s"], birds["identity_high_s"], 1, 1),
            "Least to most, s": _interval(birds["least_s"], birds["most_s"], 1, 1),
            "Seen, s": birds["seen_s"],
            "Interpolated, s": birds["interpolated_s"],
            "Missing, s": birds["missing_s"],
            "Visits": birds["visits"],
            "Latency, s": birds["latency_s"],
            "Mean stay, s": birds["bout_mean_s"],
            "Stays cut": birds["bouts_cut"],
            "Distance": birds["distance"],
            "Speed": birds["speed"],
        }
    )
    note = (
        "Three errors, kept apart: sampling (a longer recording), identity (wrong names), detection (least: only time "
        "with a place; most: and all of its lost time). Missing: hidden, or not seen for too few samples to be lost."
    )
    return Card("Each bird in each zone", _table(shown), note, "wide")


def _videos(videos: pd.DataFrame) -> Card:
    columns = ["video", "camera", "start_time", "watched_s", "frame_rate", "named_birds", "not_seen_share"]
    columns += ["reviewed_share", "identity_error", "zones_version", "unit", "source", "run"]
    note = "Every column is explained in the sheet about of statistics.xlsx."
    return Card("Videos", _table(videos[columns]), note, "wide")


def _provenance(manifest: Manifest) -> Card:
    lines = []
    for run in manifest.inputs["runs"]:
        line = html("{}: <code>{}</code>, sha256 <code>{}</code>; ", run["video"], run["folder"], run["sha256"])
        line += html("zones version {}, sha256 <code>{}</code>", run["zones_version"], run["zones_sha256"])
        if run["corrections_sha256"]:
            line += html("; corrections sha256 <code>{}</code>", run["corrections_sha256"])
        lines.append(line)
    settings = ", ".join(f"{name} {value}" for name, value in manifest.settings.items() if value not in (None, {}))
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    body = bullets([*lines, f"Settings: {settings}", f"Versions: {versions}"])
    return Card(
        "Where the numbers come from", body, "The same, with checksums of all files, is in manifest.json.", "wide"
    )


def _interval(low: pd.Series, high: pd.Series, factor: float, digits: int) -> pd.Series:
    texts = [
        "" if pd.isna(a) or pd.isna(b) else f"{factor * a:.{digits}f} to {factor * b:.{digits}f}"
        for a, b in zip(low, high, strict=True)
    ]
    return pd.Series(texts, index=low.index)


def _table(values: pd.DataFrame) -> Markup:
    """Return the columns that hold anything."""
    values = values.loc[:, [(values[name].notna() & (values[name].astype(str) != "")).any() for name in values]]
    left = {0, *(index for index, name in enumerate(values) if name.lower() in TEXT_COLUMNS)}
    rows = (
        [_text(*pair) for pair in zip(values, row, strict=True)] for row in values.itertuples(index=False, name=None)
    )
    return table(list(values), rows, left)


def _text(name: str, value: object) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    return FORMATS.get(name, "{:.4g}").format(value) if isinstance(value, float) else str(value)
