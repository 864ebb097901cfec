"""Report of an evaluation as files: JSON, a table, plots."""

import csv
import io
from pathlib import Path
from typing import Any

from backend.project.atomic import atomic_file, atomic_json, atomic_write

JSON, TABLE, RELIABILITY, REVIEW = "evaluation.json", "evaluation.csv", "reliability.png", "review.png"
DOUBTED = ("doubts", "corrections_at_doubts", "long_errors", "long_errors_at_doubts")
DOUBTED_SHARES = ("wrong_time_at_doubts", "right_time_at_doubts")
WHOLE = ("identity_switches", "mostly_tracked", "birds", "tracks")  # counts; the others are shares


def write_report(folder: Path, figures: dict[str, Any]) -> list[str]:
    """Write all files into ``folder`` and return their names."""
    atomic_json(folder / JSON, figures)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("figure", "boxes", "masks"), *_rows(figures)])
    atomic_write(folder / TABLE, text.getvalue())
    names = [JSON, TABLE]
    if figures["calibration"] is not None:
        _draw(folder / RELIABILITY, _reliability, figures["calibration"])
        names.append(RELIABILITY)
    if "curve" in figures["review"]:
        _draw(folder / REVIEW, _review, figures["review"])
        names.append(REVIEW)
    return names


def table_text(figures: dict[str, Any]) -> str:
    """Return the table for a terminal."""
    return "\n".join(f"{name:<28} {boxes:>10} {masks:>10}".rstrip() for name, boxes, masks in _rows(figures))


def _rows(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    masks = figures.get("masks", {})
    rows = [(name, _word(name, value), _word(name, masks.get(name))) for name, value in figures["boxes"].items()]
    found = figures["review"]
    rows.append(("corrections", str(found["corrections"]), ""))
    rows.append(("corrections_per_1000_frames", f"{found['corrections_per_1000_frames']:.2f}", ""))
    rows.append(("wrong_before", f"{found['wrong_before']:.4f}", ""))
    rows += [(name, str(found[name]), "") for name in DOUBTED if name in found]
    rows += [(name, _word(name, found[name]), "") for name in DOUBTED_SHARES if name in found]
    if figures["calibration"] is not None:
        rows.append(("expected_calibration_error", f"{figures['calibration']['expected_calibration_error']:.4f}", ""))
    return rows


def _word(name: str, value: float | int | None) -> str:
    if value is None:
        return ""
    return str(value) if name in WHOLE else f"{value:.4f}"


def _draw(path: Path, draw: Any, found: dict[str, Any]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - a second to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(5, 4), layout="constrained")
    draw(figure.subplots(), found)
    with atomic_file(path) as file:
        FigureCanvasAgg(figure).print_png(file)


def _reliability(axes: Any, found: dict[str, Any]) -> None:
    bins = found["bins"]
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    axes.plot([row["said"] for row in bins], [row["right"] for row in bins], "o-")
    for row in bins:
        axes.annotate(f"{row['rows'] / found['rows']:.0%}", (row["said"], row["right"]), fontsize=8)
    axes.set(
        xlabel="p_identity",
        ylabel="share of right identities",
        title=f"expected calibration error {found['expected_calibration_error']:.3f}",
    )


def _review(axes: Any, found: dict[str, Any]) -> None:
    looked, wrong = zip(*found["curve"], strict=True)
    axes.plot(looked, [100 * share for share in wrong], "-")
    axes.set(xlabel="doubts looked at, most bird-time at stake first", ylabel="wrong identities, % of bird-time")
    axes.set_ylim(bottom=0)
