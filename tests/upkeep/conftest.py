"""A small installation with what people would miss: a video record, a result, a corrections log, jobs, a token."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backend.jobs import JobSpec, JobStore
from backend.project.atomic import atomic_json
from backend.project.manifest import begin_manifest, finished_file, now
from backend.project.paths import Project
from backend.project.settings import Settings, save_settings
from backend.video.library import add_video
from backend.web.token import read_or_create_token
from tests.jobs.tools import kill_all
from tests.ports import own_ports


@dataclass(frozen=True)
class Installation:
    """Where it is; ``video`` is the file that its one record links."""

    state: Path
    project: Path
    video: Path
    token: str

    @property
    def store(self) -> JobStore:
        return JobStore(self.state)

    def end_job(self, state: str, **columns: object) -> int:
        """Add a job that has ended as ``state`` and return its id."""
        job = self.store.submit(JobSpec("inference", f"a job that {state}", ("-c", "pass"), project=self.project))
        columns = {"state": state, **columns}
        with self.store.database.writing() as connection:
            names = ", ".join(f"{name} = ?" for name in columns)
            connection.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*columns.values(), job.id))
        return job.id


@pytest.fixture
def installation(tmp_path: Path, make_video: Callable[..., Path]) -> Iterator[Installation]:
    """Return an installation with one of everything."""
    state, project = tmp_path / "state", tmp_path / "project"
    state.mkdir(mode=0o700)
    project.mkdir()
    save_settings(Settings(project_folder=project, allowed_roots=(tmp_path,), **own_ports()), state)
    video = make_video("lek.mp4", 10)
    add_video(Project(project), video, [tmp_path])
    finish_run(project / "track_output" / "lek" / "run-1", "track")
    log = project / "corrections" / "lek" / "run-1.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text('{"act": 1}\n{"act": 2}\n{"act": 3, "half a li')
    (project / ".cache").mkdir(exist_ok=True)
    (project / ".cache" / "thumbnail.jpg").write_bytes(b"x" * 1000)
    yield Installation(state, project, video, read_or_create_token(state))
    kill_all(state)


def finish_run(folder: Path, script: str) -> None:
    """Write an output folder with one finished file and its manifest."""
    folder.mkdir(parents=True)
    atomic_json(folder / "result.json", {"answer": 42})
    manifest = begin_manifest(folder, script, {"video": "lek", "detections_run": "run-1"}, {"seed": 1})
    manifest.files = {"result.json": finished_file(folder / "result.json")}
    manifest.complete, manifest.finished = True, now()
    manifest.write(folder)
