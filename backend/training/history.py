"""The curves of a training as a file. Imports no torch: pages read it while the training runs."""

import json
from pathlib import Path
from typing import Any

FORMAT = 1


def read_history(path: Path) -> dict[str, Any]:
    """Return a training's history; an empty one where none can be read: it only tells, nothing needs it."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {"format": FORMAT, "n_steps": 0, "steps_per_epoch": 1, "points": [], "evaluations": []}
