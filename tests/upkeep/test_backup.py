"""A backup taken while work goes on comes back whole, elsewhere, and a damaged one is refused."""

import json
import os
import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.jobs import JobSpec, JobState, JobStore, scheduling_pass
from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.project.paths import Project
from backend.project.settings import load_settings
from backend.upkeep.backup import INDEX, back_up, backups, read_backup, verify_backup
from backend.upkeep.restore import restore
from backend.video.library import add_video, get_video
from tests.upkeep.conftest import Installation


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    folder = tmp_path / "backup-disk"
    folder.mkdir()
    return folder


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_everything_but_caches_videos_and_the_token_comes_back(installation: Installation, disk: Path, tmp_path: Path):
    job = installation.end_job("succeeded", ended=1.0)
    folder = back_up(disk, installation.state)
    assert not any(installation.token.encode() in data for data in contents(folder).values())
    restore(folder, tmp_path / "new" / "project", tmp_path / "new-state")
    old, new = contents(installation.project), contents(tmp_path / "new" / "project")
    missing = set(old) - set(new)
    assert {name.split("/")[0] for name in missing if not name.endswith(".lock")} == {".cache"}
    log = "corrections/lek/run-1.jsonl"
    assert new.pop(log) == b'{"act": 1}\n{"act": 2}\n', "a half written last line stays out"
    assert all(new[name] == old[name] for name in new)
    assert load_settings(tmp_path / "new-state").project_folder == tmp_path / "new" / "project"
    found = JobStore(tmp_path / "new-state").get(job)
    assert (found.state, found.project) == (JobState.SUCCEEDED, tmp_path / "new" / "project")
    verify(tmp_path / "new" / "project" / "track_output" / "lek" / "run-1")


def test_a_state_folder_inside_the_project_gives_no_secret_away(installation: Installation, disk: Path):
    password = installation.state / "smtp_password"
    password.write_text("correct horse")
    inside = installation.project / "state"
    installation.state.rename(inside)
    folder = back_up(disk, inside)
    assert (folder / "state" / "settings.toml").is_file()
    for secret in (installation.token, "correct horse"):
        assert not any(secret.encode() in data for data in contents(folder).values())


def test_with_videos_the_restored_records_lead_to_the_restored_files(installation: Installation, disk: Path, tmp_path):
    folder = back_up(disk, installation.state, with_videos=True)
    installation.video.unlink()
    assert restore(folder, tmp_path / "p2", tmp_path / "s2") == []
    record = get_video(Project(tmp_path / "p2"), "lek")
    assert record.problem == ""
    assert Path(record.path).is_relative_to(tmp_path / "p2")


@pytest.mark.parametrize("with_videos", [False, True])
def test_a_video_in_the_project_comes_back_with_it(installation: Installation, disk: Path, tmp_path, with_videos: bool):
    """Such as the sample, or what Remux made: results like any other."""
    inside = installation.project / "remuxed_videos" / "again.mp4"
    inside.parent.mkdir()
    shutil.copy2(installation.video, inside)
    slug = add_video(Project(installation.project), inside, [tmp_path])
    folder = back_up(disk, installation.state, with_videos=with_videos)
    assert len([name for name in read_backup(folder).files if name.endswith("again.mp4")]) == 1
    shutil.rmtree(installation.project)
    assert restore(folder, tmp_path / "p2", tmp_path / "s2") == []
    assert get_video(Project(tmp_path / "p2"), slug).path == str(tmp_path / "p2" / "remuxed_videos" / "again.mp4")


def test_a_second_backup_links_what_has_not_changed_and_copies_what_has(installation: Installation, disk: Path):
    first = back_up(disk, installation.state)
    changed = installation.project / "corrections" / "lek" / "run-1.jsonl"
    with open(changed, "a") as file:
        file.write('ne"}\n')
    second = back_up(disk, installation.state)
    same = "project/track_output/lek/run-1/result.json"
    assert (first / same).stat().st_ino == (second / same).stat().st_ino
    assert (second / "project/corrections/lek/run-1.jsonl").read_text().count("\n") == 3
    assert (first / "project/corrections/lek/run-1.jsonl").read_text().count("\n") == 2
    assert verify_backup(first).files and verify_backup(second).files


