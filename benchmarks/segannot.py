"""How good and how fast SegAnnot's classic engine is, with a scripted annotator instead of a person.

    python benchmarks/segannot.py --sequences FOLDER...            quality against number of interactions and seconds
    python benchmarks/segannot.py --latency LEK                    scribble to mask, through the running server
    python benchmarks/segannot.py --memory VIDEO                   memory at start, middle and end of a long video

A sequence is a folder with `images/` and `masks/` (one object, or label maps), as of DAVIS; a LEK is what
`python -m backend.simulate --mask-every 1` writes. The annotator works as in DAVIS interactive: in each round it takes
the frame with the lowest J&F, draws up to four scribbles along the middle of the largest wrong region of each object
below 0.85, and propagates the outlines in both directions up to the neighbouring labelled frames. J is the IoU, F
the F-measure of outlines within 0.8 % of the diagonal, AUC the mean of J&F over the rounds. Seconds are the computer's,
none for the hand. Baselines get the same annotator.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.masks.indexed import read_labels
from backend.video.reader import VideoReader
from segannot.engines import propagate
from segannot.engines.base import LabelledFrame, PropagatedFrame, Stroke, StrokeKind
from segannot.engines.classic import ClassicEngine
from segannot.mask_edits import put_object
from segannot.propagation import fuse

POOR, STROKES, ENOUGH = 0.85, 4, 0.9  # objects of the frame below this J&F are mended, until the IoU is enough
LAPS = 3  # over start, middle and end
CONTOUR = 0.008  # of the diagonal


class CopyPrevious(ClassicEngine):
    """Baseline: outlines stay where they are."""

    def propagate(self, start, pictures, numbers, order) -> Iterator[PropagatedFrame]:
        """See `Engine.propagate`."""
        labels = np.where(np.isin(start.labels, list(numbers)), start.labels, 0).astype(np.uint8)
        for frame, _ in pictures:
            yield PropagatedFrame(frame, labels)


class FlowOnly(ClassicEngine):
    """Baseline: outlines are moved by optical flow and nothing else."""

    def propagate(self, start, pictures, numbers, order) -> Iterator[PropagatedFrame]:
        """See `Engine.propagate`."""
        kept = propagate.COLOUR, propagate.STRENGTH
        propagate.COLOUR, propagate.STRENGTH = 0.0, 0.0
        try:
            yield from super().propagate(start, pictures, numbers, order)
        finally:
            propagate.COLOUR, propagate.STRENGTH = kept


ENGINES = {"classic": ClassicEngine, "flow only": FlowOnly, "copy previous": CopyPrevious}


class Annotated:
    """A sequence while it is being annotated by a script."""

    def __init__(self, pictures: list[np.ndarray], truth: list[np.ndarray], engine: ClassicEngine):
        self.pictures, self.truth, self.engine = pictures, truth, engine
        self.numbers = sorted({int(each) for labels in truth for each in np.unique(labels)} - {0})
        self.labels = [np.zeros_like(each) for each in truth]
        self.drawn: dict[tuple[int, int], list[Stroke]] = {}
        self.person: set[int] = set()
        self.confidence: dict[int, dict[int, float]] = {}
        self.scores = np.zeros((len(truth), len(self.numbers)))
        self.score_frames(range(len(truth)))

    def score_frames(self, frames: Sequence[int]) -> None:
        """Compare frames with the truth."""
        for frame in frames:
            for k, number in enumerate(self.numbers):
                self.scores[frame, k] = j_and_f(self.labels[frame] == number, self.truth[frame] == number)

    def round(self) -> tuple[float, int]:
        """Do one round; return mean J&F after it and how many scribbles it took."""
        frame = int(np.nanargmin(np.nanmean(self.scores, axis=1)))
        changed = [number for number, score in zip(self.numbers, self.scores[frame], strict=True) if score < POOR]
        strokes = sum(self.mend(frame, number) for number in changed)
        self.person.add(frame)
        self.engine.learn(LabelledFrame(frame, self.pictures[frame], self.labels[frame]), self.numbers)
        for step in (1, -1):
            self.carry(frame, step, changed)
        self.score_frames(range(len(self.truth)))
        return float(np.nanmean(self.scores)), strokes

    def mend(self, frame: int, number: int) -> int:
        """Scribble on one object until it is right enough; return how often."""
        drawn, true = self.drawn.setdefault((frame, number), []), self.truth[frame] == number
        for count in range(STROKES):
            now = self.labels[frame] == number
            stroke = scribble(now, true)
            if stroke is None or (now & true).sum() > ENOUGH * (now | true).sum():
                return count
            drawn.append(stroke)
            mask = self.engine.segment(LabelledFrame(frame, self.pictures[frame], self.labels[frame]), number, drawn)
            self.labels[frame] = put_object(self.labels[frame], mask, number, set())
        return STROKES

    def carry(self, frame: int, step: int, numbers: list[int]) -> None:
        """Carry objects on in one direction up to the next mended frame, and fuse what comes from there."""
        ahead = [each for each in self.person if (each - frame) * step > 0]
        goal = min(ahead, key=lambda each: abs(each - frame), default=None)
        frames = range(frame + step, goal if goal is not None else (len(self.truth) if step > 0 else -1), step)
        far = {}
        if goal is not None and len(frames):
            far = {each.frame: each.labels for each in self._propagated(goal, frames[::-1], numbers)}
        for each in self._propagated(frame, frames, numbers):
            labels = each.labels
            if each.frame in far:
                near = abs(each.frame - frame) / abs(goal - frame)
                labels, _ = fuse(labels, far[each.frame], near, numbers, self.numbers)
            kept = np.where(np.isin(self.labels[each.frame], numbers), 0, self.labels[each.frame])
            self.labels[each.frame] = np.where(labels > 0, labels, kept).astype(np.uint8)
            self.confidence[each.frame] = each.confidence

    def _propagated(self, start: int, frames: range, numbers: list[int]) -> Iterator[PropagatedFrame]:
        view = LabelledFrame(start, self.pictures[start], self.labels[start])
        return self.engine.propagate(view, ((each, self.pictures[each]) for each in frames), numbers, self.numbers)


def scribble(now: np.ndarray, true: np.ndarray) -> Stroke | None:
    """Return a stroke along the middle of the largest wrong region, None where nothing is wrong."""
    best, positive = None, True
    for wrong, kind in ((true & ~now, True), (now & ~true, False)):
        count, parts, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8))
        if count > 1:
            part = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
            if best is None or stats[part, cv2.CC_STAT_AREA] > best.sum():
                best, positive = parts == part, kind
    if best is None:
        return None
    depth = cv2.distanceTransform(np.pad(best, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.nonzero(depth >= 0.5 * depth.max())
    core = np.stack([x, y], 1) + 0.5
    axis = np.linalg.svd(core - core.mean(axis=0), full_matrices=False)[2][0] if len(core) > 2 else np.array([1.0, 0.0])
    order = np.argsort((core - core.mean(axis=0)) @ axis)
    points = core[order[np.linspace(0, len(order) - 1, 8).astype(int)]]
    return Stroke(StrokeKind.SCRIBBLE, points, positive, max(1.5, min(4.0, 0.3 * float(depth.max()))))


def j_and_f(now: np.ndarray, true: np.ndarray) -> float:
    """Return the mean of IoU and contour F-measure; NaN where the object is not there and was not found."""
    if not now.any() and not true.any():
        return float("nan")
    j = (now & true).sum() / (now | true).sum()
    if not now.any() or not true.any():
        return float(j / 2)
    y, x = np.nonzero(now | true)
    part = np.s_[max(0, y.min() - 2) : y.max() + 3, max(0, x.min() - 2) : x.max() + 3]
    edges = [cv2.morphologyEx(each[part].astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2, 2))) for each in (now, true)]
    reach = max(1, round(CONTOUR * float(np.hypot(*now.shape))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    wide = [cv2.dilate(each, disc) for each in edges]
    precision = (edges[0] & wide[1]).sum() / max(1, edges[0].sum())
    recall = (edges[1] & wide[0]).sum() / max(1, edges[1].sum())
    f = 2 * precision * recall / max(1e-9, precision + recall)
    return float((j + f) / 2)


def load_sequence(folder: Path, most: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return RGB pictures and label maps of a DAVIS-like folder or of a rendered lek."""
    if (folder / "video.mp4").is_file():
        with VideoReader(folder / "video.mp4") as video:
            frames = [int(path.stem) for path in sorted((folder / "masks").glob("[0-9]*.png"))][:most]
            return list(video.read(frames)), [read_labels(folder / "masks" / f"{frame:06d}.png") for frame in frames]
    images = sorted((folder / "images").iterdir())[:most]
    pictures = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in images]
    truth = [read_labels(folder / "masks" / f"{path.stem}.png") for path in images]
    return pictures, truth


