"""Fit the table that turns shares of samples into p_identity, on rendered leks of seeds that nothing else uses.

    python -m benchmarks.tracking_calibration --folder /tmp/calibration --write

Prints the table and the expected calibration error on leks that it was not fitted on. One lek is a draw of few birds:
an exchange of two is wrong for all of their time. So for the open number, where stage 2 is quick, the error of the
table in use is told on twelve more leks together, too. With --write it replaces
calibration.json of backend/tracking/linking.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.optimize import linear_sum_assignment

from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.recording import record
from backend.lek.simulated_run import ORIGIN, detect
from backend.pipeline.detections import open_detections
from backend.tracking.linking.calibration import MOTION_ONLY, OPEN_SET, TABLE, WITH_EMBEDDINGS, read_table
from backend.tracking.linking.constraints import Constraints
from backend.tracking.linking.link import link
from backend.tracking.linking.linking_input import linking_input_of
from backend.tracking.linking.open_set import link_open_set

BIRDS, SECONDS = 12, 240.0
FITTED = (("normal", 0.3, 301), ("hard", 0.45, 302), ("hard", 0.5, 303), ("hard", 0.65, 304))
TESTED = (("normal", 0.4, 401), ("hard", 0.55, 402))
LIKENESSES = (0.25, 0.4, 0.3, 0.5, 0.35, 0.6)
POOLED = tuple(("normal" if k % 2 else "hard", LIKENESSES[k % 6], 402 + k) for k in range(1, 13))
EDGES = np.array([0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0])
PRIOR_S = 4.0  # each bin begins with so many seconds at its own mean
KINDS = (WITH_EMBEDDINGS, MOTION_ONLY, OPEN_SET)


def samples(folder: Path, case: tuple[str, float, int], kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return share, whether it is right, and seconds of every part that was given to a bird."""
    preset, likeness, seed = case
    lek, out = folder / f"lek-{preset}-{likeness}-{seed}", folder / f"run-{preset}-{likeness}-{seed}"
    if not (out / ORIGIN).exists():
        record(lek, LekSettings(BIRDS, SECONDS, seed, difficulty=difficulty(preset, likeness)), video=False)
        detect(lek, out, preset)
    inputs = linking_input_of(open_detections(out), out if kind == WITH_EMBEDDINGS else None)
    no_constraints = Constraints.none(len(inputs.segments))
    linked = link_open_set(inputs, no_constraints) if kind == OPEN_SET else link(inputs, BIRDS)
    bird = pq.read_table(out / ORIGIN)["bird"].to_numpy()[inputs.rows].astype(np.int64)
    seen = np.zeros((len(inputs.segments), BIRDS + 1))
    np.add.at(seen, (inputs.sightings.tracklet, bird), 1)
    assigned = np.flatnonzero(linked.bird >= 0)
    together = np.zeros((linked.p.shape[1] - 1, BIRDS))
    np.add.at(together, linked.bird[assigned], seen[assigned, 1:])
    own, real = linear_sum_assignment(-together)
    name = np.zeros(len(together), np.int64)  # a bird that is none is never right
    name[own] = real + 1
    right = seen[assigned, name[linked.bird[assigned]]] / seen[assigned].sum(1)
    return linked.p[assigned, linked.bird[assigned]], right, seen[assigned].sum(1) / 25


def fit(share: np.ndarray, right: np.ndarray, seconds: np.ndarray) -> dict[str, list[float]]:
    """Return points of an ascending curve."""
    place = np.clip(np.digitize(share, EDGES[1:-1]), 0, len(EDGES) - 2)
    x, y, weight = [0.0], [0.0], [PRIOR_S]  # what no sample says is not believed
    for k in range(len(EDGES) - 1):
        own = place == k
        time = seconds[own].sum()
        middle = (EDGES[k] + EDGES[k + 1]) / 2
        x.append(float(np.average(share[own], weights=seconds[own])) if time else middle)
        y.append(float((np.sum(right[own] * seconds[own]) + PRIOR_S * middle) / (time + PRIOR_S)))
        weight.append(time + PRIOR_S)
    return {"share": [round(float(v), 4) for v in x], "p": [round(float(v), 4) for v in ascending(y, weight)]}


def ascending(values: list[float], weights: list[float]) -> list[float]:
    """Return the nearest values that never fall (pool adjacent violators)."""
    blocks: list[list[float]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            b, a = blocks.pop(), blocks.pop()
            blocks.append([(a[0] * a[1] + b[0] * b[1]) / (a[1] + b[1]), a[1] + b[1], a[2] + b[2]])
    return [mean for mean, _, length in blocks for _ in range(int(length))]


def expected_error(table: dict, share: np.ndarray, right: np.ndarray, seconds: np.ndarray) -> float:
    """Return the expected calibration error over ten bins, by time."""
    p = np.interp(share, table["share"], table["p"])
    place = np.clip((p * 10).astype(int), 0, 9)
    off = [abs(np.sum((p - right)[place == k] * seconds[place == k])) for k in range(10)]
    return float(np.sum(off) / seconds.sum())


def pooled_error(folder: Path, kind: str) -> str:
    """Return the expected calibration error of the table in use on all leks of `POOLED`, and on those of a preset."""
    found = {case: samples(folder, case, kind) for case in POOLED}
    words = []
    for name, presets in (("together", ("normal", "hard")), ("normal", ("normal",)), ("hard", ("hard",))):
        own = [each for case, each in found.items() if case[0] in presets]
        columns = (np.concatenate(column) for column in zip(*own, strict=True))
        words.append(f"{name} {expected_error(read_table()[kind], *columns):.3f}")
    alone = np.mean([expected_error(read_table()[kind], *each) for each in found.values()])
    return ", ".join([*words, f"mean of single leks {alone:.3f}"])


def main() -> None:
    """Fit and test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the leks are rendered")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS, help="the others stay as they are")
    parser.add_argument("--write", action="store_true", help="replace the table of the package")
    given = parser.parse_args()
    table: dict = json.loads(TABLE.read_text()) | {
        "how": f"python -m benchmarks.tracking_calibration: {BIRDS} birds, {SECONDS:.0f} s, (preset, likeness, seed) "
        f"{FITTED}, tested on {TESTED}"
    }
    for kind in given.kinds:
        found = [samples(given.folder, case, kind) for case in FITTED]
        table[kind] = fit(*(np.concatenate(column) for column in zip(*found, strict=True)))
        table[kind]["tested_error"] = [
            round(expected_error(table[kind], *samples(given.folder, case, kind)), 4) for case in TESTED
        ]
        print(kind, table[kind], flush=True)
        if kind == OPEN_SET:
            print(f"{kind}, table in use, {len(POOLED)} leks: {pooled_error(given.folder, kind)}", flush=True)
    if given.write:
        TABLE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
