"""A training that is killed at any moment goes on and ends with the same bits as one that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from backend.project.manifest import read_manifest, verify
from tests.training.tiny import arguments, make_data, weights_sum

MORE = ("--n-epoch", "4", "--eval-period", "6", "--ckpt-period", "2", "--vis-period", "6")
WAIT_S = 300


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Eight training and five validation pictures."""
    return make_data(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """The training that nobody disturbs, as a process of its own like the others."""
    out = tmp_path_factory.mktemp("whole") / "model"
    assert start(data, out).wait(WAIT_S) == 0
    return out


def start(data: Path, out: Path, *more: str) -> subprocess.Popen:
    """Start the script in a process group of its own, with one thread and one reader."""
    command = [sys.executable, "-m", "backend.train", *arguments(data, out, *MORE, "--n-workers", "1", *more)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(out.parent / "log", "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)


def kill(process: subprocess.Popen) -> None:
    """End the whole process group as a power cut would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def is_saving(out: Path) -> bool:
    """Tell whether a checkpoint is being written right now."""
    return any(out.glob("checkpoints/.last.pt.*.tmp"))


def steps_done(out: Path) -> int:
    """Return the step of the checkpoint, which must be loadable; 0 where there is none yet."""
    path = out / "checkpoints" / "last.pt"
    return torch.load(path, weights_only=True)["state"]["step"] if path.exists() else 0


def wait(process: subprocess.Popen, until) -> bool:
    """Poll closely until ``until()`` or the end of the process; tell whether it still runs."""
    deadline = time.monotonic() + WAIT_S
    while process.poll() is None and not until():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.001)
    return process.poll() is None


def same_ends(out: Path, whole: Path) -> None:
    """Check that two trainings ended with the same weights, figures and curves."""
    verify(out)
    assert weights_sum(out) == weights_sum(whole)
    for name in ("model.safetensors", "metrics.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    manifests = [read_manifest(each) for each in (out, whole)]
    assert manifests[0].counts == manifests[1].counts


@pytest.mark.timeout(1800)  # its fixture trains a whole training first
def test_killed_in_a_save_and_between_it_ends_the_same(data, whole, tmp_path):
    out = tmp_path / "model"
    process = start(data, out)
    assert wait(process, lambda: is_saving(out) and (out / "checkpoints" / "last.pt").exists())
    kill(process)
    done = steps_done(out)
    assert done >= 2
    process = start(data, out, "--resume")
    assert wait(process, lambda: steps_done(out) >= done + 4)
    time.sleep(0.2)
    kill(process)
    assert start(data, out, "--resume").wait(WAIT_S) == 0
    same_ends(out, whole)
    assert not list(out.glob("checkpoints/.last*"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_twenty_moments_it_ends_the_same(data, whole, tmp_path):
    """At least five of them fall into a save; a loadable checkpoint is there after each, at most one period back."""
    randomness = random.Random(7)
    kills = in_saves = number = 0
    while kills < 20:
        out = tmp_path / f"model-{number}"
        number += 1
        process = start(data, out)
        while disturb(process, out, randomness):
            in_saves += is_saving(out)
            begun = steps_done(out)
            kill(process)
            kills += 1
            assert steps_done(out) >= begun
            process = start(data, out, "--resume")
        assert process.wait(WAIT_S) == 0
        same_ends(out, whole)
    assert in_saves >= 5


def disturb(process: subprocess.Popen, out: Path, randomness: random.Random) -> bool:
    """Wait for a random moment; tell whether the process still runs then."""
    if randomness.random() < 0.5:
        return wait(process, lambda: is_saving(out))
    until = steps_done(out) + randomness.randrange(0, 5)
    if wait(process, lambda: steps_done(out) >= until):
        time.sleep(randomness.uniform(0, 0.5))
    return process.poll() is None
