"""The curves of a training as a file, and warnings drawn from them. Imports no torch: pages read it meanwhile."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FORMAT = 1
RISES = 3  # evaluations in a row
FLAT_SHARE = 0.01  # of mask AP: less than this is no progress
DEAD_SHARE = 0.5
ONE_CLASS_SHARE = 0.98
WAITING_SHARE = 0.3
EXPLODING = 3.0  # times the lowest loss so far


def read_history(path: Path) -> dict[str, Any]:
    """Return a training's history; an empty one if the file cannot be read: nothing depends on it."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {"format": FORMAT, "n_steps": 0, "steps_per_epoch": 1, "points": [], "evaluations": []}


def training_warnings(history: dict[str, Any]) -> list[str]:
    """Return warnings about a training, the gravest first; none while nothing is wrong.

    Parameters
    ----------
    history
        As `read_history` returns it.
    """
    points, evaluations = history["points"], history["evaluations"]
    checks = (_exploding(points), _collapsed(evaluations), _overfitting(evaluations), _nothing(evaluations))
    return [text for text in (*checks, _one_class(evaluations), _settled(evaluations), _waiting(points)) if text]


def rises(values: Sequence[float]) -> int:
    """Return how many times in a row, counted from the end, a value was higher than the one before."""
    count = 0
    for before, after in zip(values[-2::-1], values[:0:-1], strict=False):
        if after <= before:
            break
        count += 1
    return count


def _overfitting(evaluations: list[dict]) -> str:
    count = rises([evaluation["losses"]["loss"] for evaluation in evaluations])
    if count < RISES:
        return ""
    return (
        f"Validation loss has risen for {count} evaluations: likely overfitting. The best weights so far are kept; "
        "more labelled frames, more augmentation or fewer epochs help."
    )


def _exploding(points: list[dict]) -> str:
    losses = [point["loss"] for point in points]
    if len(losses) < 5 or sum(losses[-3:]) / 3 < EXPLODING * min(losses):
        return ""
    return f"Training loss went up to {losses[-1]:.2f} from {min(losses):.2f}: the learning rate is likely too high."


def _collapsed(evaluations: list[dict]) -> str:
    dead = evaluations[-1].get("dead_relu", {}) if evaluations else {}
    bad = [f"{stage} {100 * share:.0f} %" for stage, share in dead.items() if share > DEAD_SHARE]
    if not bad:
        return ""
    return f"Many channels of the network no longer fire ({', '.join(bad)}): it has collapsed; use a lower rate."


def _one_class(evaluations: list[dict]) -> str:
    share = evaluations[-1].get("share_of_commonest_class") if evaluations else None
    if share is None or share < ONE_CLASS_SHARE:
        return ""
    return f"{100 * share:.0f} % of all detections have the same class: the others are not learnt (too few examples?)."


def _nothing(evaluations: list[dict]) -> str:
    if len(evaluations) < RISES or any((evaluation["metrics"]["mask"]["ap"] or 0) > 0 for evaluation in evaluations):
        return ""
    return (
        f"Nothing was found in {len(evaluations)} evaluations: learning rate too low, or masks that do not fit images?"
    )


def _settled(evaluations: list[dict]) -> str:
    mask_ap = [evaluation["metrics"]["mask"]["ap"] or 0 for evaluation in evaluations]
    if (
        len(mask_ap) <= RISES
        or max(mask_ap[:-RISES]) == 0
        or max(mask_ap[-RISES:]) > max(mask_ap[:-RISES]) + FLAT_SHARE
    ):
        return ""
    return f"Mask AP has not risen by a point in the last {RISES} evaluations: more epochs will hardly help."


def _waiting(points: list[dict]) -> str:
    shares = [point["waiting_for_data"] for point in points[-5:]]
    if len(shares) < 5 or sum(shares) / 5 < WAITING_SHARE:
        return ""
    return f"{100 * sum(shares) / 5:.0f} % of the time is spent waiting for images: more workers, or a faster disk."
