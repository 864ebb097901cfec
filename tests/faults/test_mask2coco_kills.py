"""A mask2coco that is killed leaves no training set behind, whole or half; the next run gives the same bytes."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from backend.project.errors import InputError
from backend.project.manifest import verify
from tests.label_folders import make_pair

FILES = ["lek_report.html", "lek_report.json", "lek_train.json", "lek_val.json"]
BOUND_S = 60.0


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Return a project of two videos with 80 frames each."""
    root = tmp_path_factory.mktemp("kills")
    for video in ("north", "south"):
        make_pair(root, video, range(0, 3200, 40), 4)
    return root


@pytest.fixture(scope="module")
def whole(project) -> tuple[dict[str, bytes], float]:
    """Return the two JSONs of an undisturbed run, and how long it took in seconds."""
    begun = time.monotonic()
    process = start(project, project / "whole")
    _, complaint = process.communicate(timeout=BOUND_S)
    assert process.returncode == 0, complaint
    duration_s = time.monotonic() - begun
    return {name: (project / "whole" / name).read_bytes() for name in FILES if "report" not in name}, duration_s


def start(project: Path, folder: Path, workers: int = 2) -> subprocess.Popen:
    """Start a run into ``folder`` in a session of its own."""
    command = [sys.executable, "-m", "backend.mask2coco", "--workers", str(workers)]
    for option, place in (("--img-folder-path", "exported_frames"), ("--mask-folder-paths", "segannot")):
        command += [option, *(str(project / place / video) for video in ("north", "south"))]
    command += ["--json-path-train", str(folder / "lek_train.json"), "--json-path-val", str(folder / "lek_val.json")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def kill_group(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def until(true: Callable[[], bool], process: subprocess.Popen | None = None) -> bool:
    """Wait for ``true`` or the end of ``process``; return whether it came true."""
    end = time.monotonic() + BOUND_S
    while time.monotonic() < end:
        if true():
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(0.002)
    raise AssertionError("waited too long")


def check_nothing_is_half(folder: Path) -> bool:
    """Check what a kill left, and return whether the set was whole already."""
    present = {path.name for path in folder.glob("lek*")} if folder.is_dir() else set()
    try:
        verify(folder / "lek.manifest.json")
    except InputError:
        # the names appear within milliseconds of each other, report and validation before training
        assert "lek_train.json" not in present or set(FILES) <= present
        return False
    return True


def check_a_new_run_is_like_any_other(project: Path, folder: Path, whole: dict[str, bytes]) -> None:
    process = start(project, folder, workers=1)
    _, complaint = process.communicate(timeout=BOUND_S)
    assert process.returncode == 0, complaint
    assert {name: (folder / name).read_bytes() for name in whole} == whole
    assert sorted(path.name for path in folder.iterdir()) == [".lek.lock", "lek.manifest.json", *FILES]


def kill_many(project: Path, whole: tuple[dict[str, bytes], float], folder: Path, kills: int, seed: int) -> None:
    files, duration_s = whole
    chance = random.Random(seed)
    for number in range(kills):
        process = start(project, folder)
        if number % 2:  # while the files are being written or take their names
            until(lambda: any(folder.glob(".lek_train.json.*.tmp")), process)
            time.sleep(chance.uniform(0, 0.06))
        else:
            time.sleep(chance.uniform(0, duration_s))
        kill_group(process)
        if check_nothing_is_half(folder):
            shutil.rmtree(folder)
    check_a_new_run_is_like_any_other(project, folder, files)
    shutil.rmtree(folder)


def test_killed_at_random_moments_it_leaves_no_set_and_the_next_run_is_whole(project, whole):
    kill_many(project, whole, project / "sets", kills=4, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_killed_sixty_times_it_leaves_no_set(project, whole, seed):
    kill_many(project, whole, project / "sets", kills=12, seed=100 + seed)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_leaves_nothing_and_says_so(project, tmp_path, workers):
    folder = tmp_path / "sets"
    process = start(project, folder, workers)
    until(lambda: (folder / ".lek.lock").exists() if workers == 1 else len(workers_of(process)) == 2, process)
    process.send_signal(signal.SIGTERM)
    _, complaint = process.communicate(timeout=15)
    assert (process.returncode, complaint) == (130, "mask2coco: stopped on request\n")
    assert [path.name for path in folder.iterdir()] == [".lek.lock"]


def test_a_worker_that_dies_is_an_error_not_a_smaller_set(project, tmp_path):
    folder = tmp_path / "sets"
    process = start(project, folder)
    until(lambda: len(workers_of(process)) == 2, process)
    workers_of(process)[0].kill()
    _, complaint = process.communicate(timeout=BOUND_S)
    assert process.returncode == 1
    assert "a worker process died" in complaint.strip().split("\n")[-1]
    assert [path.name for path in folder.iterdir()] == [".lek.lock"]


def test_workers_end_when_the_main_process_is_killed_alone(project, tmp_path):
    process = start(project, tmp_path / "sets")
    until(lambda: len(workers_of(process)) == 2, process)
    workers = workers_of(process)
    process.kill()
    process.communicate()
    until(lambda: not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers))


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """Return the workers of a run that are at work on Python code already."""
    try:
        children = psutil.Process(process.pid).children()
        return [child for child in children if any("spawn_main" in word for word in child.cmdline())]
    except psutil.Error:
        return []