def test_older_backups_go_only_once_the_new_one_is_whole(installation: Installation, disk: Path):
    made = [back_up(disk, installation.state, keep=2) for _ in range(3)]
    assert backups(disk) == made[1:]
    (disk / "lektrack-20200101-000000.partial").mkdir()
    (disk / "holiday-pictures").mkdir()
    made.append(back_up(disk, installation.state, keep=2))
    assert backups(disk) == made[2:]
    assert sorted(path.name for path in disk.iterdir() if path.is_dir()) == sorted(
        [path.name for path in made[2:]] + ["holiday-pictures"]
    )


@pytest.mark.parametrize("damage", ["changed", "missing", "index"])
def test_a_damaged_backup_is_refused_and_leaves_nothing(installation: Installation, disk: Path, tmp_path: Path, damage):
    folder = back_up(disk, installation.state)
    victim = folder / "project/track_output/lek/run-1/result.json"
    if damage == "changed":
        victim.write_bytes(victim.read_bytes().replace(b"42", b"43"))
    elif damage == "missing":
        victim.unlink()
    else:
        (folder / INDEX).write_text("{")
    with pytest.raises(InputError, match=r"backup\.json" if damage == "index" else "result.json"):
        verify_backup(folder)
    with pytest.raises(InputError):
        restore(folder, tmp_path / "p2", tmp_path / "s2")
    assert not (tmp_path / "p2").exists()
    assert not (tmp_path / "s2").exists()
    assert not list(tmp_path.glob(".*partial"))


def test_a_folder_that_holds_something_is_never_restored_into(installation: Installation, disk: Path, tmp_path: Path):
    folder = back_up(disk, installation.state)
    with pytest.raises(InputError, match="--project .* holds something"):
        restore(folder, installation.project, tmp_path / "s2")


def test_the_destination_lies_outside(installation: Installation, tmp_path: Path):
    inside = installation.project / "backups"
    inside.mkdir()
    with pytest.raises(InputError, match="lies inside"):
        back_up(inside, installation.state)
    with pytest.raises(InputError, match="is not a folder"):
        back_up(tmp_path / "not-there", installation.state)


def test_backups_of_another_installation_are_neither_linked_nor_deleted(
    installation: Installation, disk: Path, tmp_path: Path
):
    """In containers project and state have the same paths in all installations."""
    theirs = [back_up(disk, installation.state) for _ in range(2)]
    shutil.copytree(installation.state, tmp_path / "second-state", symlinks=True)
    (tmp_path / "second-state" / "installation").unlink()
    mine = [back_up(disk, tmp_path / "second-state", keep=1) for _ in range(2)][1:]
    assert backups(disk) == sorted(theirs + mine)
    same = "project/track_output/lek/run-1/result.json"
    assert (theirs[1] / same).stat().st_ino != (mine[0] / same).stat().st_ino
    restore(theirs[1], tmp_path / "p2", tmp_path / "s2")
    copy = back_up(disk, tmp_path / "s2", keep=1)
    assert backups(disk) == sorted([*theirs, *mine, copy]), "what was restored elsewhere is another installation"


def test_a_damaged_backup_blocks_no_later_one_and_stays(
    installation: Installation, disk: Path, caplog: pytest.LogCaptureFixture
):
    whole, damaged = (back_up(disk, installation.state) for _ in range(2))
    (damaged / INDEX).write_text("{")
    made = back_up(disk, installation.state, keep=2)
    assert backups(disk) == [whole, damaged, made]
    assert f"{damaged / INDEX} is broken" in caplog.text
    same = "project/track_output/lek/run-1/result.json"
    assert (whole / same).stat().st_ino == (made / same).stat().st_ino
    verify_backup(made)


