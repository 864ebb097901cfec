"""The report drawn as one HTML file that needs nothing else: no script, no picture, no network."""

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from backend.dataset.svg import heat_map, level_bars, stacked_bars, strips

CSS = (Path(__file__).parent / "report.css").read_text()
SVG = re.compile(r'<svg [^>]*aria-label="([^"]*)">.*?</svg>', re.DOTALL)
TRAIN, VAL, LEFT_OUT = "var(--series-1)", "var(--series-2)", "var(--series-3)"
BOTH = (TRAIN, VAL)
KEY = (
    f'<span class="key" style="background:{TRAIN}"></span>training'
    f'<span class="key" style="background:{VAL}"></span>validation'
)
KEY_3 = KEY + f'<span class="key" style="background:{LEFT_OUT}"></span>left out between them'


def as_html(report: Mapping[str, Any]) -> str:
    """Return the report as a page of its own, in the light or dark of the reader's system."""
    name = escape(report["name"])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{name}: data set</title><style>{CSS}</style></head><body class="report">'
        f'<h1>Data set {name}</h1><p class="when">made {escape(report["made"])} with mask2coco</p>'
        f"{_figures(report)}</body></html>\n"
    )


def as_part(report: Mapping[str, Any], theme: str) -> str:
    """Return the report as a part of another page, whose ``theme`` is ``light`` or ``dark``.

    Drawings become pictures of their own there, because pages that clean foreign HTML remove SVG elements.
    """
    kind = "dark" if theme == "dark" else "light"

    def as_picture(match: re.Match[str]) -> str:
        svg = match[0].replace(">", f' class="report {kind}"><style>{escape(CSS, quote=False)}</style>', 1)
        return f'<img src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}" alt="{match[1]}">'

    figures = SVG.sub(as_picture, _figures(report))
    return f'<style>{CSS}</style><div class="report {kind}">{figures}</div>'


def _figures(report: Mapping[str, Any]) -> str:
    sections = [
        _remarks(report["remarks"]),
        _figure("Where the frames went", _strips(report["videos"]), KEY_3, wide=True),
        _figure("Birds in an image", _cardinality(report), KEY + _density(report)),
        _figure("Size of the masks", _sizes(report["mask_sizes"]), KEY + _size_note(report["mask_sizes"])),
        _figure("Where the birds are", _heat(report), "Centres of the boxes, all images laid over each other."),
        _figure("Labels worth a second look", _flags(report["suspicious"]), "Nothing was dropped for these."),
        _figure("Classes", _classes(report["classes"]), KEY + _shares(report["classes"])),
        _figure("Videos", _videos(report["videos"]), f"Instances. {KEY}"),
        _duplicates(report["duplicates"]),
        _tables(report),
    ]
    return f'{_numbers(report)}<div class="cards">{"".join(sections)}</div>'


def _numbers(report: Mapping[str, Any]) -> str:
    sides = report["by_side"]
    shown = [
        (sides["train"]["images"], "training images"),
        (sides["val"]["images"], "validation images"),
        (report["instances"], "instances"),
        (f"{report['cardinality']:.2f}", "instances per image (cardinality)"),
        (f"{report['density']:.2f}", "cardinality by number of classes (density)"),
        (len(report["videos"]), "videos"),
        (len(report["classes"]), "classes"),
    ]
    boxes = "".join(f"<div><b>{value}</b><span>{text}</span></div>" for value, text in shown)
    return f'<div class="numbers">{boxes}</div>'


def _figure(title: str, drawing: str, note: str, wide: bool = False) -> str:
    kind = ' class="wide"' if wide else ""
    return f"<section{kind}><h2>{escape(title)}</h2>{drawing}<p>{note}</p></section>"


def _remarks(lines: Sequence[str]) -> str:
    body = "".join(f"<li>{escape(line)}</li>" for line in lines) or "<li>Nothing stood out.</li>"
    return f'<section class="wide"><h2>What to know</h2><ul>{body}</ul></section>'


def _strips(videos: Sequence[Mapping[str, Any]]) -> str:
    return strips([(video["name"], video["strip"]) for video in videos], (TRAIN, VAL, LEFT_OUT))


def _cardinality(report: Mapping[str, Any]) -> str:
    rows = report["instances_per_image"]
    series = {side: [row[side] for row in rows] for side in ("train", "val")}
    return stacked_bars([str(row["instances"]) for row in rows], series, "instances in the image", "images", BOTH)


