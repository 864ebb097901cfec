"""Our tracker against SORT, ByteTrack, OC-SORT and BoT-SORT of `trackers` on the same detections, in one run.

    python benchmarks/tracking.py --minutes 10 --seeds 201 202 203
    python benchmarks/tracking.py --minutes 2 --seeds 201 --data FOLDER

Rendered leks of 20 birds with the normal and the hard preset and the detector noise of the same name; with --data real
sequences, too: TUD-Campus (public detections) and koi (names dropped, boxes jittered, a tenth missed; five seeds). The
peers get the frame rate of the video and otherwise their own defaults; BoT-SORT without camera motion, as there is no
picture. All give a track to a detection or none; ours also has boxes between two sightings of a bird. Figures are those
of backend.evaluate_tracking; purity is the share of matches with the bird that their track mostly shows, short
exchanges at contact left out; times are CPU times of the thread that tracks (of Lektrack: of the whole script, start
included), so that a busy machine does not matter. Differences are over sequences, with a bootstrap interval of 95 %.
"""

import argparse
import contextlib
import csv
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.import_detections import main as import_detections
from backend.lek.lek_settings import LekSettings, difficulty
from backend.lek.recording import record
from backend.lek.simulated_run import detect
from backend.pipeline.detections import DetectionsRun, open_detections
from backend.tracking.evaluation.correspondence import Annotations, compare, matches, read_tracks, read_truth
from backend.tracking.evaluation.metrics import calibration, tracking_metrics
from backend.tracking.evaluation.simulated_reviewer import lasting_matches, review
from backend.tracking.online.association import OnlineTracker, chunk_arrays, default_settings
from backend.tracking.online.track_state import FRAGMENT
from backend.tracking.online.tracklets import MIN_DETECTIONS

ROOT = Path(__file__).resolve().parents[1]
BIRDS, NAMES = 20, ("SORT", "ByteTrack", "OC-SORT", "BoT-SORT")
KOI_SEEDS, KOI_MISSED, KOI_JITTER = 5, 0.1, 0.03
REPORTED = (
    "HOTA",
    "DetA",
    "AssA",
    "IDF1",
    "MOTA",
    "identity_switches",
    "corrections_per_1000_frames",
    "purity",
    "ms_per_frame",
)


@dataclass(frozen=True)
class Sequence:
    """What all trackers are given. ``birds`` is the known number, None where it is not told."""

    name: str
    kind: str
    run: DetectionsRun
    truth: Annotations
    birds: int | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seeds", type=int, nargs="*", default=[201, 202])
    parser.add_argument("--presets", nargs="*", default=["normal", "hard"])
    parser.add_argument("--data", type=Path, help="folder with identity/TUD-Campus and identity/koi")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    arguments = parser.parse_args()
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        for sequence in sequences(Path(folder), arguments):
            rows += figures_of(sequence, Path(folder))
            for row in rows[-len(NAMES) - 2 :]:
                print(
                    *(
                        f"{row[key]:.3f}" if isinstance(row[key], float) else row[key]
                        for key in ("sequence", "tracker", *REPORTED)
                    ),
                    flush=True,
                )
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1))
    print_tables(rows)


def sequences(folder: Path, arguments: argparse.Namespace):
    """Yield the sequences one after the other."""
    for preset in arguments.presets:
        for seed in arguments.seeds:
            lek, run = folder / f"lek-{preset}-{seed}", folder / f"run-{preset}-{seed}"
            settings = LekSettings(
                birds=BIRDS, seconds=60 * arguments.minutes, seed=seed, difficulty=difficulty(preset)
            )
            record(lek, settings, video=False)
            detect(lek, run, preset, seed)
            yield Sequence(f"{preset} {seed}", preset, open_detections(run), read_truth(lek), BIRDS)
    if arguments.data:
        tud = arguments.data / "identity/TUD-Campus"
        run = imported(tud / "det/det.txt", folder / "tud", "640x480", 25, 71)
        yield Sequence("TUD-Campus", "real", run, read_truth(tud / "gt/gt.txt"), None)
        for seed in range(KOI_SEEDS):
            yield koi(arguments.data / "identity/koi/boxes.csv", folder, seed)