def test_without_the_project_there_is_no_backup_and_the_old_ones_stay(installation: Installation, disk: Path):
    """The folder is not there, or is the empty place where its disk is mounted at other times."""
    made = [back_up(disk, installation.state) for _ in range(2)]
    installation.project.rename(installation.project.with_name("away"))
    with pytest.raises(InputError, match=rf"the project folder {installation.project} is not there"):
        back_up(disk, installation.state, keep=1)
    installation.project.mkdir()
    with pytest.raises(InputError, match=rf"the project folder {installation.project} is empty"):
        back_up(disk, installation.state, keep=1)
    assert backups(disk) == made
    assert not list(disk.glob("*.partial"))


def test_a_folder_that_cannot_be_read_is_named(installation: Installation, disk: Path, monkeypatch: pytest.MonkeyPatch):
    closed, scandir = installation.project / "track_output" / "lek", os.scandir

    def refusing(path: str = ".") -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(InputError, match=rf"{closed} cannot be read \(Permission denied\)"):
        back_up(disk, installation.state)
    assert backups(disk) == []


def test_what_waited_or_was_at_work_is_not_started_in_the_copy(installation: Installation, disk: Path, tmp_path: Path):
    store = installation.store
    running = store.submit(JobSpec("test", "long", ("-c", "import time; time.sleep(60)"), resumable=True))
    scheduling_pass(store)
    waiting = store.submit(JobSpec("test", "next", ("-c", "pass"), after=(running.id,)))
    folder = back_up(disk, installation.state)
    restore(folder, tmp_path / "p2", tmp_path / "s2")
    copy = JobStore(tmp_path / "s2")
    scheduling_pass(copy)
    for id in (running.id, waiting.id):
        assert copy.get(id).state is JobState.STOPPED
        assert "retry" in copy.get(id).reason
    assert copy.retry(running.id).state is JobState.QUEUED
    assert store.get(running.id).state in (JobState.STARTING, JobState.RUNNING), "the original goes on"


def test_a_backup_is_consistent_while_files_are_replaced_and_appended(installation: Installation, disk: Path):
    begun, end = threading.Event(), threading.Event()
    log, record = installation.project / "corrections" / "busy.jsonl", installation.project / "zones.json"

    def write() -> None:
        number = 0
        with open(log, "a", buffering=1) as file:
            while not end.is_set():
                number += 1
                atomic_write(record, json.dumps({"n": number, "pad": "x" * 20_000}), durable=False)
                for part in (f'{{"n": {number}, ', f'"pad": "{"y" * 5000}"}}\n'):
                    file.write(part)
                    file.flush()
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(60)
        folders = [back_up(disk, installation.state) for _ in range(3)]
    finally:
        end.set()
        writer.join()
    for folder in folders:
        verify_backup(folder)
        if "project/zones.json" in read_backup(folder).files:
            json.loads((folder / "project/zones.json").read_text())
        for line in (folder / "project/corrections/busy.jsonl").read_text().splitlines():
            json.loads(line)


def test_a_backup_says_when_and_of_what_it_was_made(installation: Installation, disk: Path):
    before = datetime.now(UTC)
    found = read_backup(back_up(disk, installation.state))
    assert before <= found.made <= datetime.now(UTC)
    assert found.project == str(installation.project)
    assert "lektrack" in found.versions


def test_links_to_elsewhere_stay_links(installation: Installation, disk: Path, tmp_path: Path):
    elsewhere = tmp_path / "other-disk"
    elsewhere.mkdir()
    (elsewhere / "big.bin").write_bytes(b"1" * 100)
    os.symlink(elsewhere, installation.project / "exported_frames")
    (installation.state / "jobs").mkdir(exist_ok=True)
    os.symlink(elsewhere, installation.state / "jobs" / "stray")
    folder = back_up(disk, installation.state)
    restore(folder, tmp_path / "p2", tmp_path / "s2")
    assert os.readlink(tmp_path / "p2" / "exported_frames") == str(elsewhere)
    assert time.time() - (folder / INDEX).stat().st_mtime < 60
