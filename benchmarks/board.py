"""The board's server: pictures of a 2688x1520 video, a long run of tracks, answers to doubts, memory.

    python benchmarks/board.py                       # makes a video of 250 frames, a key frame every 50
    python benchmarks/board.py --video lek.mp4 --rows 1000000 --pictures 20000

Pictures are asked for as the page asks, 1280 px wide, one at a time from a server in a process of its own: each frame
after the other (with the next one asked for while the last one is looked at, as the page reads ahead, and without), and
after jumps. Tracks: 20 birds, and 1,000 doubts; the run is opened as a board opens it, then doubts are answered.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.project.paths import Project
from backend.tracking.schemas import DOUBT_COLUMNS, TRACKLET_COLUMNS, State
from backend.tracking.tracks import Tracks, open_tracks
from backend.video import VideoReader
from backend.video.library import add_video
from board.log import CorrectionsLog
from board.opening import read_doubts_of
from board.requests import ActRequest
from board.session import Session
from tests.board.boards import board_server, plain_table, write_tracked
from tests.videos import write_video
from tests.web.servers import Server, running

SIZE, BIRDS, DOUBTS, WIDTH = (2688, 1520), 20, 1000, 1280


def picture(frame: int, size: tuple[int, int]) -> np.ndarray:
    """Return grass that moves a little, so that every frame costs what a real one costs."""
    rng = np.random.default_rng(0)
    grass = rng.integers(40, 140, (size[1] + 64, size[0] + 64, 3), dtype=np.uint8)
    grass = (grass.astype(np.uint16) + np.roll(grass, 1, 1) + np.roll(grass, 2, 1)).astype(np.uint16) // 3
    return grass[frame % 8 : frame % 8 + size[1], : size[0]].astype(np.uint8)


def long_run(folder: Path, n_rows: int, n_frames: int | None = None) -> Tracks:
    """Write tracks of `BIRDS` birds with about ``n_rows`` rows and `DOUBTS` crossings; return them."""
    n = n_frames or n_rows // BIRDS
    dice = np.random.default_rng(1)
    frame = np.repeat(np.arange(n, dtype=np.int32), BIRDS)
    code = np.tile(np.arange(BIRDS), n)
    x = 100 + 120.0 * code + 20 * np.sin(frame / 50 + code)
    boxes = np.column_stack([x, x * 0 + 200, x + 80, x * 0 + 260]).astype(np.float32)
    lost = dice.random(len(frame)) < 0.05
    boxes[lost] = np.nan
    tracks = Tracks(
        frame, np.where(lost, -1, code).astype(np.int32), (code + 1).astype(np.int32), code.astype(np.int16),
        np.where(lost, State.LOST, State.DETECTED).astype(np.int8), np.where(lost, np.nan, 0.9).astype(np.float32),
        boxes, tuple(f"bird {k + 1:02d}" for k in range(BIRDS)), np.arange(n, dtype=np.int32), np.arange(n) / 25,
    )  # fmt: skip
    doubts = []
    for k in range(min(DOUBTS, n // 4)):
        at, pair = int(dice.integers(2, n - 2)), dice.choice(BIRDS, 2, replace=False) + 1
        doubts.append((k + 1, "crossing", at, at, pair.tolist(), [], [], 0.3, n))
    write_tracked(folder, tracks, plain_table([], TRACKLET_COLUMNS), plain_table(doubts, DOUBT_COLUMNS), "none")
    return tracks


def latency(server: Server, frames: list[int], rest_s: float = 0.0, ahead: int = 0) -> str:
    """Return p50 and p95 in ms of asking for pictures one after the other."""
    took = []
    for frame in frames:
        begun = time.perf_counter()
        answer = server.ask_signed_in(path=f"/api/frames/{frame}?width={WIDTH}")
        took.append(1000 * (time.perf_counter() - begun))
        assert answer.status == 200
        for k in range(ahead):
            server.ask_signed_in(path=f"/api/frames/{frame + 1 + k}?width={WIDTH}")
        time.sleep(rest_s)
    return f"{np.percentile(took, 50):.0f} | {np.percentile(took, 95):.0f}"


def pictures(video: Path | None, work: Path, more: int) -> None:
    """Measure pictures and memory."""
    if video is None:
        video = write_video(work / "lek.mp4", 250, size=SIZE, gop=50, picture=picture)
    with VideoReader(video) as reader:
        n = len(reader)
    project = Project(work / "project")
    project.root.mkdir()
    slug = add_video(project, video, [video.parent])
    long_run(project.track_output(slug, "tracks-a"), 0, n)
    dice = np.random.default_rng(2)
    steps, jumps = list(range(20, min(n, 120))), dice.integers(0, n, 60).tolist()
    print("| pictures | p50 ms | p95 ms |\n|---|---|---|")
    with running(board_server(project, video=slug)) as server:
        print(f"| stepping by one, nothing read ahead | {latency(server, steps)} |", flush=True)
    with running(board_server(project, video=slug)) as server:  # nothing is kept in it yet
        print(f"| stepping by one, one read ahead | {latency(server, steps[:-1], ahead=1)} |")
        print(f"| stepping back | {latency(server, list(range(n - 2, max(n - 90, 1), -1)))} |", flush=True)
    with running(board_server(project, video=slug)) as server:
        print(f"| after a jump | {latency(server, jumps)} |", flush=True)
        process = psutil.Process(server.pid)
        begun = process.memory_info().rss
        latency(server, dice.integers(0, n, more).tolist())
        told = f"{begun / 2**20:.0f} MiB before, {process.memory_info().rss / 2**20:.0f} MiB after {more} pictures"
        print(f"\nmemory of the server (limit 2 GiB): {told}")


def answers(work: Path, n_rows: int) -> None:
    """Measure opening a long run and answering doubts."""
    folder = work / "long"
    long_run(folder, n_rows)
    begun = time.perf_counter()
    tracks = open_tracks(folder, corrections=False)
    opened = time.perf_counter()
    session = Session(tracks, read_doubts_of(folder, tracks), CorrectionsLog(folder / "corrections.jsonl"))
    queue = session.view.open
    ready = time.perf_counter()
    print(f"\n{len(tracks)} rows read in {opened - begun:.2f} s; with {len(queue)} doubts ranked {ready - begun:.2f} s")
    took: dict[str, list[float]] = {"preview": [], "keep": [], "swap": []}
    for k in range(40):
        doubt = session.view.open[0]
        wrong = k % 2 == 0
        order = list(doubt.followed)[::-1] if wrong else None
        request = ActRequest(
            kind="answer", version=session.view.version, doubt=doubt.number, assignment=order, to="end"
        )
        begun = time.perf_counter()
        session.preview(request)
        took["preview"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        session.act(request, "Ann")
        assert session.view.open and session.view.tracks.n_frames
        took["swap" if wrong else "keep"].append(time.perf_counter() - begun)
    print("| server time a doubt | p50 ms | p95 ms |\n|---|---|---|")
    for name, values in took.items():
        print(f"| {name} | {1000 * np.percentile(values, 50):.0f} | {1000 * np.percentile(values, 95):.0f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="a video; by default one is made")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pictures", type=int, default=300, help="asked for while memory is watched")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        answers(Path(folder), given.rows)
        pictures(given.video, Path(folder), given.pictures)


if __name__ == "__main__":
    main()