def quality(folders: list[Path], most: int, rounds: int) -> None:
    """Print J&F after each round, AUC, and seconds, for each engine and sequence."""
    print(
        f"{'sequence':16s} {'engine':14s} "
        + " ".join(f"{k:>5d}" for k in range(1, rounds + 1))
        + "    AUC  60 s  s/round strokes"
    )
    for folder in folders:
        pictures, truth = load_sequence(folder, most)
        for name, make in ENGINES.items():
            work = Annotated(pictures, truth, make())
            scores, clock, at_minute, strokes = [], 0.0, 0.0, 0
            for _ in range(rounds):
                began = time.perf_counter()
                score, more = work.round()
                strokes += more
                clock += time.perf_counter() - began
                scores.append(score)
                at_minute = score if clock <= 60 else at_minute
            row = " ".join(f"{score:5.3f}" for score in scores)
            rest = f"{np.mean(scores):5.3f} {at_minute:5.3f} {clock / rounds:8.1f} {strokes:7d}"
            print(f"{folder.name:16s} {name:14s} {row}  {rest}", flush=True)
            if name == "classic":
                doubts(work)


def doubts(work: Annotated) -> None:
    """Print how well confidence tells bad outlines from good ones: the share of pairs in the right order."""
    pairs = [
        (value, work.scores[frame, work.numbers.index(number)])
        for frame, each in work.confidence.items() for number, value in each.items()
    ]  # fmt: skip
    bad = np.array([value for value, score in pairs if score < 0.7])
    good = np.array([value for value, score in pairs if score >= 0.7])
    if len(bad) and len(good):
        right = (bad[:, None] < good).mean() + 0.5 * (bad[:, None] == good).mean()
        low, high = np.median(bad), np.median(good)
        print(
            f"{'':16s} confidence: {right:.2f} of pairs in the right order; median {low:.2f} of bad, {high:.2f} of good"
        )


