"""How long the statistics of an hour take: 20 birds, 8 zones, 25 frames a second, on one core.

    python benchmarks/zone_stats.py
    python benchmarks/zone_stats.py --birds 40 --minutes 60

The tracks are made here (random walks with gaps), not rendered. Compiling (once an installation) is not counted.
"""

import argparse
import os
import time

import numpy as np

from backend.tracking.tracks.schemas import State
from backend.tracking.tracks.tracks import Tracks
from backend.zones.bird_sequences import recording_from_tracks
from backend.zones.measures import measure
from backend.zones.settings import StatisticsSettings, VideoFacts
from backend.zones.zone_file import Zones, parse_zones

WIDTH, HEIGHT, FPS = 2688, 1520, 25


def walks(birds: int, minutes: float, seed: int = 0) -> Tracks:
    """Return birds that wander over the frame, each lost for about a tenth of the time."""
    rng = np.random.default_rng(seed)
    frames = int(minutes * 60 * FPS)
    way = np.cumsum(rng.normal(0, 2, (birds, frames, 2)), axis=1) + rng.uniform(0, 1500, (birds, 1, 2))
    size = np.array([WIDTH, HEIGHT])
    points = np.abs((way + size) % (2 * size) - size).astype(np.float32)  # reflected at the sides
    lost = np.repeat(rng.random((birds, frames // 50 + 1)) < 0.1, 50, axis=1)[:, :frames]
    boxes = np.concatenate([points - [40, 80], points + [40, 0]], axis=2).astype(np.float32)
    boxes[lost] = np.nan
    p = np.repeat(rng.choice([1, 0.99, 0.95], (birds, frames // 500 + 1)), 500, axis=1)[:, :frames]
    state = np.where(lost, State.LOST, State.DETECTED).astype(np.int8)

    def by_frame(values: np.ndarray) -> np.ndarray:
        return np.swapaxes(values, 0, 1).reshape(-1, *values.shape[2:])

    return Tracks(
        frame=np.repeat(np.arange(frames, dtype=np.int32), birds),
        detection=np.zeros(birds * frames, np.int32),
        track_id=np.tile(np.arange(1, birds + 1, dtype=np.int32), frames),
        identity=np.tile(np.arange(birds, dtype=np.int16), frames),
        state=by_frame(state),
        p_identity=by_frame(np.where(lost, np.nan, p).astype(np.float32)),
        boxes=by_frame(boxes),
        names=tuple(f"bird {k:02d}" for k in range(1, birds + 1)),
        frames=np.arange(frames, dtype=np.int32),
        times=np.arange(frames) / FPS,
    )


def circles(n: int) -> Zones:
    """Return ``n`` round zones of 48 corners, among them a hidden one with its entry, and a scale."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    zones = []
    for k in range(n):
        centre = np.array([WIDTH * (0.1 + 0.8 * k / max(1, n - 1)), HEIGHT * (0.35 + 0.3 * (k % 2))])
        ring = centre + 170 * np.column_stack([np.cos(angle), np.sin(angle)])
        kind, group = {n - 1: ("hidden", "box"), n - 2: ("entry", "box")}.get(k, ("open", "courts"))
        zones.append({"id": k + 1, "name": f"zone {k + 1}", "kind": kind, "group": group, "shape": ring.tolist()})
    scale = {"kind": "length", "line": [[0, 0], [300, 0]], "length_m": 1.0}
    return parse_zones({"image_size": [WIDTH, HEIGHT], "scale": scale, "zones": zones})


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--birds", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--zones", type=int, default=8)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    zones, facts, measures = circles(arguments.zones), VideoFacts("made"), StatisticsSettings()
    measure(recording_from_tracks(walks(2, 1)), zones, facts, measures)  # compiles
    tracks = walks(arguments.birds, arguments.minutes)
    start, cpu = time.perf_counter(), time.process_time()
    tables = measure(recording_from_tracks(tracks), zones, facts, measures)
    wall, used = time.perf_counter() - start, time.process_time() - cpu
    rows = {name: len(table) for name, table in tables.items()}
    print(f"{arguments.birds} birds, {arguments.minutes:g} min, {arguments.zones} zones: {wall:.1f} s, {used:.1f} s of")
    print(f"processor time on one core; rows: {rows}")


if __name__ == "__main__":
    main()
