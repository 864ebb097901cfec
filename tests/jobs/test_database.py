"""The table's file: damage, deletion, old and new versions, several processes at once."""

import os
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.jobs.database import DATABASE, MIGRATIONS
from backend.jobs.job import JobSpec
from backend.jobs.job_files import (
    CLAIM_FILE,
    EXIT_FILE,
    ClaimRecord,
    ExitRecord,
    read_record,
    read_spec,
    write_record,
)
from backend.jobs.job_states import JobState, Slot
from backend.jobs.process import boot_id
from backend.jobs.schedule import scheduling_pass
from backend.jobs.store import JobStore
from backend.project.errors import InputError
from backend.project.state_files import set_aside
from tests.jobs.tools import python, stays

FORMATS = Path(__file__).parents[1] / "project" / "formats"


def damage(path: Path) -> None:
    """Overwrite everything but the header, as a failing disk might."""
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * (size - 100))


def ended(folder: Path, attempt: int, state: JobState, reason: str = "") -> None:
    """Write an exit record."""
    record = ExitRecord(attempt=attempt, state=state, exit_code=0, reason=reason, ended=datetime.now(UTC))
    write_record(folder, EXIT_FILE, record)


def claimed(folder: Path, attempt: int, pid: int = 2**22 + 1) -> None:
    """Write the record of a wrapper that is not there."""
    record = ClaimRecord(attempt=attempt, pid=pid, start_time=1, boot_id=boot_id(), port=8890, gpu_ids=(1,))
    write_record(folder, CLAIM_FILE, record)


class TestDamage:
    @pytest.fixture
    def filled(self, store, tmp_path) -> JobStore:
        """Jobs in every condition that their folders can tell apart."""
        jobs = [store.submit(python("", title=f"job {n}", output=tmp_path / str(n))) for n in range(1, 7)]
        ended(jobs[0].folder, 1, JobState.SUCCEEDED)
        claimed(jobs[0].folder, 1)
        ended(jobs[1].folder, 1, JobState.FAILED, "it broke")
        claimed(jobs[1].folder, 2)  # a retry that was running
        claimed(jobs[2].folder, 1)  # running for the first time
        (jobs[4].folder / "job.json").write_text("{")
        shutil.rmtree(jobs[5].folder)
        (store.state / "jobs" / "9").mkdir()
        return store

    @pytest.fixture(params=["damaged", "not a database", "deleted", "empty"])
    def broken(self, request, filled) -> JobStore:
        """The same, with the table's file gone in one of four ways."""
        path = filled.state / DATABASE
        if request.param == "damaged":
            damage(path)
        elif request.param == "deleted":
            path.unlink()
        else:
            path.write_bytes(b"" if request.param == "empty" else b"<html>this is not a table</html>" * 100)
        return filled

    def test_what_was_there_is_kept_and_the_jobs_come_back_from_their_folders(self, broken, caplog):
        store = JobStore(broken.state)
        jobs = {job.id: job for job in store.list()}
        assert {id: (job.state, job.attempts) for id, job in jobs.items()} == {
            1: (JobState.SUCCEEDED, 1),
            2: (JobState.RUNNING, 2),
            3: (JobState.RUNNING, 1),
            4: (JobState.STOPPED, 0),
        }
        assert jobs[4].reason == "the job table was damaged while this job waited; retry runs it"
        assert (jobs[3].title, jobs[3].port, jobs[3].gpu_ids) == ("job 3", 8890, (1,))
        assert "jobs were restored" in caplog.text
        assert store.submit(python("")).id == 10

    def test_a_damaged_file_waits_for_a_person_to_look_at_it(self, filled, caplog):
        damage(filled.state / DATABASE)
        JobStore(filled.state)
        (aside,) = set_aside(filled.state)
        assert aside.name.startswith("jobs.sqlite.corrupt-20")
        assert b"\xa5" * 1000 in aside.read_bytes()
        assert "jobs.sqlite is damaged" in caplog.text

    def test_the_next_pass_finds_out_what_became_of_those_that_ran(self, broken):
        store = JobStore(broken.state)
        scheduling_pass(store)
        assert store.get(3).state is JobState.LOST

    def test_a_store_that_is_open_says_so_once_and_then_goes_on(self, filled):
        damage(filled.state / DATABASE)
        with pytest.raises(sqlite3.DatabaseError):
            filled.list()
        assert len(filled.list()) == 4

    def test_many_that_find_the_damage_at_once_set_it_aside_once(self, filled):
        damage(filled.state / DATABASE)
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: len(JobStore(filled.state).list()), range(8)))
        assert found == [4] * 8
        assert len([path for path in set_aside(filled.state) if "-wal" not in path.name]) == 1


