"""Data sets of the smallest size, drawn once."""

from pathlib import Path

import pytest
import torch

from tests.training.tiny import make_data, train


@pytest.fixture(autouse=True)
def one_thread(monkeypatch, tmp_path):
    """Keep torch to one thread, so that sums round alike and the machine stays usable."""
    torch.set_num_threads(1)
    monkeypatch.setenv("LEKTRACK_STATE", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Eight training and five validation pictures, 96x64 px, two classes."""
    return make_data(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="session")
def model(data, tmp_path_factory) -> Path:
    """A model after two epochs of four steps."""
    return train(data, tmp_path_factory.mktemp("models") / "tiny", "--n-epoch", "2")
