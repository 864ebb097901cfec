"""An export survives being killed at any moment, a full disk, and the death of a worker."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from backend.project.manifest import read_manifest, verify
from backend.video.png import is_whole_png
from tests.videos import write_video

REPOSITORY = Path(__file__).resolve().parents[2]
SIZE = (320, 192)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "lek.mp4", 240, size=SIZE, gop=40)


@pytest.fixture(scope="module")
def undisturbed(video: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an export that nothing disturbed."""
    dest = tmp_path_factory.mktemp("undisturbed")
    assert launch(video, dest).wait(120) == 0
    return pictures(dest)


def launch(video: Path, dest: Path, **options) -> subprocess.Popen:
    script = [sys.executable, "-m", "backend.export_frames"]
    command = [*script, "--src", str(video), "--dest", str(dest), "--workers", "2"]
    return subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True, stdout=subprocess.DEVNULL, **options)


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def kill_and_resume(video: Path, dest: Path, undisturbed: dict[str, bytes], seed: int, limit: int) -> int:
    """Kill the whole group at random moments, ``limit`` times at most, then let it end; return how many it took."""
    generator = np.random.default_rng(seed)
    kills = 0
    while kills < limit:
        process = launch(video, dest)
        family = [process.pid]
        end = time.monotonic() + generator.uniform(0.3, 2.5)
        while time.monotonic() < end and process.poll() is None:
            family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
            time.sleep(0.01)
        if process.poll() is not None:
            assert process.returncode == 0
            return kills
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        wait_until_gone(family)
        for path in dest.glob("*.png"):
            assert is_whole_png(path, SIZE), f"{path} is torn"
            assert path.read_bytes() == undisturbed[path.name]
        manifest = read_manifest(dest) if dest.is_dir() else None
        assert manifest is None or set(manifest.files) <= {path.name for path in dest.glob("*.png")}
    assert launch(video, dest).wait(120) == 0
    return kills


def wait_until_gone(pids: list[int]) -> None:
    end = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < end, "a process outlived the kill of its group"
        time.sleep(0.02)


@pytest.mark.parametrize("limit", [3, pytest.param(25, marks=pytest.mark.slow)], ids="{} kills".format)
def test_an_export_killed_again_and_again_ends_byte_identical(video, undisturbed, tmp_path, limit):
    assert kill_and_resume(video, tmp_path / "out", undisturbed, limit, limit) >= 1
    assert pictures(tmp_path / "out") == undisturbed
    manifest = verify(tmp_path / "out")
    assert manifest.counts == {"frames": 240}
    assert not list((tmp_path / "out").glob(".*.tmp"))


@pytest.mark.slow
def test_twenty_kills_at_moments_spread_over_an_export(video, undisturbed, tmp_path):
    dest, kills = tmp_path / "out", 0
    for moment in np.linspace(0.4, 3.0, 20):
        process = launch(video, dest)
        time.sleep(moment)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        assert all(content == undisturbed[name] for name, content in pictures(dest).items())
        for name in list(pictures(dest))[::3]:
            (dest / name).unlink()  # so that there is always something left to do
    assert kills >= 15
    assert launch(video, dest).wait(120) == 0
    assert pictures(dest) == undisturbed
    verify(dest)


def test_the_death_of_one_worker_ends_the_export_with_its_name(video, tmp_path):
    dest = tmp_path / "out"
    process = launch(video, dest, stderr=subprocess.PIPE, text=True)
    victim = None
    end = time.monotonic() + 60
    while victim is None:
        assert time.monotonic() < end and process.poll() is None
        children = psutil.Process(process.pid).children()
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        if len(list(dest.glob("*.png"))) > 5 and workers:
            victim = workers[0]
        time.sleep(0.005)
    victim.kill()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "worker" in errors.splitlines()[-1] and "killed by SIGKILL" in errors.splitlines()[-1]
    assert not psutil.wait_procs(children, timeout=5)[1]
    assert read_manifest(dest).complete is False
    assert launch(video, dest).wait(120) == 0
    verify(dest)


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a disk in memory; skips where that is not possible."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


NO_RESERVE = """
import sys
from backend.project import disk
disk.RESERVE_BYTES = 0
import backend.export_frames as script
script.estimate = lambda reader, frames: 0
if __name__ == "__main__":
    script.run_script("export_frames", script.main)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk can only be mounted by root")
def test_a_disk_that_fills_up_ends_the_export_with_the_reason_and_it_goes_on_once_there_is_room(
    video, undisturbed, tmp_path
):
    with small_disk(tmp_path / "disk", "size=400k") as disk:
        script = tmp_path / "script.py"
        script.write_text(NO_RESERVE)
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, str(script), "--src", str(video), "--dest", str(disk / "out"), "--workers", "2"]
        full = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert full.returncode == 1
        assert "No space left on device" in full.stderr.splitlines()[-1] and str(disk) in full.stderr.splitlines()[-1]
        assert all(content == undisturbed[name] for name, content in pictures(disk / "out").items())
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert pictures(disk / "out") == undisturbed
        verify(disk / "out")


@pytest.mark.skipif(os.geteuid() != 0, reason="a read-only disk can only be mounted by root")
def test_a_read_only_disk_is_refused_in_one_line(video, tmp_path):
    with small_disk(tmp_path / "disk", "ro") as disk:
        process = launch(video, disk / "out", stderr=subprocess.PIPE, text=True)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.endswith("cannot be written; choose another --dest or change its permissions\n")
    assert errors.count("\n") == 1