class TestVersions:
    def test_a_table_of_the_first_version_loads(self, state):
        with sqlite3.connect(state / DATABASE) as connection:
            connection.executescript((FORMATS / "jobs-1.sql").read_text())
        connection.close()
        store = JobStore(state)
        jobs = {job.id: job for job in store.list()}
        assert len(jobs) == 3
        done, waiting, service = jobs[1], jobs[2], jobs[4]
        assert (done.state, done.exit_code, done.attempts) == (JobState.SUCCEEDED, 0, 2)
        assert done.command == ("-m", "backend.export_frames", "--src", "/videos/lek north.mp4")
        assert done.videos == ("lek-north",)
        assert done.created == datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
        assert (waiting.state, waiting.after, waiting.slot, waiting.gpus) == (JobState.QUEUED, (1,), Slot.GPU, 2)
        assert (service.state, service.port, service.reason) == (JobState.LOST, 8880, "its wrapper process ended")
        assert store.submit(python("")).id == 6

    def test_the_dump_is_of_the_present_schema_as_long_as_that_is_the_first(self, state, store):
        assert len(MIGRATIONS) == 1, "keep the old dump, and add one of the new version"
        dump = (FORMATS / "jobs-1.sql").read_text()
        with store.database.reading() as connection:
            for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name LIKE '%job%'"):
                assert row["sql"] in dump

    def test_a_newer_one_is_refused_and_left_alone(self, store):
        with store.database.reading() as connection:
            connection.execute("PRAGMA user_version = 99")
        with pytest.raises(InputError, match="has version 99, this Lektrack knows up to 1: it was written by a newer"):
            JobStore(store.state)
        assert set_aside(store.state) == []

    def test_twenty_processes_may_meet_no_table_at_all(self, state):
        code = "from backend.jobs import JobStore, JobSpec; JobStore().submit(JobSpec('a', 'b', ('c',)))"
        started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(6)]
        assert [process.communicate()[1] for process in started] == [b""] * 6
        assert len(JobStore(state).list()) == 6


class TestRecords:
    def test_a_specification_survives_its_file(self, store, tmp_path):
        spec = JobSpec("a-b", "title", ("-c", "\udcff", "é\n"), output=tmp_path, videos=("v",), slot=Slot.GPU, gpus=3)
        job = store.submit(spec)
        assert read_spec(job.folder) == (job.spec, job.created)

    @pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"created": "x"}', '{"created": 1}', "\xff"])
    def test_a_broken_record_counts_as_none(self, tmp_path, text):
        for name in ("job.json", EXIT_FILE):
            (tmp_path / name).write_text(text)
        assert read_spec(tmp_path) is None
        assert read_record(tmp_path, EXIT_FILE, ExitRecord) is None

    def test_a_record_of_another_attempt_counts_as_none(self, tmp_path):
        ended(tmp_path, 1, JobState.SUCCEEDED)
        assert read_record(tmp_path, EXIT_FILE, ExitRecord, attempt=2) is None
        assert read_record(tmp_path, EXIT_FILE, ExitRecord, attempt=1).state is JobState.SUCCEEDED


def test_a_busy_table_is_waited_for(store):
    with ThreadPoolExecutor(1) as thread:
        with store.database.writing() as connection:
            connection.execute("UPDATE jobs SET reason = ''")
            late = thread.submit(store.submit, python(""))
            stays(lambda: not late.done(), seconds=0.3)
        assert late.result(10).id == 1


def test_a_reader_does_not_wait_for_a_writer(store):
    store.submit(python(""))
    with store.database.writing() as connection:
        connection.execute("UPDATE jobs SET reason = 'unseen'")
        assert store.get(1).reason == ""


def test_the_files_are_for_their_owner_alone(state, store):
    store.submit(python(""))
    assert os.stat(state).st_mode & 0o077 == 0
