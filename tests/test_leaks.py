"""Boards and annotations opened and closed 200 times: descriptors, threads and memory are back where they were."""

import gc
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from backend.project.paths import Project
from backend.video.library import add_video, get_video, open_video
from backend.video.proxies import inputs_of, make_proxy, proxy_folder
from board.load_board import open_board
from board.requests import ActRequest, Turn
from segannot.requests import Draw, ObjectAct
from tests.board.boards import N_FRAMES, small_project
from tests.segannot.conftest import birds_project, birds_video, opened
from tests.videos import write_video

__all__ = ["birds_project", "birds_video"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
TIMES, WARM_UP = 200, 20
MOST_MORE = 2  # descriptors or threads
MOST_MORE_BYTES = 16 * 2**20  # one reader that stays open takes 5 MB


def held() -> tuple[int, int, int]:
    """Return descriptors, threads and bytes of this process."""
    gc.collect()
    process = psutil.Process()
    return process.num_fds(), process.num_threads(), process.memory_info().rss


def assert_nothing_leaks(session: Callable[[int], None]) -> None:
    """Go through a session again and again; what the first ones bring about may stay."""
    for number in range(WARM_UP):
        session(number)
    before = held()
    for number in range(WARM_UP, WARM_UP + TIMES):
        session(number)
    after = held()
    assert after[0] <= before[0] + MOST_MORE and after[1] <= before[1] + MOST_MORE, (before, after)
    assert after[2] <= before[2] + MOST_MORE_BYTES, (before, after)


def test_boards_leak_nothing(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    add_video(project, write_video(tmp_path / "east.mp4", 20), [tmp_path])
    folder = proxy_folder(project, "lek")
    folder.mkdir(parents=True)
    with open_video(project, "lek") as reader:
        make_proxy(folder, reader, inputs_of(get_video(project, "lek")))
    run = project.track_output("lek", "tracks-a")

    def session(number: int) -> None:
        with open_board(project, run, 1.0) as board:
            for frame in (number % N_FRAMES, (7 * number) % N_FRAMES):
                board.frames.jpeg(frame, 160)
                board.proxy.jpeg(frame, 160)
                board.others.jpeg("east", frame % 20, 160, quick=False)
                board.masks.at(frame)
            version = board.session.view.version
            board.session.act(ActRequest(kind="answer", doubt=1, version=version), "Ann")
            board.session.turn(Turn(way="undo", version=version + 1), "Ann")

    assert_nothing_leaks(session)


def test_annotations_leak_nothing(birds_project: Project) -> None:
    def session(number: int) -> None:
        with opened(birds_project) as found:
            store = found.store
            if not store.objects:
                found.object_act(ObjectAct(kind="add", version=store.version))
            stroke = {"points": [[40 + number, 60], [60 + number, 70]], "radius": 4, "positive": True}
            draw = Draw(kind="brush", frame=number % 60, object=1, version=store.version, **stroke)
            found.draw(draw)
            found.source.jpeg(number % 60, 160)

    assert_nothing_leaks(session)
