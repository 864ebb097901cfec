"""The power fails in the middle of a night, five times: the queue goes on by itself, and the tables are the same."""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.jobs import ACTIVE, JobSpec, JobState, JobStore
from backend.jobs.job_states import WITH_PROCESS
from backend.project.paths import Project
from backend.project.settings import Settings, save_settings
from backend.video.library import add_video
from tests.fake_inference import write_model
from tests.jobs.tools import kill_all, wait_until
from tests.ports import own_ports
from tests.web.servers import app_server, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
KILLS = 5
ANYWHERE = 2  # so many kills may meet a start in which nothing was done
PATIENT_S = 900.0  # the machine may have other work; nothing here is a measurement
VIDEOS = ("north", "south")


@pytest.fixture(scope="module")
def leks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short rendered clips with their zones."""
    folder = tmp_path_factory.mktemp("leks")
    for seed, video in enumerate(VIDEOS):
        size = ["--birds", "4", "--seconds", "16", "--size", "480x288", "--seed", str(seed), "--no-masks"]
        subprocess.run(
            [sys.executable, "-m", "backend.simulate", "--out", str(folder / video), *size],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parents[2],
        )
    return folder


def installation(folder: Path, leks: Path) -> Path:
    """Make an installation whose project links the clips and has their zones; return its state folder."""
    state, project = folder / "state", folder / "project"
    state.mkdir(parents=True, mode=0o700)
    (project / "zones").mkdir(parents=True)
    save_settings(Settings(project_folder=project, allowed_roots=(leks,), cpu_slots=2, **own_ports()), state)
    for video in VIDEOS:
        named = leks / f"{video}.mp4"
        if not named.exists():
            shutil.copy(leks / video / "video.mp4", named)
        add_video(Project(project), named, [leks], camera=video)
        shutil.copy(leks / video / "zones.json", project / "zones" / f"{video}.json")
    return state


def queue_the_night(state: Path, leks: Path) -> list[int]:
    """Queue inference, tracking and statistics of both videos, each after the one before; return the ids."""
    project, store = state.parent / "project", JobStore(state)
    model = write_model(state.parent / "model.json", delay_s=0.25)
    ids = []
    for video in VIDEOS:
        detections = project / "inference_output" / video / "night"
        tracks, tables = project / "track_output" / video / "night", project / "statistics" / video
        where = ["--video-path", leks / f"{video}.mp4", "--base-out-dir", project / "inference_output"]
        how = [
            "--model-dir",
            model,
            "--run",
            "night",
            "--chunk-frames",
            "32",
            "--batch-size",
            "8",
            "--gpu-id",
            "cpu",
            "--resume",
        ]
        steps = [
            ("tests.fake_inference", detections, [*where, *how, "--cpu-workers", "1"]),
            ("backend.track", tracks, ["--detections", detections, "--out", tracks, "--n-birds", "4"]),
            ("backend.zone_stats", tables, ["--tracks", tracks, "--out", tables, "--bin-s", "4", "--draws", "20"]),
        ]
        before: tuple[int, ...] = ()
        for module, output, arguments in steps:
            kind = module.split(".")[1]
            job = store.submit(
                JobSpec(
                    kind,
                    f"{kind} of {video}",
                    ("-m", module, *map(str, arguments)),
                    output=output,
                    project=project,
                    videos=(video,),
                    after=before,
                    resumable=True,
                )
            )
            before = (job.id,)
            ids.append(job.id)
    return ids


def results(state: Path) -> dict[str, bytes]:
    """Return every table of the project by its path."""
    project = state.parent / "project"
    return {
        str(path.relative_to(project)): path.read_bytes()
        for kind in ("inference_output", "track_output", "statistics")
        for path in sorted((project / kind).rglob("*"))
        if path.suffix in (".parquet", ".csv")
    }


class Marks:
    """How far the jobs of a night had come whenever the power failed: units done, by job and stage."""

    def __init__(self, store: JobStore):
        self._store, self._done, self._cut_off = store, {}, []

    def note(self, cut_off: list[int]) -> None:
        """Note how far the jobs that were cut off have come."""
        self._cut_off = cut_off
        for id in cut_off:
            progress = self._store.progress(id)
            if progress is not None:
                known = self._done.get((id, progress.stage), 0)
                self._done[id, progress.stage] = max(known, progress.done)

    def passed(self) -> bool:
        """Return whether every job that was cut off has come further since, or has ended."""
        return all(self._store.get(id).state not in ACTIVE or self._is_further(id) for id in self._cut_off)

    def _is_further(self, id: int) -> bool:
        progress = self._store.progress(id)
        return progress is not None and progress.done > self._done.get((id, progress.stage), 0)


def run_the_night(folder: Path, leks: Path, kills: int, seed: int) -> tuple[dict[str, bytes], int]:
    """Run the night, with ``kills`` moments at which everything dies; return the tables and how many kills hit work.

    A job cut off four times in a row on one spot is given up, and on a busy machine a start alone outlasts the dice:
    after the first two, a kill comes at a random moment once all that was cut off before has come further.
    """
    state = installation(folder, leks)
    ids, dice, hits = queue_the_night(state, leks), random.Random(seed), 0
    store, app = JobStore(state), app_server(state)
    marks = Marks(store)
    try:
        for kill in range(kills):
            with running(app):
                wait_until(lambda: store.list(states=[JobState.RUNNING]) or not store.list(states=ACTIVE), PATIENT_S)
                if kill >= ANYWHERE:
                    wait_until(marks.passed, PATIENT_S)
                time.sleep(dice.uniform(1.0, 12.0))
                hits += bool(store.list(states=[JobState.RUNNING]))
                cut_off = [job.id for job in store.list(states=WITH_PROCESS)]
                kill_all(state)
                marks.note(cut_off)
        with running(app):
            wait_until(lambda: not store.list(states=ACTIVE), PATIENT_S)
    finally:
        kill_all(state)
    ended = {id: (store.get(id).state, store.get(id).reason) for id in ids}
    assert {state for state, _ in ended.values()} == {JobState.SUCCEEDED}, ended
    return results(state), hits


def test_after_five_power_losses_the_tables_are_those_of_an_undisturbed_night(tmp_path: Path, leks: Path):
    expected, _ = run_the_night(tmp_path / "undisturbed", leks, kills=0, seed=0)
    assert sum(name.startswith("statistics") for name in expected) >= 4
    assert sum(name.endswith("tracks.parquet") for name in expected) == len(VIDEOS)
    found, hits = run_the_night(tmp_path / "disturbed", leks, kills=KILLS, seed=1)
    assert hits >= 3, "most of the kills must meet work"
    assert set(found) == set(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
