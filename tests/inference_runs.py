"""Running inference as people and jobs run the script, as a process of its own; by default with a fake network."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 120


def command(
    video: Path | list[Path],
    out: Path,
    model: Path,
    *more: str,
    run: str = "a",
    module: str = "tests.fake_inference",
) -> list[str]:
    """Return the command line of a run on the CPU in small chunks; ``module`` brings the network."""
    videos = [str(path) for path in (video if isinstance(video, list) else [video])]
    given = ["--video-path", *videos, "--base-out-dir", str(out), "--model-dir", str(model), "--run", run]
    usual = {"--gpu-id": ["cpu"], "--cpu-workers": ["1"], "--chunk-frames": ["32"], "--batch-size": ["8"]}
    chosen = [word for name, words in usual.items() if name not in more for word in (name, *words)]
    return [sys.executable, "-m", module, *given, *chosen, *more]


def start(arguments: list[str], state: Path) -> subprocess.Popen:
    """Start a run in a session of its own, with a state folder of its own."""
    return subprocess.Popen(
        arguments,
        cwd=ROOT,
        env={**os.environ, "LEKTRACK_STATE": str(state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Wait for a run and return its exit code and what it said on stderr."""
    try:
        _, said = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        kill_group(process)
        raise
    return process.returncode, said


def run(arguments: list[str], state: Path) -> tuple[int, str]:
    """Run to the end; return exit code and stderr."""
    return finish(start(arguments, state))


def kill_group(process: subprocess.Popen) -> None:
    """SIGKILL the whole group and wait until nothing of it is left."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not members(process.pid), 10)


def members(group: int) -> list[int]:
    """Return the living processes of a process group."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                text = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            state, _, its_group = text[text.rindex(")") + 2 :].split()[:3]
            if int(its_group) == group and state not in "ZX":
                found.append(int(name))
    return found


def wait_until(condition: Callable[[], bool], patience_s: float = PATIENCE_S, every_s: float = 0.02) -> None:
    """Poll until ``condition`` holds; AssertionError when the patience is over."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(every_s)


def tables(folder: Path) -> dict[str, bytes]:
    """Return the content of every Parquet file of a run."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}