def koi(path: Path, folder: Path, seed: int) -> Sequence:
    rng = np.random.default_rng(seed)
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    names = sorted({row[0] for row in rows})
    truth, seen = [], []
    for row in rows:
        frame, box = int(row[5][5:10]), np.array(row[1:5], float)
        truth.append(",".join(map(str, [frame, names.index(row[0]) + 1, *box, 1])))
        if rng.random() >= KOI_MISSED:
            moved = box + KOI_JITTER * rng.standard_normal(4) * np.tile(box[2:], 2)
            seen.append(",".join(map(str, [frame, -1, *moved[:2], *np.maximum(2, moved[2:]), rng.uniform(0.7, 1)])))
    for name, lines in (("gt", truth), ("det", seen)):
        (folder / f"koi{seed}-{name}.txt").write_text("\n".join(lines))
    run = imported(folder / f"koi{seed}-det.txt", folder / f"koi{seed}", "952x540", 23.976, 536)
    return Sequence(f"koi {seed}", "real", run, read_truth(folder / f"koi{seed}-gt.txt"), None)


def imported(source: Path, out: Path, size: str, fps: float, frames: int) -> DetectionsRun:
    options = {"--from": source, "--out": out, "--size": size, "--fps": fps, "--frames": frames}
    with contextlib.redirect_stdout(io.StringIO()):  # the tables are what is to be seen
        import_detections([str(word) for option in options.items() for word in option])
    return open_detections(out)


def figures_of(sequence: Sequence, folder: Path) -> list[dict]:
    """Return the figures of every tracker on a sequence."""
    rows = []
    for name in (*NAMES, "stage 1 alone"):
        annotations, seconds = ours_stage_1(sequence.run) if name == "stage 1 alone" else peer(name, sequence.run)
        rows.append(figures_of_tracks(sequence, name, annotations, seconds))
    tracks, seconds, peak_mb = ours(sequence, folder)
    rows.append({**figures_of_tracks(sequence, "Lektrack", tracks, seconds), "peak_mb": peak_mb})
    return rows


def figures_of_tracks(sequence: Sequence, name: str, annotations: Annotations, seconds: float) -> dict:
    seen = sequence.run.frames()
    correspondence = compare(sequence.truth, annotations, seen.frame, sequence.run.facts.fps)
    truth_rows, track_rows = matches(correspondence)
    at, bird, _, track = lasting_matches(correspondence, truth_rows, track_rows)
    known = calibration(correspondence, truth_rows, track_rows)
    together = np.zeros((track.max(initial=-1) + 1, bird.max(initial=-1) + 1), np.int64)
    np.add.at(together, (track, bird), 1)
    return {
        **{"sequence": sequence.name, "kind": sequence.kind, "tracker": name, **tracking_metrics(correspondence)},
        **review(at, bird, track, len(seen)),
        "purity": float(together.max(axis=1, initial=0).sum() / max(1, together.sum())),
        **{"ms_per_frame": 1000 * seconds / len(seen), "ece": known and known["expected_calibration_error"]},
    }


