"""The morning after: what is told, to whom, once, and that a message that cannot be sent harms nobody."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.jobs import JobSpec, JobState, JobStore, scheduling_pass
from backend.project.settings import Notify, Settings, load_settings, save_settings
from backend.upkeep.morning import as_markdown, look_back, read_night, report_if_over
from tests.jobs.tools import wait_for, wait_until
from tests.upkeep.conftest import Installation
from tests.upkeep.servers import mail_server, web_server


def notified(installation: Installation, **fields: object) -> None:
    settings = load_settings(installation.state)
    save_settings(settings.model_copy(update={"notify": Notify(**fields)}), installation.state)


def worked(installation: Installation, state: str, minutes: float, ago_s: float = 60, **columns: object) -> int:
    ended = time.time() - ago_s
    return installation.end_job(state, started=ended - 60 * minutes, ended=ended, **columns)


def test_the_report_tells_what_ran_failed_and_is_ready(installation: Installation):
    worked(installation, "succeeded", 90)
    failed = worked(installation, "failed", 5, reason="no space left on /x")
    worked(installation, "succeeded", 10, ago_s=3 * 86400)
    night = look_back(datetime.now(UTC) - timedelta(days=1), installation.state)
    assert night.headline == "1 done, 1 failed, 1 video ready to review"
    text = as_markdown(night, "Europe/Budapest")
    assert f"a job that failed (job {failed}), 5 min: no space left on /x" in text
    assert "lek: tracked, 0 doubts, review has begun (run-1)" in text
    assert "90 min" in text and "free" in text


def test_services_and_short_work_are_not_worth_a_report(installation: Installation):
    worked(installation, "succeeded", 5)
    assert report_if_over(installation.state) is None
    assert read_night(installation.state) is None


def test_no_report_while_something_waits(installation: Installation):
    worked(installation, "succeeded", 90)
    installation.store.submit(JobSpec("test", "waits", ("-c", "pass")))
    assert report_if_over(installation.state) is None


def test_a_night_is_told_once_by_mail_and_webhook(installation: Installation):
    worked(installation, "succeeded", 90)
    with mail_server() as mail, web_server() as web:
        notified(
            installation,
            email_to=("anna@example.org", "ben@example.org"),
            smtp_host="127.0.0.1",
            smtp_port=mail.port,
            webhook_url=f"http://127.0.0.1:{web.port}/hook",
        )
        path = report_if_over(installation.state)
        assert report_if_over(installation.state) is None, "nothing new has ended"
    assert path is not None and "1 done" in path.read_text()
    assert mail.recipients == ["anna@example.org", "ben@example.org"]
    assert "Subject: Lektrack: 1 done, 1 video ready to review" in mail.mails[0]
    assert [post["subject"] for post in web.posts] == ["1 done, 1 video ready to review"]
    record = read_night(installation.state)
    assert record is not None and record.notification_problem == ""


def test_a_message_that_cannot_be_sent_is_written_down(installation: Installation):
    worked(installation, "succeeded", 90)
    with web_server(status=500) as web:
        notified(
            installation,
            email_to=("a@b.c",),
            smtp_host="127.0.0.1",
            smtp_port=1,
            webhook_url=f"http://127.0.0.1:{web.port}",
        )
        assert report_if_over(installation.state) is not None
    problem = read_night(installation.state).notification_problem
    assert "e-mail by 127.0.0.1:" in problem and "refused" in problem and "500" in problem


def test_a_password_that_others_can_read_is_not_used(installation: Installation):
    worked(installation, "succeeded", 90)
    password = installation.state / "smtp_password"
    password.write_text("secret")
    password.chmod(0o644)
    with mail_server() as mail:
        notified(installation, email_to=("a@b.c",), smtp_host="127.0.0.1", smtp_port=mail.port, smtp_user="anna")
        report_if_over(installation.state)
    assert "chmod 600" in read_night(installation.state).notification_problem
    assert mail.mails == []


def test_the_last_wrapper_of_a_night_writes_the_report(installation: Installation, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LEKTRACK_STATE", str(installation.state))
    notified(installation, after_min=0)
    store = JobStore(installation.state)
    job = store.submit(JobSpec("test", "a short one", ("-c", "print('done')")))
    scheduling_pass(store)
    assert wait_for(store, job).state is JobState.SUCCEEDED
    reports = installation.project / "reports"
    wait_until(lambda: list(reports.glob("*.md")), what="no report was written")
    assert "a short one" in next(reports.glob("*.md")).read_text()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"email_to": ("nobody",)}, "'nobody' is not an e-mail address"),
        ({"webhook_url": "file:///etc/passwd"}, "must be an address such as https"),
        ({"smtp_security": "maybe"}, "smtp_security"),
        ({"after_min": -1}, "after_min"),
    ],
)
def test_bad_settings_are_refused_with_the_value(tmp_path: Path, fields: dict, words: str):
    with pytest.raises(ValueError, match=words):
        Settings(notify=fields)


def test_settings_of_before_there_were_messages_still_load(tmp_path: Path):
    (tmp_path / "settings.toml").write_text("format = 1\ncpu_slots = 2\n")
    assert load_settings(tmp_path).notify == Notify()
