"""Fit the tables of backend/tracking/online/affinity.py: how much likelier two detections are of one bird than of two.

    python benchmarks/tracking_fit.py --seeds 301 302 303 --seconds 120

Birds of rendered leks (normal and hard) are followed with their true identities. Every few frames each is predicted
ahead by every gap of the tables and compared with all detections there that are less than two body sizes away; the log
odds of "the same bird" are a logistic function of the features, and the prior odds are taken off the constant. Merged
and false detections are left out. Printed with the gain over the tables in use, in nats a pair, on other seeds.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.recording import record
from backend.lek.simulated_run import ORIGIN, detect
from backend.pipeline.detections import open_detections
from backend.project.kernels import kernel
from backend.tracking.online import affinity
from backend.tracking.online.association import choose_column_step, chunk_arrays
from backend.tracking.online.matching import box_area, shape_features
from backend.tracking.online.motion import DAMPING_S, body_size, initialise, observe, predict
from backend.tracking.online.overlap import MAX_RUNS, column_runs
from backend.tracking.online.track_lifecycle import store_observation
from backend.tracking.online.track_state import MEDIAN_TO_SCALE, TRACK_STATE, TrackStates

BIRDS, FPS, EVERY, NEAR2 = 20, 25, 5, 4.0
MOST_PAIRS = 1_000_000  # of a minute
COLUMNS = 4  # distance, overlap, other, whether it is the same bird


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[301, 302, 303])
    parser.add_argument("--check-seeds", type=int, nargs="*", default=[304])
    parser.add_argument("--seconds", type=float, default=120)
    arguments = parser.parse_args()
    for masks, name in ((True, "WITH_MASKS"), (False, "WITH_BOXES")):
        fitting = [sample(seed, preset, arguments.seconds, masks) for seed in arguments.seeds for preset in PRESETS]
        checking = [
            sample(seed, preset, arguments.seconds, masks) for seed in arguments.check_seeds for preset in PRESETS
        ]
        print(f"{name} = np.array(\n    [")
        for k, gap_s in enumerate(affinity.GAPS_S):
            rows, others = (np.concatenate([part[k] for part in parts]) for parts in (fitting, checking))
            weights = fit(features(rows, gap_s, masks), rows[:, 3])
            used = getattr(affinity, name)[k]
            gain = loss(used, others, gap_s, masks) - loss(weights, others, gap_s, masks)
            print(
                f"        [{', '.join(f'{value:.2f}' for value in weights)}],"
                f"  # {len(rows)} pairs, {gain:+.4f} nats a pair"
            )
        print("    ]\n)")


PRESETS = ("normal", "hard")


def sample(seed: int, preset: str, seconds: float, masks: bool) -> list[np.ndarray]:
    """Return for each gap the pairs of one lek, (n, COLUMNS); distances are in units of the usual scale."""
    with tempfile.TemporaryDirectory() as folder:
        lek, out = Path(folder) / "lek", Path(folder) / "run"
        settings = LekSettings(birds=BIRDS, seconds=seconds, seed=seed, fps=FPS, difficulty=difficulty(preset))
        record(lek, settings, video=False)
        detect(lek, out, preset, seed)
        found: list[list[np.ndarray]] = [[] for _ in affinity.GAPS_S]
        origin = pq.read_table(out / ORIGIN)
        first = 0
        run = open_detections(out)
        for part in run:
            chunk = (
                chunk_arrays(part)
                if masks
                else chunk_arrays(part)._replace(offsets=np.zeros(len(part.detections) + 1, np.int64))
            )
            own = [
                origin[name].to_numpy()[first : first + len(part.detections)].astype(np.int64)
                for name in ("bird", "second")
            ]
            first += len(part.detections)
            step = choose_column_step(chunk.boxes[:, 2] - chunk.boxes[:, 0])
            rows, displacements = follow_true_identities(
                chunk, *own, empty_states(), run.facts.height, step, np.round(affinity.GAPS_S * FPS).astype(np.int64)
            )
            scale = max(1e-3, np.nanmedian(displacements)) / MEDIAN_TO_SCALE
            rows[:, 1] *= (affinity.DEFAULT_SCALE / scale) ** 2
            for k in range(len(affinity.GAPS_S)):
                found[k].append(rows[rows[:, 0] == k, 1:])
        return [np.concatenate(parts) for parts in found]


def empty_states() -> TrackStates:
    return TrackStates(
        np.zeros(BIRDS, TRACK_STATE),
        np.zeros(BIRDS, TRACK_STATE),
        np.zeros((BIRDS, MAX_RUNS, 3), np.int32),
        np.ones(1),
    )


@kernel
def follow_true_identities(chunk, bird_of, second_of, states, height, step, gaps):
    """Return (n, 1 + COLUMNS) pairs, the index of their gap first, and the displacements between frames."""
    usable = (bird_of > 0) & (second_of == 0)
    runs = np.zeros((MAX_RUNS, 3), np.int32)
    rows, displacements = np.zeros((MOST_PAIRS, 1 + COLUMNS)), np.full(len(bird_of), np.nan)
    n = 0
    for frame in range(len(chunk.times)):
        for row in range(chunk.starts[frame], chunk.starts[frame + 1]):
            if usable[row]:
                displacements[row] = observe_true_detection(
                    chunk, frame, row, states, bird_of[row] - 1, height, step, runs
                )
        for slot in range(len(states.current) if frame % EVERY == 0 else 0):
            track = states.current[slot]
            if track.tracklet > 0 and track.last_index == frame and track.hits >= 5:
                n = compare_ahead(chunk, frame, states, slot, gaps, usable, bird_of, height, step, runs, rows, n)
    return rows[:n], displacements


@kernel
def observe_true_detection(chunk, frame, row, states, slot, height, step, runs):
    """Update a track with its true detection; return the distance from the predicted position, NaN after a miss."""
    track, time, distance = states.current[slot], chunk.times[frame], np.nan
    n_runs, area = column_runs(chunk.codes, chunk.offsets[row], chunk.offsets[row + 1], height, step, runs)
    if track.tracklet == 0 or time - track.observed_time > 1.0:
        initialise(track, 1, frame, time, chunk.boxes[row])
    elif track.last_index < frame:
        predict(track, time, DAMPING_S)
        if frame - track.last_index == 1:
            distance = math.sqrt(distance2_of(track, chunk.boxes[row]))
        observe(track, states.observed[slot], frame, time, chunk.boxes[row], DAMPING_S)
    store_observation(states, slot, runs, n_runs, area)
    return distance


@kernel
def compare_ahead(chunk, frame, states, slot, gaps, usable, bird_of, height, step, runs, rows, n):
    """Compare a track, predicted ahead by each gap, with the detections there; write pairs and return their number."""
    track, before = states.current[slot], states.current[slot : slot + 1].copy()
    for k in range(len(gaps)):
        to = min(frame + gaps[k], len(chunk.times) - 1)
        if to - frame < gaps[k]:
            continue
        predict(track, chunk.times[to], DAMPING_S)
        gap_s = chunk.times[to] - chunk.times[frame]
        for row in range(chunk.starts[to], chunk.starts[to + 1]):
            near2 = distance2_of(track, chunk.boxes[row])
            if near2 > NEAR2 or not usable[row] or n == len(rows):
                continue
            n_runs, area = column_runs(chunk.codes, chunk.offsets[row], chunk.offsets[row + 1], height, step, runs)
            overlap, other = shape_features(states, slot, chunk.boxes[row], runs, n_runs, area, step, gap_s)
            rows[n, 0], rows[n, 1], rows[n, 2], rows[n, 3] = k, near2, overlap, other
            rows[n, 4] = 1.0 if bird_of[row] == slot + 1 else 0.0
            n += 1
        states.current[slot : slot + 1] = before
    return n


@kernel
def distance2_of(track, box):
    off_x, off_y = 0.5 * (box[0] + box[2]) - track.x, 0.5 * (box[1] + box[3]) - track.y
    return (off_x * off_x + off_y * off_y) / (body_size(track) * math.sqrt(box_area(box)))


def features(rows: np.ndarray, gap_s: float, masks: bool) -> np.ndarray:
    """Return (n, 4) as `affinity.log_likelihood_ratio` makes them."""
    scale = affinity.displacement_scale(gap_s, affinity.DEFAULT_SCALE)
    other = rows[:, 2] if masks else np.minimum(2.25, rows[:, 2] ** 2)
    return np.column_stack(
        [np.ones(len(rows)), rows[:, 1], other, np.log1p(rows[:, 0] / (affinity.DEGREES_OF_FREEDOM * scale**2))]
    )


def fit(x: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return the coefficients of the log likelihood ratio."""
    sign = 2 * same - 1

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = -sign * (x @ w)
        slope = -sign / (1 + np.exp(-np.clip(z, -50, 50)))
        return np.logaddexp(0, z).mean() + 1e-7 * (w**2).sum(), x.T @ slope / len(x) + 2e-7 * w

    w = minimize(objective, np.zeros(4), jac=True, method="L-BFGS-B").x
    w[0] -= math.log(same.mean() / (1 - same.mean()))
    return w


def loss(w: np.ndarray, rows: np.ndarray, gap_s: float, masks: bool) -> float:
    """Return the mean negative log likelihood, nats, of pairs that have these prior odds."""
    prior = math.log(rows[:, 3].mean() / (1 - rows[:, 3].mean()))
    z = features(rows, gap_s, masks) @ w + prior
    return float(np.logaddexp(0, -(2 * rows[:, 3] - 1) * z).mean())


if __name__ == "__main__":
    main()
