"""The board's server: pictures of a 2688x1520 video, a long run of tracks, answers to doubts, memory.

    python benchmarks/board.py                       # makes a video of 250 frames, a key frame every 50
    python benchmarks/board.py --video lek.mp4 --rows 1000000 --pictures 20000

Pictures are asked for as the page asks, 1280 px wide, one at a time from a server in a process of its own: each frame
after the other (with the next one asked for while the last one is looked at, as the page reads ahead, and without), and
after jumps. Then the video gets its small copy, and the page's quick pictures are asked for as well. Tracks: 20 birds,
and 1,000 doubts; the run is opened as a board opens it, then doubts are answered. ``--acts`` is a session of many hours
in a row: each act with ten steps, five jumps, what the page asks for beside, and every fourth one undone.
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
from backend.tracking.tracks.schemas import DOUBT_COLUMNS, TRACKLET_COLUMNS, State
from backend.tracking.tracks.track_folder import open_tracks
from backend.tracking.tracks.tracks import Tracks
from backend.video import VideoReader
from backend.video.library import add_video, get_video, open_video
from backend.video.proxies import PROXY, inputs_of, make_proxy, proxy_folder
from board.corrections_log import CorrectionsLog
from board.load_board import read_doubts_of
from board.requests import ActRequest
from board.session import Session
from tests.board.boards import board_server, plain_table, post, write_tracked
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


def latency(server: Server, frames: list[int], ahead: int = 0, query: str = f"width={WIDTH}") -> str:
    """Return p50 and p95 in ms of asking for pictures one after the other."""
    took = []
    for frame in frames:
        begun = time.perf_counter()
        answer = server.ask_signed_in(path=f"/api/frames/{frame}?{query}")
        took.append(1000 * (time.perf_counter() - begun))
        assert answer.status == 200
        for k in range(ahead):
            server.ask_signed_in(path=f"/api/frames/{frame + 1 + k}?{query}")
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
    print("\n| pictures | p50 ms | p95 ms |\n|---|---|---|")
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

    small_copy(project, slug, steps, jumps)


def small_copy(project: Project, slug: str, steps: list[int], jumps: list[int]) -> None:
    """Measure making the small copy, and pictures from it."""
    record, folder = get_video(project, slug), proxy_folder(project, slug)
    folder.mkdir(parents=True)
    with open_video(project, slug) as reader:
        begun, busy = time.perf_counter(), time.process_time()
        manifest = make_proxy(folder, reader, inputs_of(record))
        took, busy, n = time.perf_counter() - begun, time.process_time() - busy, len(reader)
    share = manifest.files[PROXY].size / Path(record.path).stat().st_size
    print(f"\nsmall copy: {1000 * took / n:.0f} ms a frame ({1000 * busy / n:.0f} ms of processor time), "
          f"{100 * share:.0f} % of the video's size")  # fmt: skip
    print("| pictures, with the small copy | p50 ms | p95 ms |\n|---|---|---|")
    with running(board_server(project, video=slug)) as server:
        print(f"| quick, after a jump | {latency(server, jumps, query='quick=1')} |")
        print(f"| quick, playing on | {latency(server, steps, query='quick=1')} |", flush=True)


def long_session(work: Path, acts: int) -> None:
    """Measure the server's memory, files and threads over a session of ``acts`` acts."""
    project = Project(work / "session" / "project")
    project.root.mkdir(parents=True)
    video = write_video(work / "session.mp4", 250, size=(960, 544), gop=50, picture=picture)
    slug = add_video(project, video, [work])
    long_run(project.track_output(slug, "tracks-a"), 0, 250)
    dice = np.random.default_rng(3)
    print("\n| acts | pictures | memory MiB | open files | threads |\n|---|---|---|---|---|")
    with running(board_server(project, video=slug)) as server:
        process, asked, version = psutil.Process(server.pid), 0, 0
        for act in range(acts):
            at = int(dice.integers(0, 239))
            for frame in [*range(at, at + 10), *dice.integers(0, 250, 5).tolist()]:
                assert server.ask_signed_in(path=f"/api/frames/{frame}?width={WIDTH}").status == 200
                asked += 1
            paths = ("state", "queue", "lanes", f"rows/0/{at + 10}", f"masks/{at}", f"loops/{act % 60 + 1}?width=440")
            for path in paths:
                assert server.ask_signed_in(path=f"/api/{path}").status == 200
            if act % 4 == 3:
                answer = post(server, "turn", way="undo", version=version)
            else:
                tracks = {"track": int(dice.integers(1, 11)), "other": int(dice.integers(11, 21))}
                answer = post(server, "act", kind="swap", frame=at, to=at + 5, version=version, **tracks)
            assert answer.status in (200, 400), answer.body
            version = server.ask_signed_in(path="/api/pulse").json["version"]
            if (act + 1) % max(1, acts // 10) == 0:
                memory = process.memory_info().rss / 2**20
                print(
                    f"| {act + 1} | {asked} | {memory:.0f} | {process.num_fds()} | {process.num_threads()} |",
                    flush=True,
                )


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
    parser.add_argument("--acts", type=int, default=0, help="of a long session; 1000 are more than two hours of work")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        answers(Path(folder), given.rows)
        pictures(given.video, Path(folder), given.pictures)
        if given.acts:
            long_session(Path(folder), given.acts)


if __name__ == "__main__":
    main()