def peer(name: str, run: DetectionsRun) -> tuple[Annotations, float]:
    """Follow with a tracker of `trackers`; return its tracks and the CPU seconds it took."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import supervision
        import trackers
    make = {
        "SORT": trackers.SORTTracker,
        "ByteTrack": trackers.ByteTrackTracker,
        "OC-SORT": trackers.OCSORTTracker,
        "BoT-SORT": lambda **more: trackers.BoTSORTTracker(enable_cmc=False, **more),
    }
    tracker, parts, seconds = make[name](frame_rate=run.facts.fps), [], 0.0
    for part in run.without_masks():
        for frame, _, found in part.by_frame():
            given = supervision.Detections(
                found.boxes, confidence=found.score, class_id=np.zeros(len(found), int), data={"row": found.detection}
            )
            begin = time.thread_time()
            given = tracker.update(given)
            seconds += time.thread_time() - begin
            kept = given.tracker_id >= 0 if len(given) else np.zeros(0, bool)
            if kept.any():
                boxes = found.boxes[given.data["row"][kept].astype(int)]
                parts.append((np.full(kept.sum(), frame), given.tracker_id[kept], boxes))
    return annotations_of(*map(np.concatenate, zip(*parts, strict=True))), seconds


def ours_stage_1(run: DetectionsRun) -> tuple[Annotations, float]:
    """Follow with stage 1 alone, each tracklet a track; return the tracks and the CPU seconds it took."""
    boxes = next(iter(run.without_masks())).detections.boxes
    settings = default_settings(run.facts.height, 1 / run.facts.fps, boxes[:, 2] - boxes[:, 0])
    OnlineTracker(settings).update(chunk_arrays(run.load(run.chunks[0])))  # compile
    tracker, parts, seconds = OnlineTracker(settings), [], 0.0
    for part in run:
        begin = time.thread_time()
        tracked = tracker.update(chunk_arrays(part))
        seconds += time.thread_time() - begin
        kept = (tracked.tracklet > 0) & (tracked.kind != FRAGMENT)
        parts.append((part.detections.frame[kept], tracked.tracklet[kept], part.detections.boxes[kept]))
    frame, tracklet, boxes = map(np.concatenate, zip(*parts, strict=True))
    long = np.bincount(tracklet)[tracklet] >= MIN_DETECTIONS
    return annotations_of(frame[long], tracklet[long], boxes[long]), seconds


def ours(sequence: Sequence, folder: Path) -> tuple[Annotations, float, float]:
    """Run backend.track; return its tracks, the CPU seconds it took, start included, and peak memory so far, MB."""
    out = folder / f"tracks-{sequence.name.replace(' ', '-')}"
    known = ["--n-birds", str(sequence.birds)] if sequence.birds else []
    command = [
        sys.executable,
        "-m",
        "backend.track",
        "--detections",
        str(sequence.run.folder),
        "--out",
        str(out),
        *known,
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return read_tracks(out, None, corrected=False)[0], seconds, after.ru_maxrss / 1024


def annotations_of(frame: np.ndarray, track: np.ndarray, boxes: np.ndarray) -> Annotations:
    n = len(frame)
    return Annotations(
        frame.astype(np.int32), track.astype(np.int64), boxes.astype(np.float64), np.full(n, -1), np.full(n, np.nan)
    )


def print_tables(rows: list[dict]) -> None:
    """Print means by kind of sequence, and differences to the best peer."""
    by_kind = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_kind[row["kind"]][row["tracker"]].append(row)
    for kind, trackers in by_kind.items():
        print(f"\n| {kind} | " + " | ".join(REPORTED) + " |\n|" + "---|" * (len(REPORTED) + 1))
        for name, found in trackers.items():
            print(f"| {name} | " + " | ".join(f"{np.mean([row[key] for row in found]):.3g}" for key in REPORTED) + " |")
        order = sorted(NAMES, key=lambda name: np.mean([row["HOTA"] for row in trackers[name]]))
        print(f"order of the peers by HOTA: {' < '.join(order)}")
        for key in ("HOTA", "IDF1"):
            best = max(NAMES, key=lambda name: np.mean([row[key] for row in trackers[name]]))
            gain = np.array([a[key] - b[key] for a, b in zip(trackers["Lektrack"], trackers[best], strict=True)])
            low, high = interval(gain)
            spread = f"[{low:+.3f}, {high:+.3f}], worst sequence {gain.min():+.3f}"
            print(f"{key}: Lektrack - {best} {gain.mean():+.3f} {spread}")
        mean = {
            name: {key: np.mean([row[key] for row in found]) for key in REPORTED} for name, found in trackers.items()
        }
        fewest = min(mean[name]["corrections_per_1000_frames"] for name in NAMES)
        own = trackers["Lektrack"]
        share = mean["Lektrack"]["corrections_per_1000_frames"] / max(1e-9, fewest)
        print(f"corrections against the best peer: {share:.2f} (goal 0.25)")
        ms = {name: mean[name]["ms_per_frame"] for name in mean}
        times = [f"{ms[name] / ms['stage 1 alone']:.0f} times as fast as {name}" for name in ("SORT", "ByteTrack")]
        print(f"stage 1 is {', '.join(times)} (goal 20)")
        known = [row["ece"] for row in own if row["ece"] is not None]
        said = f", expected calibration error {np.mean(known):.3f}" if known else ""
        print(f"Lektrack: peak {max(row['peak_mb'] for row in own):.0f} MB{said}")


def interval(gain: np.ndarray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean."""
    rng = np.random.default_rng(0)
    means = gain[rng.integers(len(gain), size=(10_000, len(gain)))].mean(axis=1)
    return tuple(np.quantile(means, [0.025, 0.975]).tolist())


if __name__ == "__main__":
    main()
