"""What a script reports of itself, and what readers make of it."""

import json
import os
import time

import pytest

from backend.jobs import progress as module
from backend.jobs.heartbeat import Silence
from backend.jobs.progress import PROGRESS_FILE, Progress, read_progress


@pytest.fixture
def clock(monkeypatch):
    """A monotonic clock that tests set."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def test_stage_counts_message_rate_and_time_left(tmp_path, clock):
    with Progress(tmp_path) as progress:
        progress.stage("reading", total=100, limit_s=30, done=10)
        clock.now += 2
        progress.update(20, "frame 20")
        found = read_progress(tmp_path)
    assert (found.stage, found.done, found.total, found.message, found.limit_s) == ("reading", 20, 100, "frame 20", 30)
    assert (found.rate, found.eta_s, found.share) == (5.0, 16.0, 0.2)


def test_what_was_there_before_does_not_count_as_speed(tmp_path, clock):
    progress = Progress(tmp_path)
    progress.stage("reading", total=1000, done=900)
    clock.now += 10
    progress.update(910)
    assert read_progress(tmp_path).rate == 1.0


def test_the_rate_follows_a_machine_that_slows_down(tmp_path, clock):
    progress = Progress(tmp_path)
    progress.stage("reading", total=10_000)
    for done in range(0, 1000, 10):  # ten a second
        progress.update(done)
        clock.now += 1
    for done in range(1000, 1100):  # one a second
        progress.update(done)
        clock.now += 1
    assert read_progress(tmp_path).rate == pytest.approx(1.0, rel=0.1)


def test_it_is_written_at_most_twice_a_second_but_the_end_always(tmp_path, clock, monkeypatch):
    written = []
    monkeypatch.setattr(module, "atomic_write", lambda path, text, durable: written.append(json.loads(text)["done"]))
    with Progress(tmp_path) as progress:
        progress.stage("reading", total=1000)
        for done in range(1000):
            progress.update(done + 1)
            clock.now += 0.01
    assert len(written) <= 23
    assert written[-1] == 1000


def test_by_hand_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEKTRACK_JOB_FOLDER", raising=False)
    with Progress() as progress:
        progress.stage("reading", total=2)
        progress.update(2)
    assert os.listdir(tmp_path) == []


def test_in_a_job_the_folder_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LEKTRACK_JOB_FOLDER", str(tmp_path))
    Progress().stage("reading")
    assert read_progress(tmp_path).stage == "reading"
    assert os.listdir(tmp_path) == [PROGRESS_FILE]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"stage": 1}', "\0"])
def test_what_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / PROGRESS_FILE).write_text(text)
    assert read_progress(tmp_path) is None


def test_a_share_is_known_only_with_a_total(tmp_path):
    progress = Progress(tmp_path)
    for total, done, share in ((None, 5, None), (0, 0, None), (10, 5, 0.5), (10, 15, 1.0)):
        progress.stage("x", total=total, done=done)
        assert read_progress(tmp_path).share == share


class TestSilence:
    def test_only_a_silence_above_the_stages_limit_counts(self, tmp_path, clock):
        silence = Silence(tmp_path, start_limit_s=100)
        progress = Progress(tmp_path)
        progress.stage("compiling", limit_s=10)
        for _ in range(20):
            clock.now += 1
            progress.beat()
            assert silence.too_long(1.0) == ""
        for _ in range(10):
            clock.now += 1
            assert silence.too_long(1.0) == ""
        clock.now += 1
        assert silence.too_long(1.0) == "it hung: no sign of life for 11 s in 'compiling' (10 s are allowed)"

    def test_before_the_first_report_the_jobs_own_limit_holds(self, tmp_path, clock):
        silence = Silence(tmp_path, start_limit_s=3)
        for _ in range(3):
            clock.now += 1
            assert silence.too_long(1.0) == ""
        clock.now += 1
        assert "in 'starting' (3 s are allowed)" in silence.too_long(1.0)

    def test_time_in_which_the_watcher_itself_did_not_run_is_no_silence(self, tmp_path, clock):
        silence = Silence(tmp_path, start_limit_s=10)
        silence.too_long(1.0)
        clock.now += 3600  # a paused container, a closed laptop
        assert silence.too_long(1.0) == ""

    def test_setting_the_machines_clock_is_no_silence(self, tmp_path, clock, monkeypatch):
        silence = Silence(tmp_path, start_limit_s=10)
        progress = Progress(tmp_path)
        progress.stage("reading", limit_s=10)
        assert silence.too_long(1.0) == ""
        monkeypatch.setattr(time, "time", lambda: 5e9)
        clock.now += 1
        progress.beat()
        assert silence.too_long(1.0) == ""