def latency(folder: Path) -> None:
    """Print the time from a scribble's request to its saved outline, through the server, as the page sees it."""
    from backend.project.paths import Project
    from backend.project.settings import Settings, save_settings
    from backend.video.library import add_video
    from tests.web.servers import Server, running, unused_port

    truth = {int(path.stem): read_labels(path) for path in sorted((folder / "masks").glob("[0-9]*.png"))[::10]}
    with tempfile.TemporaryDirectory() as temporary:
        state, root = Path(temporary) / "state", Path(temporary) / "project"
        state.mkdir(mode=0o700)
        root.mkdir()
        save_settings(Settings(project_folder=root, allowed_roots=(folder,)), state)
        slug = add_video(Project(root), folder / "video.mp4", [folder])
        port = unused_port()
        command = [sys.executable, "-m", "segannot", "--video", slug, "--port", str(port)]
        with running(Server(command, state, port)) as server:
            times, size = scribbles(server, truth), next(iter(truth.values())).shape
    first, rest = times[0], sorted(times[1:])
    p95 = rest[int(0.95 * len(rest))]
    print(
        f"scribble to saved outline, {size[1]}x{size[0]}, {len(rest)} scribbles: p50 {statistics.median(rest):.3f} s,"
    )
    print(f"p95 {p95:.3f} s, slowest {rest[-1]:.3f} s; the very first after the start {first:.3f} s")


