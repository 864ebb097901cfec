"""Restores a backup into folders that are empty or do not exist; every file is checked against its checksum."""

import hashlib
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

from backend.jobs import ACTIVE, JobState, JobStore
from backend.project.atomic import atomic_file, replace_folder
from backend.project.disk import check_space
from backend.project.errors import InputError
from backend.project.paths import Project
from backend.project.settings import check_beside, load_settings, save_settings
from backend.upkeep.backup import BLOCK, Report, SavedFile, read_backup
from backend.video.library import VideoRecord, list_videos, move_records, relink_video

VIDEOS = "restored_videos"
REASON = "it was waiting or at work when the backup was made; retry goes on with it"


def restore(source: Path, project: Path, state: Path, report: Report = lambda done, total: None) -> list[VideoRecord]:
    """Restore the backup ``source`` as project folder ``project`` and state folder ``state``.

    Settings and jobs that led into the old project folder lead into the new one, and videos that the backup holds are
    linked where they lie now, like those that lay in the project. Jobs that waited or were at work are not started
    behind anybody's back: retry runs them.
    A new sign-in token is made at the next start.

    Returns
    -------
    list of VideoRecord
        The videos whose file is not where the project looks for it, or is another one; ``problem`` says which.

    Raises
    ------
    InputError
        If ``source`` is no whole backup, a file in it is damaged, there is no room, or a folder holds something.
        Nothing is left behind then.
    """
    backup = read_backup(source)
    project, state = project.absolute(), state.absolute()
    for option, path in (("--project", project), ("--state", state)):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{option} {path} holds something; give a folder that is empty or not there")
    check_beside(project, state)
    project.parent.mkdir(parents=True, exist_ok=True)
    check_space(project.parent, sum(file.size for file in backup.files.values()))
    places = {"project": project, "state": state, "videos": project / VIDEOS}
    partial = {name: path.with_name(f".{path.name}.{time.time_ns()}.partial") for name, path in places.items()}
    partial["videos"] = partial["project"] / VIDEOS
    total, done = sum(file.size for file in backup.files.values()), 0
    try:
        for name in ("project", "state"):
            partial[name].mkdir(parents=True, mode=0o700 if name == "state" else 0o777)
        for name, file in backup.files.items():
            kind, rest = name.split("/", 1)
            _copy_checked(source / name, partial[kind] / rest, file)
            done += file.size
            report(done, total)
        for name, target in backup.links.items():
            link = partial["project"] / name.split("/", 1)[1]
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        _adapt(partial["state"], Path(backup.project), project)
        for name in ("project", "state"):
            replace_folder(partial[name], places[name])
    except BaseException:
        for name in ("project", "state"):
            shutil.rmtree(partial[name], ignore_errors=True)
        raise
    move_records(Project(project), lambda path: moved_path(path, Path(backup.project), project))
    for video, name in backup.videos.items():
        relink_video(Project(project), video, project / VIDEOS / name.split("/", 1)[1], [project])
    return [record for record in list_videos(Project(project)) if record.problem]


def _copy_checked(source: Path, target: Path, expected: SavedFile) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with open(source, "rb") as read, atomic_file(target) as written:
            while block := read.read(BLOCK):
                written.write(block)
                digest.update(block)
    except FileNotFoundError as error:
        raise InputError(f"{source} is missing; use another backup") from error
    if digest.hexdigest() != expected.sha256:
        raise InputError(f"{source} is not what was backed up (its checksum differs); use another backup")
    shutil.copystat(source, target)


def _adapt(state: Path, old: Path, new: Path) -> None:
    """Let settings and jobs point into the new project folder, and let no job start by itself."""
    save_settings(load_settings(state).model_copy(update={"project_folder": new}), state)
    store = JobStore(state)
    with store.database.writing() as connection:
        for row in connection.execute("SELECT id, command, output, project FROM jobs").fetchall():
            command = json.dumps([moved_path(part, old, new) for part in json.loads(row["command"])])
            output, folder = (value and moved_path(value, old, new) for value in (row["output"], row["project"]))
            connection.execute(
                "UPDATE jobs SET command = ?, output = ?, project = ? WHERE id = ?",
                (command, output, folder, row["id"]),
            )
    active = store.list(states=ACTIVE, limit=1_000_000)
    with store.database.writing() as connection:
        for job in active:
            if job.state is JobState.STARTING:
                store.move(connection, job, JobState.STOPPING)
                job = replace(job, state=JobState.STOPPING)
            store.move(connection, job, JobState.STOPPED, ended=time.time(), reason=REASON)


def moved_path(text: str, old: Path, new: Path) -> str:
    """Return ``text`` with ``old`` at its beginning replaced by ``new``, if it is that folder or a path in it."""
    return f"{new}{text[len(str(old)) :]}" if text == str(old) or text.startswith(f"{old}/") else text
