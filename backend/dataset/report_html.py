"""The report on a data set as HTML: `make_report`'s values in numbers, drawings and tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from backend.reports.html_page import Card, Number, bullets, folded, html, legend, page, page_part, table
from backend.reports.svg import heat_map, level_bars, stacked_bars, strips

TRAIN, VAL, LEFT_OUT = "var(--series-1)", "var(--series-2)", "var(--series-3)"
BOTH = (TRAIN, VAL)
SIDES = legend((TRAIN, "training"), (VAL, "validation"))
SIDES_AND_GAPS = SIDES + legend((LEFT_OUT, "left out between them"))
BREAK = html("<br>")

Report = Mapping[str, Any]


def as_html(report: Report) -> str:
    """Return the report as a page of its own, in the light or dark of the reader's system."""
    name = report["name"]
    made = f"made {report['made']} with mask2coco"
    return page(f"{name}: data set", f"Data set {name}", made, _numbers(report), _cards(report))


def as_part(report: Report, theme: str) -> str:
    """Return the report as a part of another page, whose ``theme`` is ``light`` or ``dark``."""
    return page_part(_numbers(report), _cards(report), theme)


def _numbers(report: Report) -> list[Number]:
    sides = report["by_side"]
    return [
        (sides["train"]["images"], "training images"),
        (sides["val"]["images"], "validation images"),
        (report["instances"], "instances"),
        (f"{report['cardinality']:.2f}", "instances per image (cardinality)"),
        (f"{report['density']:.2f}", "cardinality by number of classes (density)"),
        (len(report["videos"]), "videos"),
        (len(report["classes"]), "classes"),
    ]


def _cards(report: Report) -> Iterator[Card]:
    videos, classes, sizes = report["videos"], report["classes"], report["mask_sizes"]
    yield Card("What to know", bullets(report["remarks"] or ["Nothing stood out."]), width="wide")
    pieces = [(video["name"], video["strip"]) for video in videos]
    yield Card("Where the frames went", strips(pieces, (TRAIN, VAL, LEFT_OUT)), SIDES_AND_GAPS, "wide")
    yield Card("Birds in an image", _cardinality(report), SIDES + BREAK + _density(report))
    yield Card("Size of the masks", _sizes(sizes), SIDES + BREAK + _size_note(sizes))
    yield Card("Where the birds are", _heat(report), "Centres of the boxes, all images laid over each other.")
    yield Card("Labels worth a second look", _flags(report["suspicious"]), "Nothing was dropped for these.")
    yield Card("Classes", _by_side(classes, "{}"), SIDES + BREAK + _shares(classes))
    yield Card("Videos", _by_side(videos, "{}_instances"), "Instances. " + SIDES)
    yield _duplicates(report["duplicates"])
    yield _videos_in_numbers(report)


def _by_side(entries: Sequence[Report], key: str) -> Markup:
    """Return a bar for each entry, by its name; ``key`` names its counts in training and validation."""
    series = {side: [entry[key.format(side)] for entry in entries] for side in ("train", "val")}
    return level_bars([entry["name"] for entry in entries], series, BOTH)


def _cardinality(report: Report) -> Markup:
    rows = report["instances_per_image"]
    series = {side: [row[side] for row in rows] for side in ("train", "val")}
    return stacked_bars([str(row["instances"]) for row in rows], series, "instances in the image", "images", BOTH)


def _density(report: Report) -> str:
    classes = len(report["classes"])
    return f"On average {report['cardinality']:.2f} of {classes} class(es): density {report['density']:.2f}."


def _sizes(sizes: Report) -> Markup:
    totals = [train + val for train, val in zip(sizes["train"], sizes["val"], strict=True)]
    used = [number for number, total in enumerate(totals) if total]
    shown = slice(used[0], used[-1] + 1) if used else slice(1)
    labels = [f"{edge:.0f}" for edge in sizes["edges_px"][: len(totals)][shown]]
    series = {side: sizes[side][shown] for side in ("train", "val")}
    return stacked_bars(labels, series, "square root of the area, px (from)", "masks", BOTH)


def _size_note(sizes: Report) -> str:
    coco = sizes["coco"]
    return (
        f"Mean {sizes['mean_px']:.0f} px. As COCO counts: {coco['small']} small (under 32 x 32 px), "
        f"{coco['medium']} medium, {coco['large']} large (96 x 96 px and more)."
    )


def _heat(report: Report) -> Markup:
    size = report["image_sizes"][0]
    return heat_map(report["heat_map"], size["width"] / size["height"], "instances")


def _shares(classes: Sequence[Report]) -> str:
    return "; ".join(
        f"{entry['name']}: {entry['share']:.1%} of instances, in {entry['images']} images" for entry in classes
    )


def _flags(flags: Sequence[Report]) -> Markup:
    counts = {"masks": [entry["count"] for entry in flags]}
    drawing = level_bars([entry["meaning"] for entry in flags], counts, (VAL,), 300)
    return drawing + Markup().join(_examples(entry) for entry in flags if entry["examples"])


def _examples(entry: Report) -> Markup:
    lines = [
        html("<code>{}</code>, annotation {}", example["file_name"], example["annotation_id"])
        + (f", object {example['object']}" if example["object"] else "")
        for example in entry["examples"]
    ]
    return folded(f"{entry['meaning']}: the first {len(lines)}", lines)


def _duplicates(duplicates: Report) -> Card:
    on_both = duplicates["groups_on_both_sides"]
    labels = ["groups on one side", "groups on both sides"]
    drawing = level_bars(labels, {"groups": [duplicates["groups"] - on_both, on_both]}, (VAL,))
    lines = []
    for group in duplicates["examples"]:
        images = [html("<code>{}</code> ({})", image["file_name"], image["side"]) for image in group["images"]]
        more = group["count"] - len(images)
        lines.append(Markup(", ").join(images) + (f" and {more} more" if more > 0 else ""))
    if lines:
        drawing += folded(f"the first {len(lines)} groups", lines)
    note = "Copies of a file, and pictures in which nothing moved. A group on both sides flatters the validation."
    return Card("Images that show the same", drawing, note)


def _videos_in_numbers(report: Report) -> Card:
    rows = []
    for video in report["videos"]:
        images = video["train_images"] + video["val_images"]
        instances = video["train_instances"] + video["val_instances"]
        per_image = f"{instances / max(1, images):.2f}"
        rows.append((video["name"], video["train_images"], video["val_images"], instances, per_image))
    header = ("Video", "Training images", "Validation images", "Instances", "per image")
    sizes = "; ".join(
        f"{size['images']} of {size['width']} x {size['height']} px" for size in report["image_sizes"][:8]
    )
    return Card("Videos in numbers", table(header, rows), f"Images: {sizes}.", "wide")