def scribbles(server, truth: dict[int, np.ndarray]) -> list[float]:
    """Scribble twice on every object of some frames; return the seconds of each, request to answer and mask."""
    version = -1

    def post(path: str, **body):
        nonlocal version
        answer = server.ask_signed_in("POST", f"/api/{path}", body=json.dumps({"version": version, **body}).encode())
        assert answer.status == 200, answer.body
        version = answer.json["version"]

    version = server.ask_signed_in(path="/api/state").json["version"]
    numbers = sorted({int(each) for labels in truth.values() for each in np.unique(labels)} - {0})
    for _ in range(max(numbers)):
        post("object", kind="add")
    times = []
    for frame, labels in truth.items():
        server.ask_signed_in(path=f"/api/frames/{frame}")
        for number in numbers:
            for inside in (labels == number, cv2.erode((labels == number).astype(np.uint8), np.ones((5, 5))) > 0):
                stroke = scribble(np.zeros_like(inside), inside)
                if stroke is None or inside.sum() < 40:
                    continue
                began = time.perf_counter()
                post(
                    "draw",
                    frame=frame,
                    object=number,
                    kind="scribble",
                    points=stroke.points.tolist(),
                    radius=stroke.radius,
                )
                server.ask_signed_in(path=f"/api/masks/{frame}")
                times.append(time.perf_counter() - began)
    return times


def memory(path: Path, birds: int = 4, stretch: int = 40) -> None:
    """Carry birds over stretches at the start, middle and end of a video with the real session; print the memory."""
    from backend.project.paths import Project
    from backend.video.frame_cache import CachedFrames
    from backend.video.library import add_video, open_video
    from segannot.engines.registry import Engines
    from segannot.requests import Draw, ObjectAct, Propagate
    from segannot.session import Session
    from segannot.store import AnnotationStore

    process = psutil.Process(os.getpid())
    with tempfile.TemporaryDirectory() as temporary:
        project = Project(Path(temporary))
        slug = add_video(project, path, [path.parent])
        project.segannot(slug).mkdir(parents=True)
        source = CachedFrames(lambda: open_video(project, slug, threads=2), 512 * 1024**2)
        session = Session(AnnotationStore(project.segannot(slug), source.size), source, Engines(project.root))
        width, height = source.size
        count = len(source)
        print(f"{path.name}: {count} frames of {width}x{height}, {count / source.fps / 60:.0f} min")
        for _ in range(birds):
            session.object_act(ObjectAct(version=session.store.version, kind="add"))
        places = {"start": 0, "middle": count // 2, "end": count - LAPS * (stretch + 1)}
        for lap, (name, place) in itertools.product(range(LAPS), places.items()):
            first = place + lap * (stretch + 1)
            for number in range(1, birds + 1):
                x = width * number / (birds + 1)
                session.draw(Draw(version=session.store.version, frame=first, object=number, kind="brush",
                                  points=[[x, height / 2]], radius=width / 40))  # fmt: skip
            began = time.perf_counter()
            session.propagate(Propagate(version=session.store.version, frame=first, to=first + stretch))
            session.task.join()
            for frame in range(first, first + stretch, 5):
                source.jpeg(frame, width)
            rate = stretch / (time.perf_counter() - began)
            used = process.memory_info().rss / 1024**2
            print(f"lap {lap + 1} {name:8s} {used:7.0f} MB in use, {rate:5.1f} frames/s with {birds} birds", flush=True)
        session.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=Path, nargs="*", default=[])
    parser.add_argument("--frames", type=int, default=60, help="frames of each sequence")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--latency", type=Path)
    parser.add_argument("--memory", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(2)
    if arguments.sequences:
        quality(arguments.sequences, arguments.frames, arguments.rounds)
    if arguments.latency:
        latency(arguments.latency)
    if arguments.memory:
        memory(arguments.memory)


if __name__ == "__main__":
    main()
