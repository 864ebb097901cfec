"""A small project, its board in this process, and its board as a server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.project.paths import Project
from board.load_board import Board, open_board
from tests.board.boards import board_server, small_project
from tests.web.servers import Server, running


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project of three birds that meet four times; two of the meetings were tracked wrongly."""
    return small_project(tmp_path / "project")


@pytest.fixture
def board(project: Project) -> Iterator[Board]:
    """Return the open board."""
    with open_board(project, project.track_output("lek", "tracks-a"), 1.0, threads=1) as found:
        yield found


@pytest.fixture
def server(project: Project) -> Iterator[Server]:
    """Return the running board."""
    with running(board_server(project)) as started:
        yield started