def _density(report: Mapping[str, Any]) -> str:
    classes = len(report["classes"])
    return f"<br>On average {report['cardinality']:.2f} of {classes} class(es): density {report['density']:.2f}."


def _sizes(sizes: Mapping[str, Any]) -> str:
    used = [place for place in range(len(sizes["train"])) if sizes["train"][place] + sizes["val"][place]]
    places = range(used[0], used[-1] + 1) if used else range(1)
    labels = [f"{sizes['edges_px'][place]:.0f}" for place in places]
    series = {side: [sizes[side][place] for place in places] for side in ("train", "val")}
    return stacked_bars(labels, series, "square root of the area, px (from)", "masks", BOTH)


def _size_note(sizes: Mapping[str, Any]) -> str:
    coco = sizes["coco"]
    return (
        f"<br>Mean {sizes['mean_px']:.0f} px. As COCO counts: {coco['small']} small (under 32 x 32 px), "
        f"{coco['medium']} medium, {coco['large']} large (96 x 96 px and more)."
    )


def _heat(report: Mapping[str, Any]) -> str:
    size = report["image_sizes"][0]
    return heat_map(report["heat_map"], size["width"] / size["height"], "instances")


def _classes(classes: Sequence[Mapping[str, Any]]) -> str:
    series = {side: [entry[side] for entry in classes] for side in ("train", "val")}
    return level_bars([entry["name"] for entry in classes], series, BOTH)


def _shares(classes: Sequence[Mapping[str, Any]]) -> str:
    return "<br>" + "; ".join(
        f"{escape(entry['name'])}: {entry['share']:.1%} of instances, in {entry['images']} images" for entry in classes
    )


def _videos(videos: Sequence[Mapping[str, Any]]) -> str:
    series = {side: [video[f"{side}_instances"] for video in videos] for side in ("train", "val")}
    return level_bars([video["name"] for video in videos], series, BOTH)


def _flags(flags: Sequence[Mapping[str, Any]]) -> str:
    drawing = level_bars([entry["meaning"] for entry in flags], {"masks": [e["count"] for e in flags]}, (VAL,), 300)
    lists = [_examples(entry) for entry in flags if entry["examples"]]
    return drawing + "".join(lists)


def _examples(entry: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<li><code>{escape(example['file_name'])}</code>, annotation {example['annotation_id']}"
        + (f", object {example['object']}" if example["object"] else "")
        + "</li>"
        for example in entry["examples"]
    )
    return _folded(f"{entry['meaning']}: the first {len(entry['examples'])}", rows)


def _folded(title: str, rows: str) -> str:
    return f"<details><summary>{escape(title)}</summary><ul>{rows}</ul></details>"


def _duplicates(duplicates: Mapping[str, Any]) -> str:
    drawing = level_bars(
        ["groups on one side", "groups on both sides"],
        {"groups": [duplicates["groups"] - duplicates["groups_on_both_sides"], duplicates["groups_on_both_sides"]]},
        (VAL,),
    )
    rows = "".join(
        "<li>"
        + ", ".join(f"<code>{escape(image['file_name'])}</code> ({image['side']})" for image in group["images"])
        + (f" and {group['count'] - len(group['images'])} more" if group["count"] > len(group["images"]) else "")
        + "</li>"
        for group in duplicates["examples"]
    )
    named = _folded(f"the first {len(duplicates['examples'])} groups", rows) if rows else ""
    note = "Copies of a file, and pictures in which nothing moved. A group on both sides flatters the validation."
    return _figure("Images that show the same", drawing + named, note)


def _tables(report: Mapping[str, Any]) -> str:
    head = (
        "<tr><th>Video</th><th>Training images</th><th>Validation images</th><th>Instances</th><th>per image</th></tr>"
    )
    rows = []
    for video in report["videos"]:
        images = video["train_images"] + video["val_images"]
        instances = video["train_instances"] + video["val_instances"]
        rows.append(
            f"<tr><td>{escape(video['name'])}</td><td>{video['train_images']}</td><td>{video['val_images']}</td>"
            f"<td>{instances}</td><td>{instances / max(1, images):.2f}</td></tr>"
        )
    sizes = "; ".join(
        f"{size['images']} of {size['width']} x {size['height']} px" for size in report["image_sizes"][:8]
    )
    table = f"<table>{head}{''.join(rows)}</table>"
    return _figure("Videos in numbers", table, f"Images: {escape(sizes)}.", wide=True)
