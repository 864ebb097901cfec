"""TensorBoard behind our own sign-in: it shows what a training wrote, and nothing to strangers."""

import subprocess
import sys

import pytest
from torch.utils.tensorboard import SummaryWriter

from tests.web.servers import Server, installation, running, unused_port


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """The service on event files of two points."""
    folder = tmp_path_factory.mktemp("board")
    with SummaryWriter(str(folder / "logs")) as writer:
        for step in (1, 2):
            writer.add_scalar("loss/train", 1.0 / step, step)
    port = unused_port()
    command = [sys.executable, "-m", "backend.training.tensorboard", "--logdir", str(folder / "logs")]
    with running(Server([*command, "--port", str(port)], installation(folder), port)) as server:
        yield server


def test_it_shows_what_was_written_to_who_is_signed_in(board):
    assert "loss/train" in board.ask_signed_in(path="/data/plugin/scalars/tags").json["."]
    points = board.ask_signed_in(path="/data/plugin/scalars/scalars?run=.&tag=loss%2Ftrain").json
    assert [point[1:] for point in points] == [[1, 1.0], [2, 0.5]]
    assert board.ask_signed_in(path="/").status == 200


def test_strangers_see_nothing(board):
    for path in ("/", "/data/plugin/scalars/tags", "/data/logdir"):
        assert board.ask(path=path).status == 401


def test_it_asks_nobody_else_and_runs_no_text_as_code(board):
    policy = board.ask_signed_in().headers["content-security-policy"]
    assert "unsafe-eval" not in policy
    assert "https:" not in policy and "*" not in policy
    assert "frame-ancestors 'none'" in policy


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    command = [sys.executable, "-m", "backend.training.tensorboard", "--logdir", str(tmp_path / "none")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "there is no such folder" in ended.stderr
