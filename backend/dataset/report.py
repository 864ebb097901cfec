"""The report on a data set as plain values, `NAME_report.json`, from which `report_html` makes the page."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.dataset.image_records import Dropped, Spool
from backend.dataset.problems import Problems
from backend.dataset.set_statistics import SIDES, Statistics
from backend.dataset.split import Side
from backend.dataset.write_coco import relative
from backend.project.manifest import Manifest

FORMAT = 1
MAX_GROUPS = 30  # of images that show the same: named in the report
MAX_NAMES = 6  # named of each group


@dataclass(frozen=True)
class Facts:
    """What the report tells besides the counts of `Statistics`.

    ``sides`` (N,) uint8 `Side` and ``same`` (N,) int64 group of every image in ``spool``.
    """

    statistics: Statistics
    spool: Spool
    sides: np.ndarray
    same: np.ndarray
    dropped: Mapping[Dropped, int]
    problems: Problems
    notes: list[str]


def make_report(name: str, folder: Path, manifest: Manifest, facts: Facts) -> dict[str, Any]:
    """Return the report. ``folder`` is where it will lie; names of images are relative to it."""
    counts = facts.statistics.as_json()
    left_out = int((facts.sides == Side.LEFT_OUT).sum())
    duplicates = _duplicates(folder, facts)
    return {
        "format": FORMAT,
        "name": name,
        "made": manifest.started.isoformat(),
        "settings": manifest.settings,
        "inputs": manifest.inputs,
        **counts,
        "left_out_between_sides": left_out,
        "dropped_masks": {reason.value: count for reason, count in facts.dropped.items()},
        "left_out_images": facts.problems.as_json(),
        "duplicates": duplicates,
        "remarks": _remarks(counts, left_out, duplicates, manifest, facts),
    }


def _duplicates(folder: Path, facts: Facts) -> dict[str, Any]:
    """Return the groups of images that show the same, those on both sides of the split first."""
    members: dict[int, list[int]] = {}
    for index, group in enumerate(facts.same.tolist()):
        members.setdefault(group, []).append(index)
    groups = [group for group in members.values() if len(group) > 1]

    def on_one_side(group: list[int]) -> bool:
        return not {Side.TRAIN, Side.VAL} <= set(facts.sides[group].tolist())

    groups.sort(key=on_one_side)
    return {
        "groups": len(groups),
        "images": sum(map(len, groups)),
        "groups_on_both_sides": sum(not on_one_side(group) for group in groups),
        "examples": [_named(group, folder, facts) for group in groups[:MAX_GROUPS]],
    }


def _named(images: list[int], folder: Path, facts: Facts) -> dict[str, Any]:
    records = facts.spool.read(images[:MAX_NAMES], bodies=False)
    return {
        "count": len(images),
        "images": [
            {"file_name": relative(record.image, folder), "side": SIDES[Side(int(facts.sides[index]))]}
            for index, record in zip(images, records, strict=False)
        ],
    }


def _remarks(
    counts: Mapping[str, Any], left_out: int, duplicates: Mapping[str, Any], manifest: Manifest, facts: Facts
) -> list[str]:
    """Return what a user should know, a plain sentence each."""
    settings = manifest.settings
    lines = list(facts.notes)
    for reason, count in facts.dropped.items():
        limit = f" of {settings['min_area']} px" if reason is Dropped.SMALL else ""
        lines.append(f"{_masks(count)} dropped: {reason.value}{limit}")
    if left_out:
        lines.append(
            f"{_images(left_out)} left out: within {settings['gap_frames']} frames of a validation image, "
            "too near to learn from without cheating"
        )
    lines += [f"left out: {line}" for line in facts.problems.lines()]
    empty = Counter({side: counts["by_side"][side]["images_without_instances"] for side in ("train", "val")})
    if empty.total():
        lines.append(f"{_images(empty.total())} without any bird (kept: they teach what is no bird)")
    if duplicates["groups"]:
        lines.append(
            f"{duplicates['images']} images show the same as another, in {duplicates['groups']} groups, "
            f"{duplicates['groups_on_both_sides']} of them on both sides of the split"
        )
    for entry in counts["suspicious"]:
        if entry["count"]:
            lines.append(f"{_masks(entry['count'])} to look at: {entry['meaning']}")
    return lines


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _masks(count: int) -> str:
    return "1 mask" if count == 1 else f"{count} masks"
