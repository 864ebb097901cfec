"""Submit, read, stop and retry: what the table allows, refuses and keeps apart."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from backend.jobs.job import JobSpec
from backend.jobs.job_states import JobState, Slot
from backend.jobs.store import JobStore
from backend.project.errors import InputError
from tests.jobs.tools import python


def set_state(store: JobStore, id: int, state: JobState) -> None:
    """Put a job into a state without a process."""
    with store.database.writing() as connection:
        connection.execute("UPDATE jobs SET state = ?, ended = 1 WHERE id = ?", (state, id))


class TestSubmit:
    def test_what_is_submitted_comes_back_as_it_was(self, store, tmp_path):
        spec = JobSpec(
            kind="export_frames",
            title="Export frames 0-500 of lek-north",
            command=("-m", "backend.export_frames", "--src", "/v/é.mp4"),
            output=tmp_path / "out",
            project=tmp_path,
            videos=("lek-north", "lek-south"),
            user="ana",
            slot=Slot.GPU,
            gpus=2,
            resumable=True,
        )
        job = store.submit(spec)
        assert job.spec == spec
        assert (job.state, job.attempts, job.reason, job.pid) == (JobState.QUEUED, 0, "", None)
        assert store.get(job.id) == job

    def test_arguments_with_every_kind_of_hostile_text_come_back_as_they_were(self, store):
        hostile = ["-rf", "$(reboot)", "a\nb", "'\"", "`id`", "; rm -rf ~", "\udcff.mp4", "\x1b[31m", "🐦", ""]
        assert store.submit(python("", *hostile)).command[2:] == tuple(hostile)

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"command": ()}, "command is empty"),
            ({"command": ("a\0b",)}, "NUL"),
            ({"command": ("x" * 200_000,)}, "131071 bytes"),
            ({"kind": "../x"}, "kind '../x'"),
            ({"gpus": 0}, "gpus 0"),
            ({"slot": "tpu"}, "slot 'tpu' is not one of none, cpu, gpu"),
            ({"start_limit_s": float("nan")}, "start_limit_s nan"),
            ({"ready_path": "ready"}, "ready_path 'ready'"),
            ({"after": (99,)}, "there is no job 99"),
            ({"output": "/tmp/\udcff"}, "not valid UTF-8"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_cannot_be_run_is_refused_with_the_value(self, store, fields, words):
        with pytest.raises(InputError, match="(?s)" + words.replace(".", r"\.")):
            store.submit(JobSpec(**{"kind": "test", "title": "t", "command": ("-c", ""), **fields}))
        assert store.list() == []

    def test_a_job_cannot_wait_for_itself_because_only_existing_ids_are_taken(self, store):
        first = store.submit(python(""))
        with pytest.raises(InputError, match=f"no job {first.id + 1}"):
            store.submit(python("", after=(first.id + 1,)))

    def test_a_job_cannot_wait_for_a_service(self, store):
        service = store.submit(python("", service=True))
        with pytest.raises(InputError, match="never succeeds"):
            store.submit(python("", after=(service.id,)))

    def test_a_title_is_one_printable_line(self, store):
        assert store.submit(python("", title="a\n\x1b[31mb\u202ec\udcff")).title == "a [31mbc?"

    def test_a_service_takes_no_cpu_slot(self, store):
        assert store.submit(python("", service=True)).slot is Slot.NONE


class TestOutputs:
    def test_an_output_of_an_active_job_is_refused_by_any_name(self, store, tmp_path):
        holder = store.submit(python("", output=tmp_path / "out", title="the first"))
        (tmp_path / "link").symlink_to(tmp_path / "out")
        for name in (tmp_path / "out", tmp_path / "x" / ".." / "out", tmp_path / "link"):
            with pytest.raises(InputError, match=rf"is the output of job {holder.id} \(the first\)"):
                store.submit(python("", output=name))

    def test_an_output_is_free_again_when_its_job_is_over(self, store, tmp_path):
        store.stop(store.submit(python("", output=tmp_path)).id)
        store.submit(python("", output=tmp_path))

    def test_of_fifty_simultaneous_submits_from_threads_and_processes_one_wins(self, store, state, tmp_path):
        gate = threading.Barrier(25)

        def submit() -> str:
            gate.wait()
            return submit_once(state, tmp_path)

        with get_context("spawn").Pool(2) as processes, ThreadPoolExecutor(25) as threads:
            elsewhere = processes.starmap_async(submit_once, [(state, tmp_path)] * 25)
            here = [thread.result() for thread in [threads.submit(submit) for _ in range(25)]]
            answers = here + elsewhere.get(60)
        assert sorted(answers)[0].startswith(str(tmp_path))
        assert len([answer for answer in answers if answer == "taken"]) == 1
        assert len([answer for answer in answers if f"{tmp_path} is the output of job 1" in answer]) == 49

    def test_a_retry_is_refused_while_another_job_has_the_output(self, store, tmp_path):
        first = store.submit(python("", output=tmp_path))
        store.stop(first.id)
        second = store.submit(python("", output=tmp_path))
        with pytest.raises(InputError, match=f"is the output of job {second.id}"):
            store.retry(first.id)


def submit_once(state: Path, output: Path) -> str:
    """Submit a job and say how that went."""
    try:
        JobStore(state).submit(python("", output=output))
    except InputError as error:
        return str(error)
    return "taken"


class TestStopAndRetry:
    def test_a_queued_job_stops_at_once(self, store):
        job = store.stop(store.submit(python("")).id)
        assert (job.state, job.reason) == (JobState.STOPPED, "stopped before it began")
        assert job.ended is not None

    @pytest.mark.parametrize("end", [state for state in JobState if state.is_over])
    def test_what_is_over_cannot_be_stopped(self, store, end):
        job = store.submit(python(""))
        set_state(store, job.id, end)
        with pytest.raises(InputError, match=f"is {end} already"):
            store.stop(job.id)

    def test_an_unknown_job_is_refused_everywhere(self, store):
        for call in (store.get, store.stop, store.retry, store.remove):
            with pytest.raises(InputError, match="there is no job 7"):
                call(7)

    @pytest.mark.parametrize("end", [JobState.FAILED, JobState.STOPPED, JobState.LOST])
    def test_a_retry_keeps_the_id_and_forgets_the_end(self, store, end):
        job = store.submit(python(""))
        set_state(store, job.id, end)
        again = store.retry(job.id)
        assert (again.id, again.state, again.ended, again.exit_code, again.reason) == (
            job.id,
            JobState.QUEUED,
            None,
            None,
            "",
        )

    def test_what_succeeded_is_not_retried(self, store):
        job = store.submit(python(""))
        set_state(store, job.id, JobState.SUCCEEDED)
        with pytest.raises(InputError, match="only what is failed, stopped, lost can be retried"):
            store.retry(job.id)

    def test_a_stale_move_changes_nothing(self, store):
        job = store.submit(python(""))
        store.stop(job.id)
        with store.database.writing() as connection:
            assert not store.move(connection, job, JobState.STARTING)
        assert store.get(job.id).state is JobState.STOPPED

    def test_a_move_that_the_table_does_not_allow_is_a_bug_that_shows(self, store):
        job = store.submit(python(""))
        with store.database.writing() as connection, pytest.raises(ValueError, match="from queued to succeeded"):
            store.move(connection, job, JobState.SUCCEEDED)


class TestRemove:
    def test_a_removed_job_is_gone_with_its_folder(self, store):
        job = store.stop(store.submit(python("")).id)
        assert job.folder.is_dir()
        store.remove(job.id)
        assert not job.folder.exists()
        with pytest.raises(InputError):
            store.get(job.id)

    def test_its_id_is_not_used_again(self, store):
        job = store.stop(store.submit(python("")).id)
        store.remove(job.id)
        assert store.submit(python("")).id > job.id

    def test_an_active_job_and_one_that_is_waited_for_stay(self, store):
        first = store.submit(python(""))
        second = store.submit(python("", after=(first.id,)))
        with pytest.raises(InputError, match="is queued; stop it first"):
            store.remove(first.id)
        store.stop(first.id)
        with pytest.raises(InputError, match=f"waited for by job {second.id}"):
            store.remove(first.id)


class TestList:
    def test_newest_first_and_every_filter(self, store, tmp_path):
        a = store.submit(python("", videos=("north",), project=tmp_path))
        b = store.submit(python("", kind="train", videos=("north", "south")))
        c = store.stop(store.submit(python("")).id)

        def ids(**filters):
            return [job.id for job in store.list(**filters)]

        assert ids() == [c.id, b.id, a.id]
        assert ids(limit=1) == [c.id]
        assert ids(video="north") == [b.id, a.id]
        assert ids(video="nor") == []
        assert ids(kind="train") == [b.id]
        assert ids(project=tmp_path) == [a.id]
        assert ids(states=[JobState.STOPPED]) == [c.id]
        assert ids(states=[]) == []
        assert ids(states=[JobState.QUEUED], video="south", kind="train") == [b.id]

    def test_dependencies_come_with_the_job(self, store):
        a, b = store.submit(python("")), store.submit(python(""))
        assert store.submit(python("", after=(b.id, a.id, b.id))).after == (a.id, b.id)


def test_two_hundred_stores_leak_no_descriptor_and_no_thread(state):
    JobStore(state).submit(python(""))
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(200):
        store = JobStore(state)
        store.list()
        store.close()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_threads_may_share_a_store(store):
    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(lambda number: store.submit(python("", title=str(number))), range(40)))
    assert sorted(job.id for job in jobs) == list(range(1, 41))
    assert {store.get(job.id).title for job in jobs} == {str(number) for number in range(40)}


def test_times_are_utc_and_now(store):
    before = time.time()
    job = store.submit(python(""))
    assert before - 1 <= job.created.timestamp() <= time.time() + 1
    assert job.created.utcoffset().total_seconds() == 0
