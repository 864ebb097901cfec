"""The report: one HTML file that needs nothing else, and every plot as PNG and SVG beside it."""

import base64
import io
from html import escape
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from backend.dataset.report_html import CSS
from backend.project.atomic import atomic_write
from backend.project.manifest import Manifest
from backend.zones.bird_sequences import NOT_TOLD_APART
from backend.zones.methods import mean_share, methods
from backend.zones.occupancy_map import HeatMaps
from backend.zones.plots import draw_plots
from backend.zones.tables import Tables

REPORT, METHODS = "report.html", "methods.txt"
DPI = 150
RINGS = {"transitions", "network"}  # plots that are as high as wide: side by side where there are both
OWN_CSS = """
.report section img { background: #ffffff; border-radius: 6px; padding: 6px; box-sizing: border-box; }
.report section img.small { max-width: 800px; margin: 0 auto; }
.report td.left, .report th.left { text-align: left; }
.report .scroll td, .report .scroll th { white-space: nowrap; overflow-wrap: normal; }
.report .scroll th { position: sticky; top: 0; background: var(--card); }
.report .scroll { overflow-x: auto; max-height: 560px; overflow-y: auto; }
.report .methods { font-size: 15px; color: var(--ink); max-width: 95ch; }
.report section.half { grid-column: span 1; }
"""
TEXT = ("bird", "zone", "video")
FORMATS = {
    "Time, s": "{:.1f}", "Time, %": "{:.1f}", "Seen, s": "{:.1f}", "Interpolated, s": "{:.1f}", "Missing, s": "{:.1f}",
    "Latency, s": "{:.1f}", "Mean stay, s": "{:.1f}", "Distance": "{:.2f}", "Speed": "{:.3f}", "Birds": "{:.2f}",
    "Standard error": "{:.2f}",
}  # fmt: skip


def write_report(folder: Path, tables: Tables, heat: HeatMaps, manifest: Manifest) -> list[str]:
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
            cards.append(_card(title, _picture(png, title, stem in RINGS), note, pair and stem in RINGS))
    text = methods(tables, manifest)
    atomic_write(folder / METHODS, text + "\n")
    atomic_write(folder / REPORT, _page(folder.name, tables, cards, text, manifest))
    return [*names, METHODS, REPORT]


def _drawn(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    figure.savefig(buffer, format=kind, dpi=DPI, facecolor="white", metadata=metadata)
    return buffer.getvalue()


def _page(name: str, tables: Tables, cards: list[str], text: str, manifest: Manifest) -> str:
    videos = tables["videos"]
    sections = [*cards, _counts(tables["counts"])]
    if "birds" in tables:
        sections.append(_birds(tables["birds"]))
    sections.append(_videos(videos))
    sections.append(_card("Methods", f'<p class="methods">{escape(text)}</p>', f"Also in {METHODS}."))
    sections.append(_provenance(manifest))
    title = escape(name)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: zone statistics</title><style>{CSS}{OWN_CSS}</style></head>"
        f'<body class="report"><h1>Zone statistics {title}</h1>'
        f'<p class="when">made {manifest.started:%Y-%m-%d %H:%M} UTC with zone_stats; tables lie beside this file</p>'
        f'{_numbers(tables)}<div class="cards">{"".join(sections)}</div></body></html>\n'
    )


def _numbers(tables: Tables) -> str:
    videos = tables["videos"]
    shown = [(len(videos), "videos"), (f"{videos['watched_s'].sum() / 60:.1f}", "minutes looked at")]
    inside = tables["counts"].query("kind == 'any'")
    mean = (inside["birds"] * inside["watched_s"]).sum() / inside["watched_s"].sum()
    shown.append((f"{mean:.2f}", "birds in the zones on average"))
    if "birds" in tables:
        shown += [
            (int((tables["birds"].drop_duplicates(["camera", "bird"])["bird"] != NOT_TOLD_APART).sum()), "named birds"),
            (mean_share(videos, "not_seen_share", 1), "of their time not seen"),
            (mean_share(videos, "reviewed_share", 0), "reviewed by a person"),
            (mean_share(videos, "identity_error", 2), "expected under a wrong name"),
        ]
    boxes = "".join(f"<div><b>{value}</b><span>{what}</span></div>" for value, what in shown)
    return f'<div class="numbers">{boxes}</div>'


def _card(title: str, body: str, note: str, half: bool = False) -> str:
    kind = "half" if half else "wide"
    return f'<section class="{kind}"><h2>{escape(title)}</h2>{body}<p>{escape(note)}</p></section>'


def _picture(png: bytes, title: str, small: bool = False) -> str:
    kind = ' class="small"' if small else ""
    return f'<img{kind} alt="{escape(title)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _counts(counts: pd.DataFrame) -> str:
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
    return _card("Mean number of birds in each zone", _table(shown), note)


def _birds(birds: pd.DataFrame) -> str:
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
    return _card("Each bird in each zone", _table(shown), note)


def _videos(videos: pd.DataFrame) -> str:
    columns = ["video", "camera", "start_time", "watched_s", "frame_rate", "named_birds", "not_seen_share"]
    columns += ["reviewed_share", "identity_error", "zones_version", "unit", "source", "run"]
    return _card("Videos", _table(videos[columns]), "Every column is explained in the sheet about of statistics.xlsx.")


def _provenance(manifest: Manifest) -> str:
    rows = "".join(
        f"<li>{escape(run['video'])}: <code>{escape(run['folder'])}</code>, sha256 <code>{run['sha256']}</code>; zones "
        f"version {run['zones_version']}, sha256 <code>{run['zones_sha256']}</code>"
        + (f"; corrections sha256 <code>{run['corrections_sha256']}</code>" if run["corrections_sha256"] else "")
        + "</li>"
        for run in manifest.inputs["runs"]
    )
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    settings = ", ".join(f"{name} {value}" for name, value in manifest.settings.items() if value not in (None, {}))
    body = f"<ul>{rows}<li>Settings: {escape(settings)}</li><li>Versions: {escape(versions)}</li></ul>"
    return _card("Where the numbers come from", body, "The same, with checksums of all files, is in manifest.json.")


def _interval(low: pd.Series, high: pd.Series, factor: float, digits: int) -> pd.Series:
    texts = [
        "" if pd.isna(a) or pd.isna(b) else f"{factor * a:.{digits}f} to {factor * b:.{digits}f}"
        for a, b in zip(low, high, strict=True)
    ]
    return pd.Series(texts, index=low.index)


def _table(table: pd.DataFrame) -> str:
    table = table.loc[:, [(table[name].notna() & (table[name].astype(str) != "")).any() for name in table]]
    left = {name: ' class="left"' if name.lower() in TEXT else "" for name in table}
    head = "".join(f"<th{left[name]}>{escape(name)}</th>" for name in table)
    rows = "".join(
        "<tr>"
        + "".join(f"<td{left[name]}>{_text(name, value)}</td>" for name, value in zip(table, row, strict=True))
        + "</tr>"
        for row in table.itertuples(index=False, name=None)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _text(name: str, value: object) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, float):
        return FORMATS.get(name, "{:.4g}").format(value)
    return escape(str(value))
