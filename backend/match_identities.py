"""Propose which bird of one tracked video is which bird of another, by what they look like.

    python -m backend.match_identities --first data/track_output/may-1/night --second data/track_output/may-2/night \
        --out same-birds.csv

Writes a table with a row for each bird of the first video: the most likely bird of the second (empty: none of them),
its probability, and the next likely one. All ways to match one to one are weighed against each other. Both videos must
have been described by one network: describe the second with `backend.describe --network FOLDER`, the description of
the first.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.project.atomic import atomic_write
from backend.tracking.appearance.cross_video_reid import match_identities, read_appearances

COLUMNS = ("first", "second", "probability", "next", "probability_of_next")


class MatchSettings(ScriptSettings):
    """The arguments of this script; the names are the options."""

    first: Path = Field(description="track run of the first video")
    second: Path = Field(description="track run of the second video")
    out: Path = Field(description="CSV file to write")
    seed: int = Field(default=0, ge=0, lt=2**63, description="random seed")


def main(argv: list[str]) -> None:
    """Run the script."""
    settings = ScriptParser("backend.match_identities", __doc__).settings(MatchSettings, argv)
    first, second = read_appearances(settings.first), read_appearances(settings.second)
    p = match_identities(first, second, settings.seed)
    rows = table(p, first.names, second.names)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    atomic_write(settings.out, text.getvalue())
    for row in rows:
        print(f"{row[0]} is {row[1] or 'none of them'} ({100 * row[2]:.0f} %)")
    print(settings.out)


def table(p: np.ndarray, first: Sequence[str], second: Sequence[str]) -> list[tuple[str, str, float, str, float]]:
    """Return the rows of `COLUMNS` from probabilities (N, M + 1)."""
    names, rows = [*second, ""], []
    for name, chances in zip(first, p, strict=True):
        order = np.argsort(-chances, kind="stable")
        best, after = int(order[0]), int(order[1])
        rows.append((name, names[best], round(float(chances[best]), 3), names[after], round(float(chances[after]), 3)))
    return rows


if __name__ == "__main__":
    run_script("match_identities", main)
